//! The `OpenAPI` document: every guarded route, what it takes and what it answers. `docs/openapi.json` has
//! it as a file.

use serde_json::{Map, Value, json};

use super::{doors::Door, guarded};
use crate::domain::contact::ContactOutcome;
use crate::domain::correction::{COMMENT_MAX_CHARS, Outcome};
use crate::domain::role::{Deed, Role};
use crate::domain::visit::{Flag, Status};
use crate::wire::schema;

/// What a route is for, what it takes, and what it answers.
struct Shape {
    summary: &'static str,
    query: &'static [(&'static str, &'static str)],
    takes: Option<Value>,
    status: u16,
    answers: Value,
}

fn shape(summary: &'static str, answers: Value) -> Shape {
    Shape { summary, query: &[], takes: None, status: 200, answers }
}

fn component(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list_of(schema: &Value) -> Value {
    json!({"type": "array", "items": schema})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn remark() -> Value {
    json!({"type": "string", "maxLength": COMMENT_MAX_CHARS})
}

fn instant() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn or_null(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

/// An object of these fields, of which the first so many must be there.
fn object(required: usize, fields: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = fields.iter().take(required).map(|(name, _)| *name).collect();
    let fields: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "required": names, "properties": fields})
}

const WEEKS: &[(&str, &str)] = &[
    ("from", "a day of the first week, YYYY-MM-DD; required"),
    ("weeks", "how many weeks; 4 unless given"),
    ("format", "csv or json; else by Accept"),
];

/// The shape of a route; `None`: it is a form of a page.
#[allow(clippy::too_many_lines, reason = "a table")]
fn shape_of(door: &Door) -> Option<Shape> {
    let path = door.path.strip_prefix("/api/v1/")?;
    let alert = || component("Alert");
    let done = || object(2, &[("status", json!({"const": "done"})), ("see", text())]);
    let accepted = || {
        object(
            3,
            &[("status", json!({"const": "accepted"})), ("contract", text()), ("event_id", text())],
        )
    };
    let noted = Some(object(0, &[("note", remark())]));
    Some(match (door.method.as_str(), path) {
        ("GET", "contracts/{contract}/nights/{night}") => shape(
            "The visits of a night with their alerts, and what is not placed.",
            component("Night"),
        ),
        ("GET", "contracts/{contract}/nights/{night}/plan") => {
            shape("What is remarkable about the plan of a night, as sentences.", list_of(&text()))
        }
        ("GET", "contracts/{contract}/visits/{visit}") => {
            shape("One visit with its whole story.", component("Story"))
        }
        ("GET", "contracts/{contract}/suspensions") => shape(
            "Clients who are suspended, and for how many days their hours have been held.",
            list_of(&component("Suspension")),
        ),
        ("POST", "contracts/{contract}/clients/{client}/suspension") => Shape {
            takes: Some(object(
                1,
                &[
                    ("from", instant()),
                    ("reason", remark()),
                    ("to", instant()),
                    ("notified_at", instant()),
                ],
            )),
            status: 201,
            ..shape("Suspends a client, or says until when.", component("Suspension"))
        },
        ("GET", "alerts") => Shape {
            query: &[
                (
                    "state",
                    "open (acknowledged ones too), acknowledged or resolved; all unless given",
                ),
                ("contract", "of that contract only"),
                ("after", "those after this alert, the last of a page"),
                ("limit", "how many; 100 unless given, 1000 at most"),
            ],
            ..shape(
                "The alerts, the latest first, page by page.",
                object(2, &[("alerts", list_of(&alert())), ("next", or_null(&text()))]),
            )
        },
        ("POST", "alerts/{alert}/acknowledge") => {
            Shape { takes: noted, ..shape("Somebody takes care of the alert.", alert()) }
        }
        ("POST", "alerts/{alert}/contact") => Shape {
            takes: Some(object(
                1,
                &[
                    ("spoke_to", text()),
                    ("outcome", words(ContactOutcome::ALL, ContactOutcome::as_str)),
                    ("at", instant()),
                    ("new_time", instant()),
                    ("reason", remark()),
                    ("note", remark()),
                ],
            )),
            ..shape("Somebody rang the client (R23).", alert())
        },
        ("POST", "alerts/{alert}/resolve") => {
            Shape { takes: noted, ..shape("A coordinator has dealt with the alert.", alert()) }
        }
        ("POST", "contracts/{contract}/visits/{visit}/corrections") => Shape {
            takes: Some(object(
                0,
                &[
                    ("outcome", outcomes()),
                    ("reason", remark()),
                    ("comment", remark()),
                    ("return_comment", remark()),
                ],
            )),
            status: 201,
            ..shape("A coordinator corrects a visit, or withdraws that.", done())
        },
        ("POST", "contracts/{contract}/events/{event}/place") => Shape {
            takes: Some(object(1, &[("visit_ref", text()), ("reason", remark())])),
            status: 201,
            ..shape("An event belongs to this visit.", done())
        },
        ("POST", "contracts/{contract}/events") => Shape {
            takes: Some(json!({"allOf": [
                object(3, &[("type", text()), ("occurred_at", instant()), ("carer_ref", text())]),
                object(0, &[("why", remark())]),
            ]})),
            status: 201,
            ..shape("What a carer phoned in: the fields of an event, and why.", accepted())
        },
        ("GET", "rejected") => Shape {
            query: &[("before", "those before this number, the last of a page")],
            ..shape(
                "Messages that could not be used, the latest first, page by page.",
                object(
                    2,
                    &[("rejected", list_of(&component("Rejected"))), ("next", or_null(&text()))],
                ),
            )
        },
        ("POST", "rejected/{rejected}/retry") => {
            shape("Tries a message again, once its cause is put right.", accepted())
        }
        ("GET", "contracts/{contract}/schedule-3") => Shape {
            query: WEEKS,
            ..shape("Schedule 3 (R27 to R29).", object(1, &[("rows", list_of(&component("Row")))]))
        },
        ("GET", "contracts/{contract}/visits") => Shape {
            query: WEEKS,
            ..shape("The visit log.", object(1, &[("visits", list_of(&component("Visit")))]))
        },
        ("GET", "contracts/{contract}/punctuality") => Shape {
            query: WEEKS,
            ..shape(
                "Punctuality, contact within 30 minutes, missed visits (R17, R23).",
                component("Punctuality"),
            )
        },
        ("GET", "stream") => {
            shape("Server-sent events: every change of a visit or an alert.", text())
        }
        ("POST", "import/{kind}") => Shape {
            query: &[("dry_run", "true: say what would be imported, and import nothing")],
            takes: Some(text()),
            ..shape(
                "Plan or registers from a file, CSV or JSON Lines: all of it or nothing.",
                object(
                    2,
                    &[
                        ("imported", json!({"type": "integer"})),
                        ("unchanged", json!({"type": "integer"})),
                        ("dry_run", json!({"type": "boolean"})),
                        ("warnings", list_of(&component("BadRow"))),
                    ],
                ),
            )
        },
        _ => return None,
    })
}

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Value {
    json!({"enum": all.iter().map(|each| word(*each)).collect::<Vec<_>>()})
}

fn outcomes() -> Value {
    let mut all: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    all.push("withdraw");
    json!({"enum": all})
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn components() -> Value {
    let whole = || json!({"type": "integer"});
    let maybe = |schema: Value| or_null(&schema);
    let attendance = object(
        3,
        &[
            ("check_in", maybe(instant())),
            ("check_out", maybe(instant())),
            ("inside", json!({"type": "boolean"})),
            ("carer_ref", text()),
            ("off_site_m", maybe(whole())),
        ],
    );
    let visit = object(
        6,
        &[
            ("contract", text()),
            ("night", json!({"type": "string", "format": "date"})),
            ("visit_ref", text()),
            ("client_ref", text()),
            ("status", words(Status::ALL, Status::as_str)),
            ("flags", list_of(&words(Flag::ALL, Flag::as_str))),
            ("service", text()),
            ("service_level", text()),
            ("run", maybe(text())),
            ("planned_start", maybe(instant())),
            ("planned_end", maybe(instant())),
            ("carers_required", maybe(whole())),
            ("present", whole()),
            ("start", maybe(instant())),
            ("end", maybe(instant())),
            ("call_seconds", maybe(whole())),
            ("deviation_seconds", maybe(whole())),
            ("reason", maybe(text())),
            ("attendances", list_of(&attendance)),
        ],
    );
    let (_, mut said) = schema::all().into_iter().nth(2).unwrap_or_default();
    if let Some(said) = said.as_object_mut() {
        said.remove("$schema");
    }
    let act = object(
        3,
        &[
            ("at", instant()),
            ("by", text()),
            ("kind", json!({"enum": ["acknowledged", "contact", "resolved"]})),
            ("note", maybe(text())),
            ("spoke_to", maybe(text())),
            ("outcome", maybe(words(ContactOutcome::ALL, ContactOutcome::as_str))),
            ("spoke_at", maybe(instant())),
            ("new_time", maybe(instant())),
            ("reason", maybe(text())),
        ],
    );
    let contact = json!({"enum": ["none", "runs", "met", "met_late", "missed"]});
    let alert = json!({"allOf": [
        said, object(1, &[("contact", contact), ("acts", list_of(&component("Act")))]),
    ]});
    let tally: Vec<(&str, Value)> = [
        "planned",
        "to_deliver",
        "within_tolerance",
        "start_unknown",
        "late",
        "missed",
        "contacts_due",
        "contacts_in_time",
    ]
    .into_iter()
    .map(|name| (name, whole()))
    .chain(
        ["punctuality_percent", "contact_percent"]
            .map(|name| (name, maybe(json!({"type": "number"})))),
    )
    .collect();
    let tally = object(tally.len(), &tally);
    json!({
        "Problem": object(3, &[("title", text()), ("status", whole()), ("detail", text()), ("type", text())]),
        "Visit": visit,
        "Alert": alert,
        "Act": act,
        "Event": object(5, &[
            ("event_id", text()), ("type", text()), ("occurred_at", instant()),
            ("received_at", instant()), ("effective_at", instant()), ("reason", maybe(text())),
            ("carer_ref", text()), ("sender", text()), ("placed_by", text()), ("topic", text()),
            ("payload", json!({})), ("duplicates", whole()), ("handed_in_by", text()),
            ("handed_in_why", text()),
        ]),
        "Night": object(6, &[
            ("contract", text()), ("night", text()), ("as_of", instant()),
            ("visits", list_of(&component("Visit"))), ("alerts", list_of(&component("Alert"))),
            ("unplaced", list_of(&component("Event"))),
        ]),
        "Story": {"allOf": [component("Visit"), object(6, &[
            ("plan", list_of(&json!({"type": "object"}))), ("events", list_of(&component("Event"))),
            ("corrections", list_of(&json!({"type": "object"}))),
            ("alerts", list_of(&component("Alert"))),
            ("notifications", list_of(&json!({"type": "object"}))),
            ("schedule_3", json!({"type": "object"})),
        ])]},
        "Suspension": object(7, &[
            ("client_ref", text()), ("from", instant()), ("to", maybe(instant())),
            ("notified_at", instant()), ("reason", text()), ("held_days", whole()),
            ("held_max_days", whole()),
        ]),
        "Rejected": object(8, &[
            ("id", whole()), ("topic", text()), ("code", text()), ("detail", text()),
            ("received_at", instant()), ("times", whole()), ("taken", json!({"type": "boolean"})),
            ("payload", text()),
        ]),
        "Row": object(13, &[
            ("service", text()), ("service_level_type", text()), ("client_reference", text()),
            ("start_date", text()), ("actual_quantity", text()), ("frustrated_quantity", text()),
            ("cancelled_quantity", text()), ("missed_quantity", text()), ("extra_quantity", text()),
            ("number_of_visits", whole()), ("call_duration", whole()), ("end_date", maybe(text())),
            ("comments", text()),
        ]),
        "Punctuality": object(5, &[
            ("from", text()), ("to", text()), ("target_percent", whole()), ("contract", tally.clone()),
            ("clients", list_of(&tally)),
        ]),
        "BadRow": object(3, &[("line", whole()), ("column", maybe(text())), ("reason", text())]),
    })
}

/// The names in braces of a path.
fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn operation(door: &Door, shape: Shape) -> Value {
    let named = parameters(door.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": text()}));
    let asked = shape.query.iter().map(|(name, about)| {
        json!({"name": name, "in": "query", "description": about, "schema": text()})
    });
    let roles: Vec<&str> =
        Role::ALL.iter().filter(|role| role.may(door.deed)).map(|role| role.as_str()).collect();
    let kind = match door.path {
        "/api/v1/stream" => "text/event-stream",
        _ => "application/json",
    };
    let problem = json!({
        "description": "What is wrong, and what to do.",
        "content": {"application/problem+json": {"schema": component("Problem")}},
    });
    let mut operation = json!({
        "summary": shape.summary,
        "description": format!("For: {}.", roles.join(", ")),
        "parameters": named.chain(asked).collect::<Vec<_>>(),
        "responses": {
            shape.status.to_string(): {
                "description": "Done.", "content": {kind: {"schema": shape.answers}},
            },
            "default": problem,
        },
    });
    if let Some(takes) = shape.takes {
        let kind = if door.deed == Deed::Import { "text/csv" } else { "application/json" };
        operation["requestBody"] = json!({"content": {kind: {"schema": takes}}});
    }
    operation
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for door in guarded() {
        let Some(shape) = shape_of(&door) else { continue };
        let of_path = paths.entry(door.path.to_owned()).or_insert_with(|| json!({}));
        of_path[door.method.as_str().to_lowercase()] = operation(&door, shape);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "nightrun", "version": "1",
            "description": "Knows, at night, whether somebody came. See docs/api.md.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_the_api_is_in_it() {
        for door in guarded() {
            let is_page = !door.path.starts_with("/api/");
            assert_eq!(shape_of(&door).is_none(), is_page, "{door:?}");
        }
    }

    #[test]
    fn what_it_refers_to_is_there() {
        let document = document();
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
