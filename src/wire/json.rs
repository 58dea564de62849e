//! JSON as evidence: fields read one by one from the text itself, and the canonical text by which
//! two payloads are the same values (R6).
//!
//! `serde_json::Value` would do neither: one number out of range (`1e999`) or one half of a
//! surrogate pair in a field that nobody reads would make the whole payload unreadable. Nothing here
//! recurses, so nesting costs no stack.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Integers of at most so many digits are compared exactly, as `u64` would hold them; all other
/// numbers as the nearest `f64`.
const EXACT_DIGITS: usize = 20;
/// The first number with more digits than that.
const EXACT_BELOW: f64 = 1e20;

/// The fields of a JSON object by their canonical names, each as its own text, sorted by name. Of a
/// name that occurs twice the last counts.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads a JSON object; else says what is wrong with it, and where, but not what it holds.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| format!("not UTF-8 from byte {}", error.valid_up_to() + 1))?;
        serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => "not a JSON object".to_owned(),
            _ => format!("not JSON: line {} column {}", error.line(), error.column()),
        })
    }

    /// The field's text; `None` if it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        Some(value.get()).filter(|text| *text != "null")
    }

    /// All fields, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(16);
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    fields.push((unquoted(name.get()), value));
                }
                // The sort keeps the order of equal names, so the last of them comes last.
                fields.sort_by(|(a, _), (b, _)| a.cmp(b));
                fields.dedup_by(|(later, value), (name, counts)| {
                    let again = later == name;
                    if again {
                        *counts = value;
                    }
                    again
                });
                Ok(Fields(fields))
            }
        }

        from.deserialize_map(Members)
    }
}

/// The value, which is JSON, as text, if it is a text that Unicode can hold.
pub(super) fn text(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => Some(text.into()),
        Some(_) => serde_json::from_str::<String>(value).ok().map(Cow::from),
        None => None,
    }
}

/// The value as a finite number.
pub(super) fn number(value: &str) -> Option<f64> {
    // Adding nothing makes −0 the 0 that it is by value.
    is_number(value).then(|| value.parse::<f64>().ok())?.filter(|n| n.is_finite()).map(|n| n + 0.0)
}

/// The value as a whole number that is not negative, however it is spelt.
pub(super) fn integer(value: &str) -> Option<u64> {
    is_number(value).then(|| canonical_number(value).parse().ok())?
}

fn is_number(value: &str) -> bool {
    value.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// A text as canonical JSON.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", escaped(text.encode_utf16()))
}

/// An array or object whose end has not been read yet.
enum Open {
    Array(String),
    Object { members: BTreeMap<String, String>, name: Option<String> },
}

impl Open {
    fn close(self) -> String {
        match self {
            Self::Array(items) => format!("[{items}]"),
            Self::Object { members, .. } => {
                let members: Vec<String> =
                    members.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    fn take(&mut self, value: String) {
        match self {
            Self::Array(items) => {
                if !items.is_empty() {
                    items.push(',');
                }
                items.push_str(&value);
            }
            Self::Object { members, name } => match name.take() {
                None => *name = Some(value),
                Some(name) => {
                    members.insert(name, value);
                }
            },
        }
    }
}

/// The canonical text of a value: the same for two texts exactly if they are the same JSON value.
/// No white space; names sorted, each once (of a name that occurs twice the last counts); escapes
/// only where JSON needs them; numbers by value.
pub(super) fn canonical(value: &RawValue) -> String {
    let mut open: Vec<Open> = Vec::new();
    let mut rest = value.get();
    // The text is known to be JSON, so what stands between values says nothing.
    while let Some(start) = rest.find(|c| !matches!(c, ' ' | '\t' | '\r' | '\n' | ',' | ':')) {
        rest = &rest[start..];
        let (token, after) = rest.split_at(token_length(rest));
        rest = after;
        let read = match token {
            "[" => {
                open.push(Open::Array(String::new()));
                continue;
            }
            "{" => {
                open.push(Open::Object { members: BTreeMap::new(), name: None });
                continue;
            }
            "]" | "}" => open.pop().map(Open::close).unwrap_or_default(),
            _ if token.starts_with('"') => format!("\"{}\"", unquoted(token)),
            _ if is_number(token) => canonical_number(token),
            _ => token.to_owned(),
        };
        match open.last_mut() {
            Some(open) => open.take(read),
            None => return read,
        }
    }
    String::new()
}

/// How many bytes the token takes with which this text begins: a bracket, a string or a word.
fn token_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'[' | b']' | b'{' | b'}') => 1,
        Some(b'"') => {
            let mut at = 1;
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => return at + 1,
                    b'\\' => at += 2,
                    _ => at += 1,
                }
            }
            bytes.len()
        }
        _ => text.find([' ', '\t', '\r', '\n', ',', ':', ']', '}']).unwrap_or(text.len()),
    }
}

/// The canonical form of what stands between the quotes of a JSON string.
fn unquoted(token: &str) -> Cow<'_, str> {
    let inner = token.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(token);
    if !inner.contains('\\') {
        return inner.into();
    }
    // JSON's escapes are UTF-16: halves of a pair may stand apart, and alone.
    let mut units: Vec<u16> = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' {
            match chars.next() {
                Some('u') => {
                    let unit =
                        chars.as_str().get(..4).and_then(|h| u16::from_str_radix(h, 16).ok());
                    units.push(unit.unwrap_or(0xFFFD));
                    chars = chars.as_str().get(4..).unwrap_or_default().chars();
                    continue;
                }
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(other) => other,
                None => continue,
            }
        } else {
            c
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    escaped(units).into()
}

