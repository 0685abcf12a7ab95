//! What a repair saved, and what it did not.

use crate::inspect::text::count;
use serde::Serialize;
use std::fmt;

/// What [`repair`](crate::inspect::repair::repair) did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The damaged store.
    pub source: String,
    /// The new one.
    pub dest: String,
    /// The engine of both.
    pub engine: String,
    /// What was saved.
    pub saved: Saved,
    /// What was not.
    pub lost: Vec<Lost>,
    /// Whether it is known which files the store had. Without a manifest that can be believed nobody misses a file
    /// that is gone.
    pub is_sure: bool,
    /// Keys whose newest value is lost, as far as hints name them.
    pub keys: Vec<LostKey>,
    /// What was found on the way, and what could not be known.
    pub notes: Vec<String>,
}

/// What was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// Keys that are in the new store.
    pub keys: u64,
    /// Bytes of these keys and their values.
    pub bytes: u64,
    /// Segments, or logs and tables, that were read.
    pub files: u64,
    /// Records, or entries of tables, with a right checksum, in whole groups.
    pub records: u64,
    /// Of these, removals.
    pub tombstones: u64,
}

/// Something that was not saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The file.
    pub path: String,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

/// A key whose newest value is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostKey {
    /// The key, quoted and escaped.
    pub key: String,
    /// Whether the new store has an older value of it; else it has none.
    pub has_older_value: bool,
}

impl Report {
    /// Whether every byte of every record was saved, and that is known.
    pub fn is_lossless(&self) -> bool {
        self.lost.is_empty() && self.is_sure
    }
}

/// The note about what stands behind the end of a log, and is no loss.
pub(super) fn torn(name: &str, offset: u64, bytes: u64) -> String {
    format!("{name}: {} at {offset}: a torn tail, which nothing says was durable", count(bytes, "byte"))
}

/// Keys that are shown.
const KEYS: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Saved { keys, bytes, files, records, tombstones } = self.saved;
        writeln!(f, "{}: repaired into {}", self.source, self.dest)?;
        writeln!(f, "  saved  {}, {bytes} bytes", count(keys, "key"))?;
        writeln!(
            f,
            "  read   {}, of which {}, in {}",
            count(records, "record"),
            count(tombstones, "removal"),
            count(files, "file")
        )?;
        for Lost { path, offset, bytes, reason } in &self.lost {
            writeln!(f, "  LOST   {path} at {offset}, {}: {reason}", count(*bytes, "byte"))?;
        }
        for LostKey { key, has_older_value } in self.keys.iter().take(KEYS) {
            let instead =
                if *has_older_value { "an older value is there instead" } else { "it is not there" };
            writeln!(f, "  KEY    {key}: {instead}")?;
        }
        if self.keys.len() > KEYS {
            writeln!(f, "  KEY    and {} more; --json names them", self.keys.len() - KEYS)?;
        }
        for note in &self.notes {
            writeln!(f, "  note   {note}")?;
        }
        match self.lost.len() {
            0 if self.is_sure => f.write_str("nothing was lost"),
            0 => f.write_str("UNSURE: no loss was found, but no manifest says which files there were"),
            n => write!(f, "lost: {}", count(n as u64, "place")),
        }
    }
}
