//! A file to be imported: its kind on the first line, the file after it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use nightrun::domain::correction::{Correction, CorrectionKind};
use nightrun::domain::instant::format_instant;
use nightrun::domain::plan::{CarerRow, ClientRow, DeviceRow, PlannedVisit, Suspension, TagRow};
use nightrun::domain::policy::Contract;
use nightrun::domain::refs::{CarerRef, ContractId};
use nightrun::files::{EventLine, FileRow, Findings, Rows};
use serde_json::{Value, json};

/// Each row of a file is either read or listed as bad; and rows that were read and are written down are
/// read the same.
pub fn file(input: &[u8]) {
    let Some((kind, file)) = super::first_line(input) else { return };
    match kind {
        "visits" => check::<PlannedVisit>(file),
        "clients" => check::<ClientRow>(file),
        "carers" => check::<CarerRow>(file),
        "devices" => check::<DeviceRow>(file),
        "tags" => check::<TagRow>(file),
        "suspensions" => check::<Suspension>(file),
        "corrections" => check::<Correction>(file),
        "events" => check::<EventLine>(file),
        _ => {}
    }
}

fn read<T: FileRow>(file: &[u8]) -> (Vec<(u64, T)>, Findings) {
    let contract = Arc::new(super::BUILT_IN.clone());
    let contracts = |id: &ContractId| -> Option<Arc<Contract>> {
        (*id == contract.id).then(|| contract.clone())
    };
    let mut rows = Rows::new(file, &contracts);
    let good = rows.by_ref().map(|row| row.expect("no file, no trouble")).collect();
    (good, rows.into_findings())
}

fn check<T: Written>(file: &[u8]) {
    let (good, findings) = read::<T>(file);
    let (again, findings_again) = read::<T>(file);
    assert_eq!((&good, &findings), (&again, &findings_again));

    assert!(good.is_sorted_by(|(line, _), (next, _)| line < next));
    let last_line = u64::try_from(file.split(|byte| *byte == b'\n').count()).expect("small");
    let good_lines: BTreeSet<u64> = good.iter().map(|(line, _)| *line).collect();
    let mut bad_lines = BTreeSet::new();
    for bad in findings.bad.first() {
        bad_lines.insert(bad.line);
        assert!((1..=last_line).contains(&bad.line), "{bad}");
        assert!(bad.to_string().starts_with(&format!("line {}", bad.line)), "{bad}");
        assert!(!bad.reason.is_empty() && bad.column.as_deref() != Some(""), "{bad}");
        super::check_shown(&bad.to_string(), 1_000);
    }
    for warning in findings.warnings.first() {
        assert!((1..=last_line).contains(&warning.line), "{warning}");
        super::check_shown(&warning.to_string(), 1_000);
    }
    assert!(good_lines.is_disjoint(&bad_lines), "a row is good or bad, and not both");
    assert_eq!(findings.is_good(), bad_lines.is_empty());
    if findings.bad.more() == 0 {
        every_row_is_accounted_for::<T>(file, &good_lines, &bad_lines);
    }

    let rows: Vec<T> = good.into_iter().map(|(_, row)| row.without_what_is_not_written()).collect();
    let written: Vec<String> = rows.iter().map(Written::written).collect();
    if !rows.is_empty() {
        let (again, findings) = read::<T>(written.join("\n").as_bytes());
        assert!(findings.is_good(), "{}", findings.bad);
        let again: Vec<T> =
            again.into_iter().map(|(_, row)| row.without_what_is_not_written()).collect();
        assert_eq!(again, rows);
    }
}

/// Of a file without quotes, in which every line is a row.
fn every_row_is_accounted_for<T: FileRow>(file: &[u8], good: &BTreeSet<u64>, bad: &BTreeSet<u64>) {
    let text = String::from_utf8_lossy(file);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut rows: BTreeSet<u64> = (1..)
        .zip(text.split('\n'))
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(n, _)| n)
        .collect();
    let first = text.split('\n').find(|line| !line.trim().is_empty()).unwrap_or_default();
    let json = T::JSON_LINES_ONLY || first.trim_start().starts_with('{');
    if !json {
        let header = rows.pop_first();
        if text.contains('"') || header.is_none_or(|header| bad.contains(&header)) {
            return;
        }
    }
    assert_eq!(rows, good | bad);
}

/// A row that can be written as a line of JSON.
trait Written: FileRow + PartialEq + Debug {
    fn written(&self) -> String;

