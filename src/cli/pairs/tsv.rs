//! Pairs as a key, a tab and a value, one pair a line.
//!
//! Bytes are written as they are, so that a key with a tab, or anything with a newline, can not be
//! said; `--enc escape`, `hex` and `base64` say any bytes. A value may have tabs: the first tab of
//! the line ends the key. With `-0` key and value end in a NUL byte each, and only that can not be
//! said.

use crate::cli::encoding::Encoding;
use crate::cli::failure::Failure;
use crate::cli::pairs::{Fields, Lines, PairReader, PairWriter, Unwritable};
use std::io::Write;

/// Reads lines.
pub(crate) struct TsvReader {
    lines: Lines,
    fields: Fields,
    line: Vec<u8>,
}

impl TsvReader {
    pub(crate) fn new(lines: Lines, fields: Fields) -> TsvReader {
        TsvReader { lines, fields, line: Vec::new() }
    }

    fn read_line(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool, Failure> {
        loop {
            if !self.lines.read(b'\n', &mut self.line)? {
                return Ok(false);
            }
            if !self.line.is_empty() {
                break;
            }
        }
        let tab = self.line.iter().position(|byte| *byte == b'\t');
        let Some(tab) = tab else {
            return Err(self.lines.wrong("no tab between key and value"));
        };
        self.decode("key", &self.line[..tab], key)?;
        self.decode("value", &self.line[tab + 1..], value)?;
        Ok(true)
    }

    fn read_fields(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool, Failure> {
        if !self.lines.read(0, &mut self.line)? {
            return Ok(false);
        }
        self.decode("key", &self.line, key)?;
        if !self.lines.read(0, &mut self.line)? {
            return Err(Failure::usage("a key without a value").at(&self.place()));
        }
        self.decode("value", &self.line, value)?;
        Ok(true)
    }

    fn decode(&self, name: &str, text: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let bytes = self.fields.encoding.decode(text);
        let bytes = bytes.map_err(|reason| Failure::usage(format!("{name}: {reason}")).at(&self.place()))?;
        out.clear();
        out.extend_from_slice(&bytes);
        Ok(())
    }
}

impl PairReader for TsvReader {
    fn read(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool, Failure> {
        if self.fields.nul { self.read_fields(key, value) } else { self.read_line(key, value) }
    }

    fn place(&self) -> String {
        match self.fields.nul {
            true => format!("pair {}", self.lines.number.div_ceil(2)),
            false => format!("line {}", self.lines.number),
        }
    }

    fn bytes(&self) -> u64 {
        self.lines.bytes
    }
}

/// Writes lines.
pub(crate) struct TsvWriter {
    fields: Fields,
}

impl TsvWriter {
    pub(crate) fn new(fields: Fields) -> TsvWriter {
        TsvWriter { fields }
    }

    /// Whether what is written can be read back.
    fn can_say(&self, key: &[u8], value: &[u8]) -> bool {
        match (self.fields.encoding, self.fields.nul) {
            (Encoding::Hex | Encoding::Base64, _) => true,
            // A NUL byte is escaped as well.
            (Encoding::Escape, _) => true,
            (Encoding::Text, true) => !key.contains(&0) && !value.contains(&0),
            (Encoding::Text, false) => {
                !key.contains(&b'\t') && !key.contains(&b'\n') && !value.contains(&b'\n')
            }
        }
    }
}

impl PairWriter for TsvWriter {
    fn write(&mut self, mut out: &mut dyn Write, key: &[u8], value: &[u8]) -> Result<(), Unwritable> {
        if !self.can_say(key, value) {
            return Err(Unwritable::Format(
                "bytes that separate fields: use --enc escape, here and for import, or --format jsonl",
            ));
        }
        let (between, behind) = if self.fields.nul { (b"\0", b"\0") } else { (b"\t", b"\n") };
        self.fields.encoding.encode(key, &mut out)?;
        out.write_all(between)?;
        self.fields.encoding.encode(value, &mut out)?;
        Ok(out.write_all(behind)?)
    }
}
