//! What coordinators decided: rows of a `corrections` file, JSON Lines.

use super::cells::{Cells, Noted};
use super::values::{instant, line_of, parsed, word};
use super::{Column, FileRow};
use crate::domain::correction::{
    BY_MAX_CHARS, COMMENT_MAX_CHARS, Correction, CorrectionKind, Outcome,
};
use crate::domain::refs::{EventId, VisitRef};

const WITHDRAW: &str = "withdraw";

impl FileRow for Correction {
    const COLUMNS: &'static [Column] = &[
        Column::required("at"),
        Column::required("by"),
        Column::required("contract"),
        Column::optional("visit_ref"),
        Column::optional("event_id"),
        Column::optional("outcome"),
        Column::optional("place"),
        Column::optional("reason"),
        Column::optional("comment"),
        Column::optional("return_comment"),
    ];
    const JSON_LINES_ONLY: bool = true;

    fn read(cells: &mut Cells<'_>) -> Result<Self, Noted> {
        let at = cells.required("at", instant);
        let by = cells.required("by", line_of(BY_MAX_CHARS));
        let contract = cells.contract();
        let what = what(cells);
        let reason = cells.optional("reason", line_of(COMMENT_MAX_CHARS));
        let comment = cells.optional("comment", line_of(COMMENT_MAX_CHARS));
        let return_comment = cells.optional("return_comment", line_of(COMMENT_MAX_CHARS));
        Ok(Self {
            at: at?,
            by: by?,
            contract: contract?.id.clone(),
            reason: reason?,
            comment: comment?,
            return_comment: return_comment?,
            what: what?,
        })
    }
}

fn what(cells: &mut Cells<'_>) -> Result<CorrectionKind, Noted> {
    let outcomes: Vec<(&str, Option<Outcome>)> = Outcome::ALL
        .iter()
        .map(|outcome| (outcome.as_str(), Some(*outcome)))
        .chain([(WITHDRAW, None)])
        .collect();
    let visit_ref = cells.optional("visit_ref", parsed::<VisitRef>);
    let event_id = cells.optional("event_id", parsed::<EventId>);
    let outcome = cells.optional("outcome", word(&outcomes));
    let place = cells.optional("place", parsed::<VisitRef>);
    let has_comment = cells.has("comment") || cells.has("return_comment");
    match (visit_ref?, event_id?, outcome?, place?) {
        (Some(visit_ref), None, Some(Some(outcome)), None) => {
            Ok(CorrectionKind::Outcome { visit_ref, outcome })
        }
        (Some(visit_ref), None, Some(None), None) => Ok(CorrectionKind::Withdraw { visit_ref }),
        (Some(visit_ref), None, None, None) if has_comment => {
            Ok(CorrectionKind::Comment { visit_ref })
        }
        (None, Some(event_id), None, Some(visit_ref)) => {
            Ok(CorrectionKind::Place { event_id, visit_ref })
        }
        _ => Err(cells.bad_row(
            "must have visit_ref with outcome or a comment, or event_id with place, and not both",
        )),
    }
}
