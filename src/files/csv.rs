//! Splits CSV into cells, as RFC 4180 has it, forgiving spaces around quotes.
//!
//! Not left to the csv crate, which counts the lines of files with CRLF and of blank lines
//! otherwise than an editor shows them, reads a quote that is never closed to the end of the file,
//! however long, and takes text after a closing quote for part of the cell.

use std::ops::Range;

/// Where in a cell the splitter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before anything but spaces.
    Start,
    /// In a cell without quotes.
    Bare,
    /// Inside quotes.
    Quoted,
    /// Behind a quote which closes the cell, unless another one follows at once.
    Quote,
    /// Behind the closing quote and a space.
    After,
}

/// What a line made of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// The record is complete.
    Complete,
    /// A quote is open: the record goes on in the next line.
    Open,
    /// Something stands between a closing quote and the comma.
    TextAfterQuote,
}

/// One record, taken line by line.
#[derive(Debug)]
pub(super) struct Splitter {
    at: At,
    begin: usize,
    /// The text of all cells.
    pub(super) text: String,
    /// Where in it each cell is.
    pub(super) cells: Vec<Range<usize>>,
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self { at: At::Start, begin: 0, text: String::new(), cells: Vec::new() }
    }

    fn end_cell(&mut self) {
        self.cells.push(self.begin..self.text.len());
        self.begin = self.text.len();
        self.at = At::Start;
    }

    /// Takes a line.
    pub(super) fn feed(&mut self, line: &str) -> Fed {
        for c in line.chars() {
            match (self.at, c) {
                (At::Start | At::After, ' ' | '\t') => {}
                (At::Quote, ' ' | '\t') => self.at = At::After,
                (At::Start | At::Bare | At::Quote | At::After, ',') => self.end_cell(),
                (At::Start, '"') => self.at = At::Quoted,
                (At::Quoted, '"') => self.at = At::Quote,
                (At::Quote, '"') => {
                    self.text.push('"');
                    self.at = At::Quoted;
                }
                (At::Start | At::Bare, _) => {
                    self.text.push(c);
                    self.at = At::Bare;
                }
                (At::Quoted, _) => self.text.push(c),
                (At::Quote | At::After, _) => return Fed::TextAfterQuote,
            }
        }
        if self.at == At::Quoted {
            self.text.push('\n');
            return Fed::Open;
        }
        self.end_cell();
        Fed::Complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(lines: &[&str]) -> Result<Vec<String>, Fed> {
        let mut splitter = Splitter::new();
        let mut fed = Fed::Open;
        for line in lines {
            assert_eq!(fed, Fed::Open);
            fed = splitter.feed(line);
        }
        if fed != Fed::Complete {
            return Err(fed);
        }
        Ok(splitter.cells.into_iter().map(|cell| splitter.text[cell].to_owned()).collect())
    }

    #[test]
    fn records_and_their_cells() {
        let table: [(&[&str], &[&str]); 10] = [
            (&[""], &[""]),
            (&["a,b"], &["a", "b"]),
            (&["a,,"], &["a", "", ""]),
            (&["\"a,b\",c"], &["a,b", "c"]),
            (&["\"a \"\"b\"\"\",\"\""], &["a \"b\"", ""]),
            (&["  \"a\" , b "], &["a", "b "]),
            (&["a\"b\",c"], &["a\"b\"", "c"]),
            (&["\"a", "", "b\",c"], &["a\n\nb", "c"]),
            (&["\"a\"\"", "b\""], &["a\"\nb"]),
            (&["é,\u{1f319}"], &["é", "\u{1f319}"]),
        ];
        for (lines, cells) in table {
            let cells = cells.iter().map(|&cell| cell.to_owned()).collect();
            assert_eq!(split(lines), Ok(cells), "{lines:?}");
        }
        for line in ["\"a\"b", "\"a\" b,c", "\"a\" \"b\""] {
            assert_eq!(split(&[line]), Err(Fed::TextAfterQuote), "{line:?}");
        }
        assert_eq!(split(&["a,\"b"]), Err(Fed::Open));
    }
}
