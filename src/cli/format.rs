//! The formats of `import` and `export`, by name, and who reads and writes each.

use crate::cli::pairs::jsonl::{JsonlReader, JsonlWriter};
use crate::cli::pairs::resp::{RespReader, RespWriter};
use crate::cli::pairs::tsv::{TsvReader, TsvWriter};
use crate::cli::pairs::{Fields, Lines, PairReader, PairWriter};
use crate::cli::stream::Input;
use clap::ValueEnum;
use std::ffi::OsStr;
use std::path::Path;

/// How pairs are written in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line
    Jsonl,
    /// Key, tab, value; one pair a line
    Tsv,
    /// SET commands of the Redis protocol, as redis-cli --pipe takes them
    Resp,
}

impl Format {
    /// The format that a file's name says.
    pub(crate) fn of(file: Option<&OsStr>) -> Option<Format> {
        match Path::new(file?).extension()?.to_str()? {
            "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
            "tsv" | "tab" | "txt" => Some(Format::Tsv),
            "resp" | "redis" => Some(Format::Resp),
            _ => None,
        }
    }

    /// Reads pairs from `input`.
    pub(crate) fn reader(self, input: Input, fields: Fields) -> Box<dyn PairReader> {
        let lines = Lines::new(input);
        match self {
            Format::Jsonl => Box::new(JsonlReader::new(lines)),
            Format::Tsv => Box::new(TsvReader::new(lines, fields)),
            Format::Resp => Box::new(RespReader::new(lines)),
        }
    }

    /// Writes pairs.
    pub(crate) fn writer(self, fields: Fields) -> Box<dyn PairWriter> {
        match self {
            Format::Jsonl => Box::new(JsonlWriter),
            Format::Tsv => Box::new(TsvWriter::new(fields)),
            Format::Resp => Box::new(RespWriter),
        }
    }
}
