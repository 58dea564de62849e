//! The three layers of a configuration: what is built in, a file, the environment.
//!
//! Guarantees that what it hands on holds known keys only: what is unknown, in whichever layer, is
//! noted as a mistake, with the key that may have been meant.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ::config::{Config, ConfigError, FileFormat, Format, Map, Source, Value, ValueKind};

use super::keys::{self, CONTRACT, CONTRACT_KEYS, RECIPIENT, RECIPIENT_KEYS, SECTIONS, Section};
use super::mistakes::{Mistake, Notes};

/// The lowest layer: every key at its default.
pub(super) const BUILT_IN: &str = include_str!("../../config/nightrun.toml");

/// Where the values of the lowest layer come from.
pub(super) const BUILT_IN_ORIGIN: &str = "built-in configuration";

/// Where the values of the highest layer come from.
pub(super) const ENVIRONMENT: &str = "environment";

/// Longest file that is read for a configuration, in bytes.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Values by their names.
pub(super) type Values = Map<String, Value>;

/// What the layers come to.
pub(super) struct Merged {
    /// The sections and contracts, higher layers before lower ones.
    pub(super) values: Values,
    /// The contract that is built in, from which every contract takes what it leaves out.
    pub(super) standard_contract: Values,
}

/// Reads the layers and lays them over each other.
pub(super) fn merge(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    notes: &mut Notes,
) -> Merged {
    let built_in = read_toml(BUILT_IN_ORIGIN, BUILT_IN, notes);
    let standard_contract = match built_in.0.get(CONTRACT).map(|list| &list.kind) {
        Some(ValueKind::Array(contracts)) => match contracts.first().map(|first| &first.kind) {
            Some(ValueKind::Table(contract)) => contract.clone(),
            _ => Values::new(),
        },
        _ => Values::new(),
    };
    let mut layers = Config::builder().add_source(built_in);
    if let Some(path) = file {
        let origin = path.display().to_string();
        match read_file(path) {
            Ok(text) => layers = layers.add_source(read_toml(&origin, &text, notes)),
            Err(why) => notes.add(Mistake::new(&origin, why)),
        }
    }
    let merged = layers.add_source(read_environment(environment, notes)).build();
    let values = merged.and_then(|merged| merged.collect());
    let values = notes.take(values.map_err(|error| Mistake::new("configuration", error)));
    Merged { values: values.unwrap_or_default(), standard_contract }
}

/// A file's text, or why it cannot be had.
pub(super) fn read_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    if u64::try_from(read).is_ok_and(|read| read <= FILE_MAX_BYTES) {
        Ok(text)
    } else {
        Err(format!("the file is longer than {FILE_MAX_BYTES} bytes"))
    }
}

/// A layer whose keys are all known.
#[derive(Clone)]
struct Layer(Values);

/// Does not show the values: a password may be among them.
impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Layer")
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Values, ConfigError> {
        Ok(self.0.clone())
    }
}

fn read_toml(origin: &str, text: &str, notes: &mut Notes) -> Layer {
    match FileFormat::Toml.parse(Some(&origin.to_owned()), text) {
        Ok(values) => Layer(known(origin, values, notes)),
        Err(error) => {
            notes.add(Mistake::new(origin, syntax_error(&error.to_string())));
            Layer(Values::new())
        }
    }
}

/// The parser shows the line in question, which may be the one with the password: this leaves its
/// number, and what the parser says about it.
fn syntax_error(shown: &str) -> String {
    let mut lines = shown.lines();
    let first = lines.next().unwrap_or_default();
    match first.strip_prefix("TOML parse error at ") {
        Some(place) => format!("{place}: {}", lines.skip(3).collect::<Vec<_>>().join("; ")),
        None => format!("this is not TOML: {first}"),
    }
}

/// What is known of a file's values; the rest is noted.
fn known(origin: &str, values: Values, notes: &mut Notes) -> Values {
    let mut known = Values::new();
    for (name, value) in in_order(values) {
        let read = if [CONTRACT, RECIPIENT].contains(&name.as_str()) {
            tables(&name, value)
        } else if let Some(section) = SECTIONS.iter().find(|section| section.name == name) {
            known_in_section(origin, section, value, notes)
        } else {
            Err(unknown_at_the_top(&name, &value))
        };
        match read {
            Ok(value) => _ = known.insert(name, value),
            Err(why) => notes.add(Mistake::new(origin, why)),
        }
    }
    known
}

