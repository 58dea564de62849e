//! An alert as others see it: one message at each change of its state (R21).

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::text;
use crate::domain::alert::{AlertKind, Resolution, Severity};
use crate::domain::instant::Instant;
use crate::domain::refs::{CarerRef, ClientRef, ContractId, RunRef, VisitRef};
use crate::domain::words::words;

words! {
    /// What has become of it.
    State {
        /// Nobody has acknowledged it.
        Open = "open",
        /// A coordinator has.
        Acknowledged = "acknowledged",
        /// It is over.
        Resolved = "resolved",
    }
}

/// An alert. All its keys are always there, null where there is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertMessage {
    /// The same for the whole life of the alert.
    #[serde(with = "text")]
    pub alert_id: Uuid,
    /// What is wrong.
    pub kind: AlertKind,
    /// How grave it is.
    pub severity: Severity,
    /// What has become of it.
    pub state: State,
    /// The contract.
    #[serde(with = "text")]
    pub contract: ContractId,
    /// The night.
    pub night: Option<NaiveDate>,
    /// The run that the visit is part of.
    #[serde(with = "text::optional")]
    pub run: Option<RunRef>,
    /// The visit.
    #[serde(with = "text::optional")]
    pub visit_ref: Option<VisitRef>,
    /// Whose home.
    #[serde(with = "text::optional")]
    pub client_ref: Option<ClientRef>,
    /// The carer whom it is about.
    #[serde(with = "text::optional")]
    pub carer_ref: Option<CarerRef>,
    /// When the visit was to start.
    #[serde(with = "text::optional_instant")]
    pub planned_start: Option<Instant>,
    /// How many people are present (R13).
    pub present: Option<u32>,
    /// How many the visit needs.
    pub carers_required: Option<u32>,
    /// When it was raised.
    #[serde(with = "text::instant")]
    pub raised_at: Instant,
    /// The instant of the rule that raised it.
    #[serde(with = "text::instant")]
    pub due_at: Instant,
    /// By when somebody must have spoken to the client (R23).
    #[serde(with = "text::optional_instant")]
    pub contact_due_at: Option<Instant>,
    /// Whether it was raised just after blindness (R25).
    pub unconfirmed: bool,
    /// Why it is over.
    pub resolution: Option<Resolution>,
    /// What is wrong, as a sentence, in local time.
    pub detail: String,
    /// Of `monitoring_blind`: the visits to which somebody may or may not have come (R25). The only
    /// key that is left out where there is nothing to say.
    #[serde(with = "text::list", default, skip_serializing_if = "Vec::is_empty")]
    pub visits_at_risk: Vec<VisitRef>,
}

impl AlertMessage {
    /// An open alert that is about no visit, due and raised at that instant.
    #[must_use]
    pub fn open(
        alert_id: Uuid,
        contract: ContractId,
        kind: AlertKind,
        night: NaiveDate,
        due_at: Instant,
        detail: String,
    ) -> Self {
        Self {
            alert_id,
            kind,
            severity: kind.severity(),
            state: State::Open,
            contract,
            night: Some(night),
            run: None,
            visit_ref: None,
            client_ref: None,
            carer_ref: None,
            planned_start: None,
            present: None,
            carers_required: None,
            raised_at: due_at,
            due_at,
            contact_due_at: None,
            unconfirmed: false,
            resolution: None,
            detail,
            visits_at_risk: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::*;
    use crate::domain::instant::{from_micros, parse_instant};

    #[test]
    fn all_keys_are_always_there() {
        let alert = AlertMessage {
            alert_id: Uuid::nil(),
            kind: AlertKind::MonitoringBlind,
            severity: Severity::Critical,
            state: State::Open,
            contract: "thurrock".parse().unwrap(),
            night: NaiveDate::from_ymd_opt(2019, 2, 3),
            run: None,
            visit_ref: None,
            client_ref: None,
            carer_ref: None,
            planned_start: None,
            present: None,
            carers_required: None,
            raised_at: parse_instant("2019-02-04T02:00:00Z").unwrap(),
            due_at: parse_instant("2019-02-04T01:59:00.25Z").unwrap(),
            contact_due_at: None,
            unconfirmed: false,
            resolution: None,
            detail: "Nothing heard since 01:58.".to_owned(),
            visits_at_risk: vec!["V-1".parse().unwrap()],
        };
        assert_eq!(
            serde_json::to_value(&alert).unwrap(),
            json!({
                "alert_id": "00000000-0000-0000-0000-000000000000", "kind": "monitoring_blind",
                "severity": "critical", "state": "open", "contract": "thurrock",
                "night": "2019-02-03", "run": null, "visit_ref": null, "client_ref": null,
                "carer_ref": null, "planned_start": null, "present": null,
                "carers_required": null, "raised_at": "2019-02-04T02:00:00Z",
                "due_at": "2019-02-04T01:59:00.250Z", "contact_due_at": null,
                "unconfirmed": false, "resolution": null,
                "detail": "Nothing heard since 01:58.", "visits_at_risk": ["V-1"],
            })
        );
    }

    #[test]
    fn words_are_the_same_in_json_and_in_text() {
        for kind in AlertKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        assert!("Late".parse::<AlertKind>().is_err());
    }

    fn instant() -> impl Strategy<Value = Instant> {
        (0..4_000_000_000_000_000_i64).prop_map(|micros| from_micros(micros).unwrap())
    }

    fn reference<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>()
    -> impl Strategy<Value = Option<T>> {
        option::of("[A-Za-z0-9._-]{1,64}".prop_map(|text| text.parse().unwrap()))
    }

    prop_compose! {
        fn alerts()(
            (id, kind, severity, state) in (
                any::<u128>(), select(AlertKind::ALL), select(Severity::ALL), select(State::ALL),
            ),
            contract in "[A-Za-z0-9._-]{1,64}",
            (night, run, visit_ref) in (option::of(0..3_000_000_i32), reference(), reference()),
            (client_ref, carer_ref) in (reference(), reference()),
            (planned_start, raised_at, due_at, contact_due_at) in
                (option::of(instant()), instant(), instant(), option::of(instant())),
            (present, carers_required) in (any::<Option<u32>>(), any::<Option<u32>>()),
            unconfirmed: bool,
            resolution in option::of(select(Resolution::ALL)),
            detail: String,
            visits_at_risk in vec("[A-Za-z0-9._-]{1,64}", 0..3),
        ) -> AlertMessage {
            AlertMessage {
                alert_id: Uuid::from_u128(id), kind, severity, state,
                contract: contract.parse().unwrap(),
                night: night.and_then(NaiveDate::from_num_days_from_ce_opt),
                run, visit_ref, client_ref, carer_ref, planned_start, present, carers_required,
                raised_at, due_at, contact_due_at, unconfirmed, resolution, detail,
                visits_at_risk: visits_at_risk.iter().map(|text| text.parse().unwrap()).collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(alert in alerts()) {
            let bytes = serde_json::to_vec(&alert).unwrap();
            prop_assert_eq!(serde_json::from_slice::<AlertMessage>(&bytes).unwrap(), alert);
        }
    }
}
