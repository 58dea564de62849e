//! The alerts of a replay as CSV.

use std::borrow::Cow;

use crate::domain::alert::{AlertKind, Resolution};
use crate::domain::calendar::Night;
use crate::domain::instant::{Instant, format_seconds};
use crate::domain::refs::{ContractId, VisitRef};

/// The columns, in order.
pub const COLUMNS: [&str; 8] =
    ["contract", "night", "visit_ref", "kind", "due_at", "raised_at", "resolved_at", "resolution"];

/// An alert that a replay raised.
#[derive(Debug, Clone)]
pub struct Line {
    /// The contract.
    pub contract: ContractId,
    /// The night.
    pub night: Night,
    /// The visit, if it is about one.
    pub visit_ref: Option<VisitRef>,
    /// What was wrong.
    pub kind: AlertKind,
    /// The instant of the rule.
    pub due_at: Instant,
    /// When it was raised.
    pub raised_at: Instant,
    /// When and how it ended.
    pub resolved: Option<(Instant, Resolution)>,
}

/// Writes alerts, ordered by `due_at`, contract, visit, kind, `raised_at`.
#[must_use]
pub fn csv(mut lines: Vec<Line>) -> Vec<u8> {
    lines.sort_by(|a, b| {
        let key = |line: &Line| (line.due_at, line.contract.clone(), line.visit_ref.clone());
        let rest = |line: &Line| (line.kind.as_str(), line.raised_at);
        key(a).cmp(&key(b)).then_with(|| rest(a).cmp(&rest(b)))
    });
    let mut writer = super::csv_writer();
    super::csv_row(&mut writer, COLUMNS.map(Cow::from));
    for line in &lines {
        let cells: [Cow<'_, str>; 8] = [
            line.contract.as_str().into(),
            super::visits::night(line.night).into(),
            line.visit_ref.as_ref().map_or("", VisitRef::as_str).into(),
            line.kind.as_str().into(),
            format_seconds(line.due_at).into(),
            format_seconds(line.raised_at).into(),
            super::visits::seconds(line.resolved.map(|(at, _)| at)),
            line.resolved.map_or("", |(_, resolution)| resolution.as_str()).into(),
        ];
        super::csv_row(&mut writer, cells);
    }
    super::csv_bytes(writer)
}
