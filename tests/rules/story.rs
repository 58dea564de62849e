//! Stories: nights told in a few lines, played through the real binary, and what must come of them.
//!
//! A story begins with `# a sentence that says what is shown`. One line says one thing:
//!
//! ```text
//! night 2019-02-04                          the night of times without a date (this one, unless said)
//! contract thurrock                         whose the lines that follow are (this one, unless said)
//! policy unit = "hour"                      a line of the contract's configuration
//! policy from 2019-02-06                    the policy lines that follow are a later version's
//! visit V-1 C-1 02:00..02:30 carers_required=2 cancelled_at=2019-02-04T12:00
//! client C-1 at=51.48,0.32 fence_m=100      likewise: device D-1 C-1, tag T-1 C-1, with from=DATE
//! suspended C-1 18:00..11:00 reason=hospital notified_at=18:00
//! w1 in 02:05 V-1                           also: out, or the reason of a statement
//! w1 in 02:05 C-1 got=02:41 id=#7 via=D-1   received then; event id 7; sent by a telecare unit
//! correct 08:00 V-1 outcome=missed          or only comment=, return_comment=
//! place 08:00 #7 V-1                        a correction that places an event
//! as of 03:00                               the present instant (noon after the night, unless said)
//! => V-1 status=delivered flags=early;short some columns of a visit's row
//! only V-1 U-#7                             these visits, in this order, and no other
//! alert V-1 late 02:30 raised 02:41 staffed 02:50   all alerts of that visit and kind
//! no alerts V-1 late                        none of that kind; of that visit; at all
//! only these alerts                         no alert but those that the story names
//! row C-1 Actual=1.00 Comments="..."        some columns of a row of Schedule 3
//! rows C-1 C-2                              the clients of the rows, in this order, and no other
//! warned V-1                                standard error says something about it; also `not warned`
//! fails planned_end                         nothing is replayed, and standard error says why
//! ```
//!
//! Times are `HH:MM[:SS[.f]]` on the wall clock of the night, from noon to noon; a time with a date
//! is local, one with an offset is taken as it is. An event is received a second after it occurred.
//! `#7` is event id 7. Values with spaces are quoted.

mod text;
mod words;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use text::Story;

/// Plays every story of the text and says everything that is not as told.
#[track_caller]
pub fn tell(text: &str) {
    let mut wrong = String::new();
    let mut told = 0;
    for (sentence, lines) in stories(text) {
        let story = Story::read(&lines);
        told += 1;
        let outcome = play(&story);
        for mistake in judge(&story, &outcome) {
            let _ = writeln!(wrong, "# {sentence}\n    {mistake}");
        }
    }
    assert!(told > 0, "there is no story in this text");
    assert!(wrong.is_empty(), "not as told:\n{wrong}");
}

/// Plays a story for each row of a table.
#[track_caller]
pub fn tell_each<T>(rows: impl IntoIterator<Item = T>, story: impl Fn(T) -> String) {
    tell(&rows.into_iter().map(|row| story(row) + "\n").collect::<String>());
}

/// The three files of the one story in the text, as they were written.
pub fn files(text: &str) -> Vec<String> {
    let stories = stories(text);
    let [(_, lines)] = stories.as_slice() else { panic!("one story is wanted") };
    let outcome = play(&Story::read(lines));
    assert!(outcome.succeeded, "{}", outcome.stderr);
    outcome.files
}

fn stories(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut stories: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (line.strip_prefix("# "), stories.last_mut()) {
            (Some(sentence), _) => stories.push((sentence, Vec::new())),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => panic!("a story begins with `# `: {line}"),
        }
    }
    stories
}

/// What came of a story.
struct Outcome {
    succeeded: bool,
    stderr: String,
    /// The visit log, the alerts, Schedule 3.
    files: Vec<String>,
}

fn play(story: &Story) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightrun"));
    command.env_clear().current_dir(folder.path());
    command.arg("replay").arg("--as-of").arg(&story.as_of).arg("--out").arg(path("out"));
    let inputs = story.inputs();
    for (option, name, text) in &inputs {
        fs::write(path(name), text).unwrap();
        command.arg(option).arg(path(name));
    }
    let output = command.output().unwrap();
    let read = |name: &str| fs::read_to_string(Path::new(&path("out")).join(name));
    let files = ["visits.csv", "alerts.csv", "schedule-3.csv"];
    let files: Vec<String> = files.iter().filter_map(|name| read(name).ok()).collect();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Outcome { succeeded: output.status.success(), stderr, files }
}

