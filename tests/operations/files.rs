//! The files for operators: each is given to the program for which it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use nightrun::config;
use nightrun::domain::instant::Instant;
use nightrun::health::Health;
use nightrun::metrics::Metrics;
use nightrun::metrics::page::Stock;
use serde_json::{Value, json};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project(path)).expect(path)
}

/// Runs a program that must be content.
fn content(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// The names of all families that `/metrics` can have.
fn families() -> BTreeSet<String> {
    let page = Metrics::default().page(
        &Health::default().report(),
        Some(&Stock::default()),
        Instant::UNIX_EPOCH,
    );
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

/// The metrics of nightrun that a text names, histograms by the name of the family.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("nightrun_") || word.starts_with("process_"));
    let family = |word: &str| {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part));
        family.unwrap_or(word).to_owned()
    };
    ours.map(family).collect()
}

#[test]
fn rules_and_dashboard_name_what_is_served() {
    let families = families();
    assert!(families.len() > 15, "{families:?}");
    for path in [
        "monitoring/nightrun.rules.yml",
        "monitoring/nightrun.rules.test.yml",
        "monitoring/nightrun.dashboard.json",
    ] {
        let named = named(&read(path));
        let unknown: Vec<_> = named.difference(&families).collect();
        assert!(unknown.is_empty() && named.len() > 5, "{path} names {unknown:?}");
    }
    let shown = named(&read("monitoring/nightrun.dashboard.json"));
    let missing: Vec<_> = families.difference(&shown).collect();
    assert!(missing.is_empty(), "the dashboard shows nothing of {missing:?}");
}

#[test]
fn the_table_of_metrics_is_complete() {
    let table = read("docs/operations.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: BTreeSet<String> =
        rows.filter_map(|row| row.split(['`', '{']).next().map(str::to_owned)).collect();
    let ours = |name: &&String| name.starts_with("nightrun_") || name.starts_with("process_");
    assert_eq!(rows.iter().filter(ours).cloned().collect::<BTreeSet<_>>(), families());
}

#[test]
fn prometheus_takes_the_rules_and_their_tests_pass() {
    let rules = project("monitoring/nightrun.rules.yml");
    let said = content(Command::new("promtool").args(["check", "rules"]).arg(&rules));
    assert!(said.contains("SUCCESS: 13 rules found"), "{said}");
    let tests = project("monitoring/nightrun.rules.test.yml");
    content(Command::new("promtool").args(["test", "rules"]).arg(tests));
    let tested = read("monitoring/nightrun.rules.test.yml");
    for line in read("monitoring/nightrun.rules.yml").lines() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            assert!(tested.contains(name), "{name} is not tested");
        }
    }
}

/// The expressions are Prometheus's: it is asked about them as about rules.
#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value =
        serde_json::from_str(&read("monitoring/nightrun.dashboard.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "an id stands twice");
    let mut rules = Vec::new();
    for panel in panels {
        let place = |name: &str| panel["gridPos"][name].as_u64().expect(name);
        assert!(place("x") + place("w") <= 24 && place("h") > 0, "{}", panel["title"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            let expr = target["expr"].as_str().expect("an expression");
            let expr = expr.replace("$__rate_interval", "1m").replace("$instance", ".*");
            let record = format!("panel:nightrun:{}", rules.len());
            rules.push(json!({"record": record, "expr": expr}));
        }
        let has_data = panel["targets"].as_array().is_some_and(|targets| !targets.is_empty());
        assert!(has_data || panel["type"] == "row", "{} shows nothing", panel["title"]);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.yml");
    // JSON is YAML.
    let rules = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(&path, rules.to_string()).expect("a file");
    content(Command::new("promtool").args(["check", "rules"]).arg(&path));
}

#[test]
fn systemd_takes_the_unit_and_finds_it_hardened() {
    let unit = read("systemd/nightrun.service");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nightrun.service");
    let program = env!("CARGO_BIN_EXE_nightrun");
    let here = unit.replace("ExecStart=/usr/bin/nightrun ", &format!("ExecStart={program} "));
    assert_ne!(here, unit);
    let here = here.replace("file:///usr/share/doc/nightrun/operations.md", "man:systemd(1)");
    std::fs::write(&path, here).expect("a file");
    let analyze = || Command::new("systemd-analyze");
    let said = content(analyze().args(["verify", "--man=no"]).arg(&path));
    assert_eq!(said, "");
    // Its exposure is below 2.0, of 10.
    content(analyze().args(["security", "--offline=true", "--threshold=19"]).arg(&path));
}

#[test]
fn the_packaged_configuration_is_right() {
    let path = project("debian/nightrun.toml");
    let settings = config::load(Some(&path), []).expect("no mistakes");
    let said = config::explain(&settings);
    assert!(said.contains("the SQLite file /var/lib/nightrun/nightrun.db"), "{said}");
    assert!(read("debian/changelog").contains(&format!("({}-1)", env!("CARGO_PKG_VERSION"))));
}