    fn without_what_is_not_written(self) -> Self {
        self
    }
}

fn text<T: ToString>(value: Option<&T>) -> Value {
    value.map(ToString::to_string).into()
}

impl Written for PlannedVisit {
    fn written(&self) -> String {
        let carers: Vec<&str> = self.carers.iter().map(CarerRef::as_str).collect();
        let carers = if carers.is_empty() { Value::Null } else { carers.into() };
        json!({
            "contract": self.contract.as_str(), "visit_ref": self.visit_ref.as_str(),
            "service": self.service, "service_level": self.service_level,
            "client_ref": self.client_ref.as_str(), "run": text(self.run.as_ref()),
            "planned_start": format_instant(self.start), "planned_end": format_instant(self.end),
            "carers_required": self.carers_required, "carers": carers,
            "time_specific": self.time_specific,
            "cancelled_at": self.cancellation.as_ref().map(|how| format_instant(how.at)),
            "cancelled_by": text(self.cancellation.as_ref().map(|how| &how.by)),
            "cancel_reason": self.cancellation.as_ref().and_then(|how| how.reason.clone()),
        })
        .to_string()
    }

    /// A quantity is shown with two decimals, and may have more.
    fn without_what_is_not_written(self) -> Self {
        Self { quantity: None, ..self }
    }
}

impl Written for ClientRow {
    fn written(&self) -> String {
        json!({
            "contract": self.contract.as_str(), "client_ref": self.client_ref.as_str(),
            "lat": self.home.map(|home| home.lat), "lon": self.home.map(|home| home.lon),
            "fence_m": self.fence_m, "display_name": self.display_name, "phone": self.phone,
            "from": text(self.from.as_ref()),
        })
        .to_string()
    }
}

impl Written for CarerRow {
    fn written(&self) -> String {
        json!({
            "contract": self.contract.as_str(), "carer_ref": self.carer_ref.as_str(),
            "employment": self.employment.as_str(), "display_name": self.display_name,
        })
        .to_string()
    }
}

impl Written for DeviceRow {
    fn written(&self) -> String {
        json!({
            "contract": self.contract.as_str(), "device_ref": self.device_ref.as_str(),
            "client_ref": self.client_ref.as_str(), "from": text(self.from.as_ref()),
        })
        .to_string()
    }
}

impl Written for TagRow {
    fn written(&self) -> String {
        json!({
            "contract": self.contract.as_str(), "tag": self.tag.as_str(),
            "client_ref": self.client_ref.as_str(), "from": text(self.from.as_ref()),
        })
        .to_string()
    }
}

impl Written for Suspension {
    fn written(&self) -> String {
        json!({
            "contract": self.contract.as_str(), "client_ref": self.client_ref.as_str(),
            "from": format_instant(self.from), "to": self.to.map(format_instant),
            "notified_at": format_instant(self.notified_at), "reason": self.reason,
        })
        .to_string()
    }
}

impl Written for Correction {
    fn written(&self) -> String {
        let (visit_ref, event_id, outcome, place) = match &self.what {
            CorrectionKind::Outcome { visit_ref, outcome } => {
                (Some(visit_ref), None, Some(outcome.as_str()), None)
            }
            CorrectionKind::Withdraw { visit_ref } => {
                (Some(visit_ref), None, Some("withdraw"), None)
            }
            CorrectionKind::Place { event_id, visit_ref } => {
                (None, Some(event_id), None, Some(visit_ref))
            }
            CorrectionKind::Comment { visit_ref } => (Some(visit_ref), None, None, None),
        };
        json!({
            "at": format_instant(self.at), "by": self.by, "contract": self.contract.as_str(),
            "visit_ref": text(visit_ref), "event_id": text(event_id), "outcome": outcome,
            "place": text(place), "reason": self.reason, "comment": self.comment,
            "return_comment": self.return_comment,
        })
        .to_string()
    }
}

impl Written for EventLine {
    fn written(&self) -> String {
        let payload = std::str::from_utf8(&self.payload).expect("it was JSON");
        let topic = serde_json::to_string(&self.topic).expect("JSON");
        let received_at = format_instant(self.received_at);
        format!("{{\"topic\":{topic},\"received_at\":\"{received_at}\",\"payload\":{payload}}}")
    }

    fn without_what_is_not_written(self) -> Self {
        Self { line: 0, ..self }
    }
}