/// A CSV file, by column.
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(text: &str) -> Self {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let columns = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect());
        Self { columns, rows: rows.collect() }
    }

    fn cell<'a>(&self, row: &'a [String], column: &str) -> &'a str {
        let index = self.columns.iter().position(|name| name == column);
        &row[index.unwrap_or_else(|| panic!("there is no column {column:?}"))]
    }

    fn differences(&self, row: &[String], wanted: &[(String, String)]) -> Vec<String> {
        wanted
            .iter()
            .filter(|(column, value)| self.cell(row, column) != value)
            .map(|(column, value)| {
                format!("{column} is {:?}, not {value:?}", self.cell(row, column))
            })
            .collect()
    }
}

fn judge(story: &Story, outcome: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    let stderr = &outcome.stderr;
    if let Some(why) = &story.fails {
        if outcome.succeeded || !outcome.files.is_empty() || !stderr.contains(why.as_str()) {
            wrong.push(format!("it should have failed because of {why}: {stderr}"));
        }
        return wrong;
    }
    if !outcome.succeeded {
        wrong.push(format!("it failed: {stderr}"));
        return wrong;
    }
    for (word, wanted) in &story.warned {
        if stderr.contains(word.as_str()) != *wanted {
            wrong.push(format!("standard error and {word}: wanted {wanted}, in {stderr:?}"));
        }
    }
    let [visits, alerts, rows] = [0, 1, 2].map(|index| Table::read(&outcome.files[index]));
    judge_visits(story, &visits, &mut wrong);
    judge_alerts(story, &alerts, &mut wrong);
    judge_rows(story, &rows, &mut wrong);
    wrong
}

fn judge_visits(story: &Story, visits: &Table, wrong: &mut Vec<String>) {
    let names: Vec<&str> = visits.rows.iter().map(|row| visits.cell(row, "visit_ref")).collect();
    if let Some(only) = story.only.as_ref().filter(|only| **only != names) {
        wrong.push(format!("the visits are {names:?}, not {only:?}"));
    }
    for (name, wanted) in &story.visits_wanted {
        match names.iter().position(|other| other == name) {
            None => wrong.push(format!("there is no visit {name}, only {names:?}")),
            Some(index) => {
                for difference in visits.differences(&visits.rows[index], wanted) {
                    wrong.push(format!("{name}: {difference} (in {:?})", visits.rows[index]));
                }
            }
        }
    }
}

fn judge_alerts(story: &Story, alerts: &Table, wrong: &mut Vec<String>) {
    let columns = ["visit_ref", "kind", "due_at", "raised_at", "resolved_at", "resolution"];
    let all: Vec<[String; 6]> =
        alerts.rows.iter().map(|row| columns.map(|name| alerts.cell(row, name).into())).collect();
    let about = |row: &[String; 6]| (row[0].clone(), row[1].clone());
    let named: BTreeSet<_> = story.alerts.iter().map(about).collect();
    for key in &named {
        let of = |rows: &[[String; 6]]| -> Vec<[String; 6]> {
            rows.iter().filter(|row| about(row) == *key).cloned().collect()
        };
        let (got, wanted) = (of(&all), of(&story.alerts));
        if got != wanted {
            let lines = |rows: &[[String; 6]]| -> String {
                rows.iter().fold(String::new(), |text, row| text + "\n        " + &row.join(" "))
            };
            wrong.push(format!("the alerts are{}\n      not{}", lines(&got), lines(&wanted)));
        }
    }
    if story.only_these_alerts {
        for row in all.iter().filter(|row| !named.contains(&about(row))) {
            wrong.push(format!("there is an alert {}", row.join(" ")));
        }
    }
    for words in &story.no_alerts {
        let is_meant = |row: &&[String; 6]| words.iter().zip(*row).all(|(word, cell)| word == cell);
        for row in all.iter().filter(is_meant) {
            wrong.push(format!("there is an alert {}", row.join(" ")));
        }
    }
}

/// Columns that say which row is meant.
const ROW_KEY: [&str; 3] = ["Service", "Service Level Type", "Start Date"];

fn judge_rows(story: &Story, rows: &Table, wrong: &mut Vec<String>) {
    let client = |row: &[String]| rows.cell(row, "Client Reference").to_owned();
    let clients: Vec<String> = rows.rows.iter().map(|row| client(row)).collect();
    if let Some(wanted) = story.rows.as_ref().filter(|wanted| **wanted != clients) {
        wrong.push(format!("the rows are {clients:?}, not {wanted:?}"));
    }
    for (name, wanted) in &story.rows_wanted {
        let is_key = |column: &str| ROW_KEY.contains(&column);
        let key: Vec<_> = wanted.iter().filter(|(name, _)| is_key(name)).cloned().collect();
        let meant: Vec<_> = (rows.rows.iter())
            .filter(|row| client(row) == *name && rows.differences(row, &key).is_empty())
            .collect();
        match meant.as_slice() {
            [row] => {
                for difference in rows.differences(row, wanted) {
                    wrong.push(format!("the row of {name}: {difference}"));
                }
            }
            other => wrong.push(format!("{} rows of {name} and {key:?}: {other:?}", other.len())),
        }
    }
}
