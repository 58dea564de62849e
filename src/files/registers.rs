//! The registers: rows of `clients`, `carers`, `devices`, `tags` and `suspensions` files.

use std::sync::Arc;

use chrono::NaiveDate;

use super::cells::{Cells, Noted};
use super::values::{date, line_of, number, parsed, word};
use super::{Column, FileRow};
use crate::domain::plan::{CarerRow, ClientRow, DeviceRow, Employment, LatLon, Suspension, TagRow};
use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, ClientRef, DeviceRef, Tag};

const PERSONAL_MAX_CHARS: usize = 200;
const REASON_MAX_CHARS: usize = 500;
const FENCE_MAX_M: f64 = 100_000.0;

const EMPLOYMENT: &[(&str, Employment)] = &[
    ("permanent", Employment::Permanent),
    ("temporary", Employment::Temporary),
    ("agency", Employment::Agency),
];

/// The key of a row that holds from a date on.
fn once_from(
    cells: &mut Cells<'_>,
    (column, key_columns): (&str, &str),
    contract: &Result<Arc<Contract>, Noted>,
    reference: Option<&str>,
    from: Result<Option<NaiveDate>, Noted>,
) {
    if let (Ok(contract), Some(reference), Ok(from)) = (contract, reference, from) {
        let from = from.map(|from| from.to_string()).unwrap_or_default();
        cells.once(column, key_columns, &[contract.id.as_str(), reference, &from]);
    }
}

impl FileRow for ClientRow {
    const COLUMNS: &'static [Column] = &[
        Column::required("contract"),
        Column::required("client_ref"),
        Column::optional("lat"),
        Column::optional("lon"),
        Column::optional("fence_m"),
        Column::optional("display_name"),
        Column::optional("phone"),
        Column::optional("from"),
    ];

    fn read(cells: &mut Cells<'_>) -> Result<Self, Noted> {
        let contract = cells.contract();
        let client_ref = cells.required("client_ref", parsed::<ClientRef>);
        let home = home(cells);
        let fence_m = cells.optional("fence_m", fence);
        let display_name = cells.optional("display_name", line_of(PERSONAL_MAX_CHARS));
        let phone = cells.optional("phone", line_of(PERSONAL_MAX_CHARS));
        let from = cells.optional("from", date);
        let reference = client_ref.as_ref().ok().map(ClientRef::as_str);
        let key = ("client_ref", "contract, client_ref and from");
        once_from(cells, key, &contract, reference, from);
        Ok(Self {
            contract: contract?.id.clone(),
            client_ref: client_ref?,
            home: home?,
            fence_m: fence_m?,
            display_name: display_name?,
            phone: phone?,
            from: from?,
        })
    }
}

/// Where the client lives; latitude and longitude come together.
fn home(cells: &mut Cells<'_>) -> Result<Option<LatLon>, Noted> {
    let lat = cells.optional("lat", number(-90.0, 90.0));
    let lon = cells.optional("lon", number(-180.0, 180.0));
    match (cells.has("lat"), cells.has("lon")) {
        (true, false) => return Err(cells.bad("lon", "is missing; lat needs it")),
        (false, true) => return Err(cells.bad("lat", "is missing; lon needs it")),
        _ => {}
    }
    Ok(lat?.zip(lon?).map(|(lat, lon)| LatLon { lat, lon }))
}

fn fence(text: &str) -> Result<f64, String> {
    number(0.0, FENCE_MAX_M)(text)
        .ok()
        .filter(|radius| *radius > 0.0)
        .ok_or_else(|| format!("must be a number of metres above 0 and up to {FENCE_MAX_M}"))
}

impl FileRow for CarerRow {
    const COLUMNS: &'static [Column] = &[
        Column::required("contract"),
        Column::required("carer_ref"),
        Column::required("employment"),
        Column::optional("display_name"),
    ];

    fn read(cells: &mut Cells<'_>) -> Result<Self, Noted> {
        let contract = cells.contract();
        let carer_ref = cells.required("carer_ref", parsed::<CarerRef>);
        let employment = cells.required("employment", word(EMPLOYMENT));
        let display_name = cells.optional("display_name", line_of(PERSONAL_MAX_CHARS));
        if let (Ok(contract), Ok(carer_ref)) = (&contract, &carer_ref) {
            let key = [contract.id.as_str(), carer_ref.as_str()];
            cells.once("carer_ref", "contract and carer_ref", &key);
        }
        Ok(Self {
            contract: contract?.id.clone(),
            carer_ref: carer_ref?,
            employment: employment?,
            display_name: display_name?,
        })
    }
}

impl FileRow for DeviceRow {
    const COLUMNS: &'static [Column] = &[
        Column::required("contract"),
        Column::required("device_ref"),
        Column::required("client_ref"),
        Column::optional("from"),
    ];

    fn read(cells: &mut Cells<'_>) -> Result<Self, Noted> {
        let contract = cells.contract();
        let device_ref = cells.required("device_ref", parsed::<DeviceRef>);
        let client_ref = cells.required("client_ref", parsed);
        let from = cells.optional("from", date);
        let reference = device_ref.as_ref().ok().map(DeviceRef::as_str);
        let key = ("device_ref", "contract, device_ref and from");
        once_from(cells, key, &contract, reference, from);
        Ok(Self {
            contract: contract?.id.clone(),
            device_ref: device_ref?,
            client_ref: client_ref?,
            from: from?,
        })
    }
}

impl FileRow for TagRow {
    const COLUMNS: &'static [Column] = &[
        Column::required("contract"),
        Column::required("tag"),
        Column::required("client_ref"),
        Column::optional("from"),
    ];

    fn read(cells: &mut Cells<'_>) -> Result<Self, Noted> {
        let contract = cells.contract();
        let tag = cells.required("tag", parsed::<Tag>);
        let client_ref = cells.required("client_ref", parsed);
        let from = cells.optional("from", date);
        let reference = tag.as_ref().ok().map(Tag::as_str);
        once_from(cells, ("tag", "contract, tag and from"), &contract, reference, from);
        Ok(Self { contract: contract?.id.clone(), tag: tag?, client_ref: client_ref?, from: from? })
    }
}

impl FileRow for Suspension {
    const COLUMNS: &'static [Column] = &[
        Column::required("contract"),
        Column::required("client_ref"),
        Column::required("from"),
        Column::required("reason"),
        Column::optional("to"),
        Column::optional("notified_at"),
    ];

    fn read(cells: &mut Cells<'_>) -> Result<Self, Noted> {
        let contract = cells.contract();
        let known = contract.as_deref().map_err(|noted| *noted);
        let client_ref = cells.required("client_ref", parsed::<ClientRef>);
        let from = cells.required_time("from", known);
        let to = cells.time("to", known);
        let notified_at = cells.time("notified_at", known);
        let reason = cells.required("reason", line_of(REASON_MAX_CHARS));
        if let (Ok(from), Ok(Some(to))) = (from, to)
            && to <= from
        {
            cells.bad("to", "must be after from");
        }
        if let (Ok(contract), Ok(client_ref), Ok(from)) = (&contract, &client_ref, from) {
            let from = from.timestamp_micros().to_string();
            let key = [contract.id.as_str(), client_ref.as_str(), &from];
            cells.once("client_ref", "contract, client_ref and from", &key);
        }
        let from = from?;
        Ok(Self {
            contract: contract?.id.clone(),
            client_ref: client_ref?,
            from,
            to: to?,
            notified_at: notified_at?.unwrap_or(from),
            reason: reason?,
        })
    }
}
