//! The lines of a file, numbered and bounded.

use std::io::{self, BufRead, Read};

/// Longest row of a file, in bytes. What is longer is no row: a quote was not closed, or the file
/// is of another kind.
pub const RECORD_MAX_BYTES: usize = 1024 * 1024;

const RECORD_MAX: u64 = RECORD_MAX_BYTES as u64;
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// As it stands.
    Text(String),
    /// What can be shown of bytes that are not UTF-8. Quotes and commas are where they were.
    NotUtf8(String),
    /// It is longer than [`RECORD_MAX_BYTES`].
    TooLong,
}

/// Reads lines that end in LF or CRLF.
pub(super) struct Lines<I> {
    input: I,
    number: u64,
}

impl<I: BufRead> Lines<I> {
    pub(super) fn new(input: I) -> Self {
        Self { input, number: 0 }
    }

    /// The number of the line that was read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line; `None` at the end. A byte order mark at the start of the file is left out.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        // Two more for the line's end, one more to see that it is too long.
        let read = self.input.by_ref().take(RECORD_MAX + 3).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        } else if bytes.len() > RECORD_MAX_BYTES {
            self.input.skip_until(b'\n')?;
        }
        if bytes.len() > RECORD_MAX_BYTES {
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(match String::from_utf8(bytes) {
            Ok(mut text) => {
                if self.number == 1 && text.starts_with(BYTE_ORDER_MARK) {
                    text.drain(..BYTE_ORDER_MARK.len());
                }
                Line::Text(text)
            }
            Err(error) => Line::NotUtf8(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(bytes);
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[test]
    fn lines_end_in_lf_or_crlf_or_the_file() {
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"a\r\nb\n\nc"), [text("a"), text("b"), text(""), text("c")]);
        assert_eq!(lines(b"\xef\xbb\xbfa\n\xef\xbb\xbfb"), [text("a"), text("\u{feff}b")]);
        assert_eq!(lines(b"a\xff\nb"), [Line::NotUtf8("a\u{fffd}".to_owned()), text("b")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_to_its_end() {
        let long = "x".repeat(RECORD_MAX_BYTES);
        assert_eq!(lines(format!("{long}\r\nb").as_bytes()), [text(&long), text("b")]);
        for more in ["y", "y\r", "yy", "yyy", "yyyy"] {
            for end in ["\n", "\r\n"] {
                let got = lines(format!("{long}{more}{end}b").as_bytes());
                assert_eq!(got, [Line::TooLong, text("b")], "{more:?} {end:?}");
            }
        }
    }
}
