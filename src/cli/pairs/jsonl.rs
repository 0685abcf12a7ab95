//! Pairs as JSON objects, one a line.

use crate::cli::encoding;
use crate::cli::failure::Failure;
use crate::cli::json;
use crate::cli::pairs::{Lines, PairReader, PairWriter, Unwritable};
use serde::Deserialize;
use std::borrow::Cow;
use std::io::Write;

/// Reads objects.
pub(crate) struct JsonlReader {
    lines: Lines,
    line: Vec<u8>,
}

/// A line. Each half is there once: as text or as base64.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key_b64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value_b64: Option<Cow<'a, str>>,
}

impl JsonlReader {
    pub(crate) fn new(lines: Lines) -> JsonlReader {
        JsonlReader { lines, line: Vec::new() }
    }
}

impl PairReader for JsonlReader {
    fn read(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<bool, Failure> {
        loop {
            if !self.lines.read(b'\n', &mut self.line)? {
                return Ok(false);
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        // To the parser a list is as good as an object: its first is the key, its second the value.
        if !self.line.trim_ascii_start().starts_with(b"{") {
            return Err(self.lines.wrong("no object: write {\"key\":...,\"value\":...}"));
        }
        let row: Row<'_> = serde_json::from_slice(&self.line).map_err(|e| self.lines.wrong(reason(&e)))?;
        half("key", row.key, row.key_b64, key).map_err(|reason| self.lines.wrong(reason))?;
        half("value", row.value, row.value_b64, value).map_err(|reason| self.lines.wrong(reason))?;
        Ok(true)
    }

    fn place(&self) -> String {
        format!("line {}", self.lines.number)
    }

    fn bytes(&self) -> u64 {
        self.lines.bytes
    }
}

fn half(
    name: &str,
    text: Option<Cow<'_, str>>,
    base64: Option<Cow<'_, str>>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    out.clear();
    match (text, base64) {
        (Some(text), None) => out.extend_from_slice(text.as_bytes()),
        (None, Some(text)) => {
            *out = encoding::from_base64(&text).map_err(|reason| format!("{name}_b64: {reason}"))?;
        }
        (None, None) => return Err(format!("no {name}")),
        (Some(_), Some(_)) => return Err(format!("{name} and {name}_b64: one of them")),
    }
    Ok(())
}

/// What is wrong with a line of JSON. The parser says "line 1" of each; the column is what helps.
fn reason(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ").replace(" at line 0 column 0", "")
}

/// Writes objects.
pub(crate) struct JsonlWriter;

impl PairWriter for JsonlWriter {
    fn write(&mut self, mut out: &mut dyn Write, key: &[u8], value: &[u8]) -> Result<(), Unwritable> {
        Ok(json::put_pair(&mut out, key, value)?)
    }
}
