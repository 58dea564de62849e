//! One JSON object of a line, as cells. Numbers keep the digits that the file has.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Shape;

/// The members of an object, in order, repeated names too.
pub(super) struct Object<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Reads a line. The reason names no content: serde's own would quote it.
pub(super) fn object(line: &str) -> Result<Object<'_>, String> {
    serde_json::from_str(line).map_err(|error| {
        if error.is_data() {
            "not a JSON object: each line is one, like {\"contract\":\"default\"}".to_owned()
        } else {
            format!("not valid JSON from byte {} of the line on", error.column())
        }
    })
}

/// The text of a value, as a cell of CSV would have it; `None` for null.
pub(super) fn cell(value: &RawValue, shape: Shape) -> Result<Option<String>, &'static str> {
    const SCALAR: &str = "must be a string, a number, true, false or null";
    const LIST: &str = "must be an array of references, or a string that joins them by ;";
    let json = value.get();
    let scalar = |json: &str| match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map(Some).map_err(|_| "not a valid JSON string"),
        Some(b'n') => Ok(None),
        Some(b'[' | b'{') => Err(SCALAR),
        _ => Ok(Some(json.to_owned())),
    };
    match shape {
        Shape::Raw => Ok(Some(json.to_owned())),
        Shape::List if json.starts_with('[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| LIST)?;
            let items: Option<Vec<String>> =
                items.iter().map(|item| scalar(item.get()).ok().flatten()).collect();
            Ok(Some(items.ok_or(LIST)?.join(";")))
        }
        Shape::List => scalar(json).map_err(|_| LIST),
        Shape::Scalar => scalar(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_cells() {
        for (json, shape, text) in [
            ("\"a\\u00e9\"", Shape::Scalar, Ok(Some("aé"))),
            ("1.50", Shape::Scalar, Ok(Some("1.50"))),
            ("12345678901234567890123", Shape::Scalar, Ok(Some("12345678901234567890123"))),
            ("true", Shape::Scalar, Ok(Some("true"))),
            ("null", Shape::Scalar, Ok(None)),
            ("null", Shape::Raw, Ok(Some("null"))),
            ("{\"a\": [1]}", Shape::Raw, Ok(Some("{\"a\": [1]}"))),
            ("[\"C-1\", 2]", Shape::List, Ok(Some("C-1;2"))),
            ("[]", Shape::List, Ok(Some(""))),
            ("\"C-1;C-2\"", Shape::List, Ok(Some("C-1;C-2"))),
            ("[\"C-1\",[]]", Shape::List, Err(())),
            ("[null]", Shape::List, Err(())),
            ("{}", Shape::List, Err(())),
            ("[]", Shape::Scalar, Err(())),
            ("{}", Shape::Scalar, Err(())),
            ("\"\\ud800\"", Shape::Scalar, Err(())),
        ] {
            let value: &RawValue = serde_json::from_str(json).unwrap();
            let got = cell(value, shape).map_err(|_| ());
            assert_eq!(got.as_ref().map(Option::as_deref), text.as_ref().map(|t| *t), "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_not_quoted() {
        for line in ["\"Mary Smith\"", "[\"Mary\"]", "{\"Mary\"", "{\"a\":1}Mary", "Mary"] {
            let reason = object(line).map(|_| ()).unwrap_err();
            assert!(!reason.contains("Mary"), "{reason}");
        }
    }
}