fn tables(name: &str, value: Value) -> Result<Value, String> {
    match &value.kind {
        ValueKind::Array(list)
            if list.iter().all(|one| matches!(one.kind, ValueKind::Table(_))) =>
        {
            Ok(value)
        }
        _ => Err(format!("{name}s are a list: begin each with [[{name}]], in two brackets")),
    }
}

fn known_in_section(
    origin: &str,
    section: &Section,
    value: Value,
    notes: &mut Notes,
) -> Result<Value, String> {
    let name = section.name;
    let ValueKind::Table(table) = value.kind else {
        return Err(format!("{name} is a section: write [{name}], and its keys below"));
    };
    let mut known = Values::new();
    for (key, value) in in_order(table) {
        if section.keys.contains(&key.as_str()) {
            known.insert(key, value);
        } else {
            let meant = keys::did_you_mean(&key, section.keys);
            notes.add(Mistake::new(origin, format_args!("{name} has no key {key:?}{meant}")));
        }
    }
    Ok(Value::new(Some(&origin.to_owned()), known))
}

fn unknown_at_the_top(name: &str, value: &Value) -> String {
    if matches!(value.kind, ValueKind::Table(_) | ValueKind::Array(_)) {
        let sections = SECTIONS.iter().map(|section| format!("[{}]", section.name));
        let lists = [CONTRACT, RECIPIENT].map(|list| format!("[[{list}]]"));
        let meant = keys::did_you_mean(&format!("[{name}]"), sections.chain(lists));
        return format!("there is no section {name:?}{meant}");
    }
    let home = SECTIONS.iter().find(|section| section.keys.contains(&name)).map(|home| home.name);
    let home = home.or_else(|| CONTRACT_KEYS.contains(&name).then_some("[contract]"));
    let home = home.or_else(|| RECIPIENT_KEYS.contains(&name).then_some("[recipient]"));
    match home {
        Some(home) => format!("{name:?} stands in no section: it belongs below [{home}]"),
        None => format!("{name:?} stands in no section, and no section has such a key"),
    }
}

fn read_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    notes: &mut Notes,
) -> Layer {
    let mut sections = Values::new();
    let origin = ENVIRONMENT.to_owned();
    let mut meant_for_us: Vec<_> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(keys::ENVIRONMENT_PREFIX))
        .collect();
    meant_for_us.sort();
    for (name, text) in meant_for_us {
        let found = SECTIONS.iter().find_map(|section| {
            let key = section.keys.iter().find(|key| keys::variable(section.name, key) == name)?;
            Some((section.name, *key))
        });
        let Some((section, key)) = found else {
            notes.add(Mistake::new(ENVIRONMENT, unknown_variable(&name)));
            continue;
        };
        let value = Value::new(Some(&origin), text);
        let table = sections.entry(section.to_owned()).or_insert_with(|| Values::new().into());
        if let ValueKind::Table(table) = &mut table.kind {
            table.insert(key.to_owned(), value);
        }
    }
    Layer(sections)
}

fn unknown_variable(name: &str) -> String {
    let shown = name.escape_debug();
    for list in [CONTRACT, RECIPIENT] {
        let variable = keys::variable(list, "");
        if name.to_uppercase().starts_with(variable.trim_end_matches('_')) {
            return format!(
                "{shown} sets nothing: {list}s are not set in the environment; \
                 write [[{list}]] in a file and name it with --config"
            );
        }
    }
    let variables = SECTIONS
        .iter()
        .flat_map(|section| section.keys.iter().map(|key| keys::variable(section.name, key)));
    // The prefix is right already: it says nothing about what was meant.
    let prefix = keys::ENVIRONMENT_PREFIX.len();
    let meant = keys::nearest(&name[prefix..], variables.map(|name| name[prefix..].to_owned()));
    match meant {
        Some(meant) => {
            format!("{shown} sets nothing: did you mean {}{meant}?", keys::ENVIRONMENT_PREFIX)
        }
        None => format!("{shown} sets nothing"),
    }
}

/// The values in order of their names, so that mistakes are always said in the same order.
fn in_order(table: Values) -> Vec<(String, Value)> {
    let mut values: Vec<_> = table.into_iter().collect();
    values.sort_by(|(a, _), (b, _)| a.cmp(b));
    values
}
