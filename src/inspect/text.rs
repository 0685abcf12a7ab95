//! The page that `inspect` writes: lines, rows of bytes with their meaning, and short forms of data.

use crate::error::{Error, Result};
use crate::inspect::bytes::Bytes;
use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The verb of the error that says that the text could not be written.
const WRITE_OUTPUT: &str = "write output";

/// Bytes in a row.
const ROW: usize = 8;

/// Bytes of a long field that are shown.
const SHOWN: u64 = 64;

/// Where the text goes.
pub(super) struct Text<'a> {
    out: BufWriter<&'a mut dyn Write>,
    /// What the text is about: for errors.
    target: PathBuf,
}

impl<'a> Text<'a> {
    pub(super) fn new(out: &'a mut dyn Write, target: &Path) -> Text<'a> {
        Text { out: BufWriter::new(out), target: target.to_path_buf() }
    }

    /// Writes a line; blanks at its end are left out.
    pub(super) fn line(&mut self, line: impl Display) -> Result<()> {
        let line = line.to_string();
        let result = writeln!(self.out, "{}", line.trim_end());
        result.map_err(|error| self.failed(error))
    }

    /// Hands everything on.
    pub(super) fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::Io { op: WRITE_OUTPUT, path: self.target.clone(), source: error.into() }
    }

    /// The heading of rows.
    pub(super) fn columns(&mut self) -> Result<()> {
        self.line(format_args!("{:>8}  {:23}  {:31} meaning", "offset", "bytes", "field = value"))
    }

    /// A field: its bytes, its name with its value, and what that means. More than one row if it has
    /// more bytes than one holds.
    pub(super) fn row(&mut self, offset: u64, bytes: &[u8], field: &str, meaning: &str) -> Result<()> {
        let mut rest = bytes.chunks(ROW);
        self.one_row(offset, rest.next().unwrap_or_default(), field, meaning)?;
        for (i, bytes) in rest.enumerate() {
            self.one_row(offset + (ROW * (i + 1)) as u64, bytes, "", "")?;
        }
        Ok(())
    }

    fn one_row(&mut self, offset: u64, bytes: &[u8], field: &str, meaning: &str) -> Result<()> {
        self.line(format_args!("{offset:>8}  {:23}  {field:31} {meaning}", hex(bytes)))
    }

    /// A field that holds any bytes: with its characters beside, and shortened if it is long.
    pub(super) fn data(&mut self, bytes: &mut Bytes, from: u64, len: u64, field: &str) -> Result<()> {
        let shown = if len > SHOWN + ROW as u64 { SHOWN } else { len };
        if len == 0 {
            return self.one_row(from, &[], field, "empty");
        }
        let mut at = 0;
        while at < shown {
            let row = bytes.get(from + at, (shown - at).min(ROW as u64) as usize);
            let characters = format!("\"{}\"", printable(row));
            let field = if at == 0 { field } else { "" };
            self.one_row(from + at, row, field, &characters)?;
            at += ROW as u64;
        }
        if shown < len {
            self.line(format_args!("{:>8}  .. {} more bytes", from + shown, len - shown))?;
        }
        Ok(())
    }
}

impl Text<'_> {
    /// A field that holds any bytes, which are at hand: shortened if it is long.
    pub(super) fn slice(&mut self, from: u64, bytes: &[u8], field: &str, meaning: &str) -> Result<()> {
        let shown = if bytes.len() as u64 > SHOWN + ROW as u64 { SHOWN as usize } else { bytes.len() };
        if meaning.is_empty() {
            for (i, row) in bytes[..shown].chunks(ROW).enumerate() {
                let characters = format!("\"{}\"", printable(row));
                let field = if i == 0 { field } else { "" };
                self.one_row(from + (i * ROW) as u64, row, field, &characters)?;
            }
        } else {
            self.row(from, &bytes[..shown], field, meaning)?;
        }
        match bytes.len() - shown {
            0 => Ok(()),
            more => self.line(format_args!("{:>8}  .. {more} more bytes", from + shown as u64)),
        }
    }
}

/// Whether writing failed because nobody reads any more.
pub(super) fn is_closed_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { op: WRITE_OUTPUT, source, .. } if source.kind() == ErrorKind::BrokenPipe)
}

/// Bytes in hex, with a blank between each two.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(3 * bytes.len());
    for (i, byte) in bytes.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { " " });
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| if matches!(byte, 0x20..0x7f) { byte as char } else { '.' }).collect()
}

/// Bytes as a quoted, escaped string, of which about `width` characters are kept.
pub(super) fn quoted(bytes: &[u8], width: usize) -> String {
    let mut out = String::from("\"");
    for &byte in bytes {
        let escaped = std::ascii::escape_default(byte).to_string();
        if out.len() + escaped.len() > width {
            return out + "\"..";
        }
        out.push_str(&escaped);
    }
    out + "\""
}

/// `part` of `whole` in percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// A number with its noun: `1 record`, `2 records`.
pub(super) fn count(n: u64, noun: &str) -> String {
    match (n, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) if stem.ends_with(is_consonant) => format!("{n} {stem}ies"),
        _ => format!("{n} {noun}s"),
    }
}

/// A noun with its article, for the names of engines: `a bitcask`, `an lsm`.
pub(super) fn with_article(name: &str) -> String {
    let article = if name.starts_with(|letter| "aeil".contains(letter)) { "an" } else { "a" };
    format!("{article} {name}")
}

fn is_consonant(letter: char) -> bool {
    !"aeiou".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::{Text, count, is_closed_pipe, quoted};
    use crate::error::Error;
    use std::io::{self, Write};
    use std::path::Path;

    #[test]
    fn long_data_is_shortened() {
        assert_eq!(quoted(b"a\n\xff\"", 40), r#""a\n\xff\"""#);
        assert_eq!(quoted(b"0123456789", 5), r#""0123".."#);
        assert_eq!([count(1, "key"), count(0, "key"), count(2, "entry")], ["1 key", "0 keys", "2 entries"]);
    }

    #[test]
    fn a_closed_pipe_can_be_told_from_a_bad_disk() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut closed = Closed;
        let mut text = Text::new(&mut closed, Path::new("/db"));
        text.line("hello").unwrap();
        let error = text.finish().unwrap_err();
        assert!(is_closed_pipe(&error), "{error}");
        let read = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(!is_closed_pipe(&Error::io("read", Path::new("/db"), read)));
    }
}
