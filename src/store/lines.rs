//! Values as PostgreSQL's `COPY ... FROM STDIN` reads them: its text format.

/// What stands for no value.
pub(super) const NULL: &[u8] = b"\\N";

/// Appends a text.
pub(super) fn write_text(text: &str, line: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| b"\\\t\n\r".contains(byte)) {
        line.extend(&rest[..at]);
        line.extend(match rest[at] {
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    line.extend(rest);
}

/// Appends a number.
pub(super) fn write_number(number: i64, line: &mut Vec<u8>) {
    line.extend(number.to_string().bytes());
}
