//! The byte ledger as bars: what was written or read, by cause.

use crate::bench::page::bars::Bars;
use crate::bench::page::plot::Key;
use crate::bench::page::series::Side;
use crate::bench::page::units::Unit;
use crate::bench::report::{Report, Sample};
use crate::vfs::Cause;
use crate::vfs::counting::{FileCounts, Ledger};
use std::collections::BTreeSet;

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To files.
    Written,
    /// From files, by calls or through maps.
    Read,
}

impl Way {
    /// What the plot's file is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Way::Written => "written",
            Way::Read => "read",
        }
    }

    /// Which amplification it is.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Way::Written => "write",
            Way::Read => "read",
        }
    }

    /// What the disk did.
    pub(super) fn disk(self) -> &'static str {
        match self {
            Way::Written => "written to files",
            Way::Read => "read from files",
        }
    }

    /// What the user did.
    pub(super) fn user(self) -> &'static str {
        match self {
            Way::Written => "set or removed",
            Way::Read => "got",
        }
    }

    fn bytes(self, counts: FileCounts) -> f64 {
        let bytes = match self {
            Way::Written => counts.written_bytes,
            Way::Read => counts.read_bytes + counts.mapped_bytes,
        };
        bytes as f64
    }

    /// Bytes of files for one of the user's, so far; `None` while there is none of the user's.
    pub(super) fn amplification(self, sample: &Sample) -> Option<f64> {
        let (disk, user) = match self {
            Way::Written => (sample.written_bytes, sample.user_written_bytes),
            Way::Read => (sample.read_bytes, sample.user_read_bytes),
        };
        (user > 0).then(|| disk as f64 / user as f64)
    }

    /// Bytes of the user's; `None` if nobody counted, or there were none.
    fn user_bytes(self, report: &Report) -> Option<f64> {
        let usage = report.usage.as_ref()?;
        let bytes = if self == Way::Written { usage.bytes_written() } else { usage.bytes_read() };
        (bytes > 0).then_some(bytes as f64)
    }
}

/// A ledger that can be drawn.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) title: &'static str,
    pub(super) axis: &'static str,
    pub(super) unit: Unit,
    pub(super) bars: Bars,
    pub(super) caption: String,
}

/// The rounds in the middle, each a bar: bytes for a byte of the user's if all have such, else bytes.
pub(super) fn of(sides: &[Side<'_>], way: Way) -> Drawn {
    let counted = || sides.iter().filter(|side| side.report().ledger.is_some());
    let is_quotient = counted().all(|side| way.user_bytes(side.report()).is_some());
    let (title, axis) = match (way, is_quotient) {
        (Way::Written, true) => {
            ("bytes written, by cause", "bytes written for a byte that the user set or removed")
        }
        (Way::Written, false) => ("bytes written, by cause", "bytes written"),
        (Way::Read, true) => ("bytes read, by cause", "bytes read for a byte that the user got"),
        (Way::Read, false) => ("bytes read, by cause", "bytes read"),
    };
    let length = match is_quotient {
        true => format!(
            "for each byte that the user {}: the whole bar is the {} amplification, and a part what its \
             cause adds to it",
            way.user(),
            way.verb()
        ),
        false => "in bytes, since the user did nothing of the kind here: what there is, is the engine's own \
                  doing"
            .to_string(),
    };
    Drawn {
        title,
        axis,
        unit: if is_quotient { Unit::Times } else { Unit::Bytes },
        bars: bars(sides, way, is_quotient),
        caption: format!(
            "Bytes {}, by cause, {length}; a bar is a configuration in its round in the middle.",
            way.disk()
        ),
    }
}

fn bars(sides: &[Side<'_>], way: Way, is_quotient: bool) -> Bars {
    let ledgers: Vec<Option<&Ledger>> = sides.iter().map(|side| side.report().ledger.as_ref()).collect();
    let bar = |(side, ledger): (&Side<'_>, &Option<&Ledger>)| (side.name.to_string(), ledger.map(|_| vec![]));
    let mut bars = Bars { keys: Vec::new(), bars: sides.iter().zip(&ledgers).map(bar).collect() };
    let rows = ledgers.iter().flatten().flat_map(|ledger| &ledger.rows);
    let causes: BTreeSet<Cause> =
        rows.filter(|row| way.bytes(row.counts) > 0.0).map(|row| row.cause).collect();
    for cause in causes {
        let of = |(side, ledger): (&Side<'_>, &Option<&Ledger>)| {
            let user = if is_quotient { way.user_bytes(side.report())? } else { 1.0 };
            Some(way.bytes((*ledger)?.of_cause(cause)) / user)
        };
        bars.add(key(cause, way), sides.iter().zip(&ledgers).map(of).collect());
    }
    bars
}

/// A cause's colour: the same in every plot. A compaction has that of the level into which it writes.
fn key(cause: Cause, way: Way) -> Key {
    let class = match cause {
        Cause::Log => "log".to_string(),
        Cause::Read => "reads".to_string(),
        Cause::Hint => "hint".to_string(),
        Cause::Merge => "merge".to_string(),
        Cause::Wal => "wal".to_string(),
        Cause::Flush => "level0".to_string(),
        Cause::Compaction(level) => format!("level{}", level.min(7)),
        Cause::Manifest => "manifest".to_string(),
        _ => "rest".to_string(),
    };
    let name = match (cause, way) {
        (Cause::Read, _) => "gets and scans".to_string(),
        (Cause::Log, Way::Read) => "of the active segment".to_string(),
        (Cause::Wal, Way::Written) => "WAL".to_string(),
        (Cause::Compaction(level), _) => format!("compaction to L{level}"),
        _ => cause.to_string(),
    };
    Key { class, name }
}
