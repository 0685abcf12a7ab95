//! What a verification found.

use crate::inspect::text::with_article;
use serde::Serialize;
use std::fmt;

/// What [`verify`](crate::inspect::verify::verify) found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The directory.
    pub path: String,
    /// The engine that owns it.
    pub engine: String,
    /// What was looked at, and how much of it there is.
    pub checked: Vec<Check>,
    /// All that is wrong.
    pub damage: Vec<Damage>,
    /// What is worth knowing and no damage.
    pub notes: Vec<String>,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `records`, `entries`, `keys`, ...
    pub what: &'static str,
    /// In which file; empty where it is about the whole store.
    pub file: String,
    /// How many.
    pub count: u64,
    /// Bytes that were read for it.
    pub bytes: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The damaged file.
    pub path: String,
    /// The offset in it of the first byte that can not be trusted.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Of places in a row that are damaged alike, so many are shown: what is missing at the beginning of a large
/// batch is missed by each of its records.
const ALIKE: usize = 3;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} store", self.path, with_article(&self.engine))?;
        for Check { what, file, count, bytes } in &self.checked {
            let bytes = if *bytes > 0 { format!("{bytes} bytes") } else { String::new() };
            writeln!(f, "{}", format!("  checked  {count:>10} {what:20} {file:14} {bytes:>16}").trim_end())?;
        }
        for note in &self.notes {
            writeln!(f, "  note     {note}")?;
        }
        for alike in self.damage.chunk_by(|a, b| (&a.path, &a.reason) == (&b.path, &b.reason)) {
            let shown = if alike.len() <= ALIKE { alike.len() } else { ALIKE };
            for Damage { path, offset, reason } in &alike[..shown] {
                writeln!(f, "  DAMAGED  {path} at {offset}: {reason}")?;
            }
            if let [.., last] = &alike[shown..] {
                let more = alike.len() - shown;
                writeln!(f, "           and {more} more like it, up to {}; --json lists them", last.offset)?;
            }
        }
        match self.damage.len() {
            0 => f.write_str("sound"),
            1 => f.write_str("DAMAGED: 1 place"),
            n => write!(f, "DAMAGED: {n} places"),
        }
    }
}
