//! A configuration: a file and then, after a line `environment:`, variables, a line each.

use std::collections::BTreeSet;

use nightrun::config::{Mistakes, Settings, explain, load};

/// Every key at its default: where the names of the keys stand.
const BUILT_IN: &str = include_str!("../../../config/nightrun.toml");

/// What stands in place of a password. It is never shown.
const SECRET: &str = "tell-nobody";

/// Settings are within their bounds, or each mistake says in which key it is; and no password is shown.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (toml, environment) = text.split_once("\nenvironment:\n").unwrap_or((text, ""));
    if ["/dev", "/proc", "/sys"].iter().any(|place| text.contains(place)) {
        return; // What is named there is opened.
    }
    let variables = || {
        let lines = environment.lines().filter_map(|line| line.split_once('='));
        lines.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), toml).expect("written");
    let path = file.path().display().to_string();
    let shown = match load(Some(file.path()), variables()) {
        Ok(settings) => {
            check(&settings);
            explain(&settings)
        }
        Err(mistakes) => {
            check_mistakes(&mistakes, &path);
            assert_eq!(load(Some(file.path()), variables()).err(), Some(mistakes.clone()));
            mistakes.to_string()
        }
    };
    if only_as_a_password(text) {
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

fn check(settings: &Settings) {
    assert!(settings.contracts.iter().count() > 0);
    assert!(settings.database.path().is_none_or(|path| !path.as_os_str().is_empty()));
    for contract in settings.contracts.iter() {
        assert_eq!(settings.contracts.get(&contract.id), Some(contract));
        let mut from = None;
        for policy in contract.policies() {
            assert!(policy.effective_from >= from, "the versions are in order");
            from = policy.effective_from;
            for minutes in [policy.tolerance, policy.late, policy.missed_after, policy.match_window]
            {
                assert!((0..=720).contains(&minutes.num_minutes()));
            }
            assert!(policy.tolerance <= policy.late && policy.late <= policy.missed_after);
            assert!(policy.fence_m > 0.0 && policy.fence_m.is_finite());
            assert!(!policy.unplanned_service.trim().is_empty());
        }
    }
}

fn check_mistakes(mistakes: &Mistakes, path: &str) {
    assert!(mistakes.iter().count() > 0);
    let keys: BTreeSet<&str> = BUILT_IN
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', '[']).split_once([' ', ']']))
        .map(|(word, _)| word)
        .filter(|word| !word.is_empty())
        .collect();
    for mistake in mistakes.iter() {
        let mistake = mistake.to_string();
        super::check_shown(&mistake, 20_000);
        let origins = [path, "environment", "configuration"];
        let what = origins.iter().find_map(|origin| mistake.strip_prefix(&format!("{origin}: ")));
        let what = what.unwrap_or_else(|| panic!("says not where: {mistake}"));
        let mut words = what.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names_a_key = words.any(|word| keys.contains(word) || word.starts_with("NIGHTRUN__"));
        let names_a_place = what.starts_with("line ") || what.contains('"');
        assert!(names_a_key || names_a_place || what.starts_with("the file "), "{mistake}");
    }
}

/// Whether the secret stands in no other place than a password's.
fn only_as_a_password(text: &str) -> bool {
    let whole = format!("password = \"{SECRET}\"");
    let others = text.replace("\"\"\"", "").replace("'''", "") != text;
    let lines = text.lines().map(str::trim);
    !others && lines.filter(|line| line.contains(SECRET)).all(|line| line == whole)
}