fn escaped(units: impl IntoIterator<Item = u16>) -> String {
    let mut text = String::new();
    for c in char::decode_utf16(units) {
        match c {
            Ok(c @ ('"' | '\\')) => text.extend(['\\', c]),
            Ok(c) if c < ' ' => text.push_str(&escape(u32::from(c))),
            Ok(c) => text.push(c),
            Err(half) => text.push_str(&escape(half.unpaired_surrogate().into())),
        }
    }
    text
}

fn escape(unit: u32) -> String {
    format!("\\u{unit:04x}")
}

/// A number by its value: 1, 1.0 and 10e-1 are one. What no `f64` can hold stays a decimal.
fn canonical_number(token: &str) -> String {
    let (sign, unsigned) = match token.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", token),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    // The power of ten by which the significant digits are multiplied.
    let power = exponent.parse::<i64>().ok().and_then(|exponent| {
        let shift = i64::try_from(digits.len() - significant.len()).ok()?;
        exponent.checked_add(shift)?.checked_sub(i64::try_from(fraction.len()).ok()?)
    });
    if let Some(zeros) = power.and_then(|power| usize::try_from(power).ok())
        && significant.len().saturating_add(zeros) <= EXACT_DIGITS
    {
        return format!("{sign}{significant}{}", "0".repeat(zeros));
    }
    match (token.parse::<f64>(), power) {
        (Ok(0.0), _) => "0".to_owned(),
        (Ok(n), _) if n.fract() == 0.0 && n.abs() < EXACT_BELOW => format!("{n}"),
        (Ok(n), _) if n.is_finite() => format!("{n:e}"),
        (_, Some(power)) => format!("{sign}{significant}e{power}"),
        (_, None) => token.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canon(text: &str) -> String {
        canonical(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn canonical_text() {
        let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
        for (text, is) in [
            (" null ", "null"),
            ("[ ]", "[]"),
            ("{ }", "{}"),
            ("[[],{},[true , false]]", "[[],{},[true,false]]"),
            (
                r#"{"b":1 , "a" : [ 2,{"d":1,"c":"x,:]}"} ]}"#,
                r#"{"a":[2,{"c":"x,:]}","d":1}],"b":1}"#,
            ),
            (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
            (r#""\/\u00e9\n\"\\\t""#, r#""/é\u000a\"\\\u0009""#),
            (r#""\ud83d\ude00 \uD83D""#, r#""😀 \ud83d""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (&deep, &deep),
        ] {
            assert_eq!(canon(text), is, "{text}");
        }
    }

    #[test]
    fn canonical_numbers() {
        let zeros = format!("1{}", "0".repeat(400));
        let far = format!("1e{}", "9".repeat(40));
        let near = format!("1e-{}", "9".repeat(40));
        for (spellings, is) in [
            (vec!["0", "-0", "0.0", "-0e9", "0e-9", "1e-999", &near], "0"),
            (vec!["1", "1.0", "1e0", "1E+0", "10e-1", "0.01e2", "100.0e-2"], "1"),
            (vec!["-12", "-12.00", "-1.2e1"], "-12"),
            (vec!["51.48", "5148e-2", "51.480", "51.479999999999997"], "5.148e1"),
            (vec!["9007199254740993", "9007199254740993.0"], "9007199254740993"),
            (vec!["18446744073709551615"], "18446744073709551615"),
            (vec!["1e19", "10000000000000000000"], "10000000000000000000"),
            (vec!["1e20", "100000000000000000000", "99999999999999999999.5"], "1e20"),
            (vec!["1.00000000000000000000001"], "1"),
            (vec!["1e999", "10e998", "1.0E+999"], "1e999"),
            (vec!["-1e999"], "-1e999"),
            (vec![&zeros, "1e400"], "1e400"),
            (vec![&far], &far),
        ] {
            for spelling in spellings {
                assert_eq!(canon(spelling), is, "{spelling}");
            }
        }
    }

    #[test]
    fn values_of_fields() {
        for (text, whole, real) in [
            ("1", Some(1), Some(1.0)),
            ("1e0", Some(1), Some(1.0)),
            ("1.5", None, Some(1.5)),
            ("-1", None, Some(-1.0)),
            ("1e999", None, None),
            ("18446744073709551616", None, Some(18_446_744_073_709_551_616.0)),
            ("\"1\"", None, None),
            ("true", None, None),
            ("[1]", None, None),
        ] {
            assert_eq!(integer(text), whole, "{text}");
            assert_eq!(number(text), real, "{text}");
        }
    }

    #[test]
    fn what_is_no_object() {
        for (bytes, why) in [
            (&b"\xff"[..], "not UTF-8 from byte 1"),
            (b"", "not JSON: line 1 column 0"),
            (b"{\"a\":1", "not JSON: line 1 column 6"),
            (b"{\"a\":NaN}", "not JSON: line 1 column 6"),
            (b"{} {}", "not JSON: line 1 column 4"),
            (b"[]", "not a JSON object"),
            (b"\"Mrs Smith\"", "not a JSON object"),
            (b"null", "not a JSON object"),
        ] {
            assert_eq!(Fields::read(bytes).err().as_deref(), Some(why), "{bytes:?}");
        }
    }
}
