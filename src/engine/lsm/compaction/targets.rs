//! How large each level should be, and how far from that it is.
//!
//! Sizes are reckoned from the bottom up, as RocksDB's dynamic level sizes: the last level is as large
//! as the data, each level above it by the factor smaller, down to one that is small enough for level 0
//! to be merged into. The levels above that one are not used.
//!
//! ```text
//! level_bytes = 256 MiB, factor 10        20 GiB of data        200 MiB of data
//!     level 0                             -> 4                  -> 6
//!     level 4 (base)                      256 MiB (of 204)
//!     level 5                             2 GiB
//!     level 6 (bottom)                    as it is              as it is (base)
//! ```
//!
//! So nine parts in ten of the data are at the bottom whatever their size, and obsolete entries above
//! take about a tenth. Sizes that were reckoned from the top would leave a bottom that can be as small
//! as the level above it, and then half of the space may be garbage.

use crate::engine::lsm::compaction::busy::Busy;
use crate::engine::lsm::options::{LEVELS, LsmOptions};
use crate::engine::lsm::version::Version;

/// See [`Limits::level0_part`].
pub const LEVEL0_PART: usize = 64;

/// What decides about compaction: options, and what is none because nobody could choose it better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Level 0 is compacted when it has this many tables.
    pub level0_tables: usize,
    /// Tables of level 0 that go down in one compaction at most: each is open for as long as it takes. Level 0 can
    /// have many more, for `flush` waits for nothing.
    pub level0_part: usize,
    /// The base level may have this many bytes at least.
    pub level_bytes: u64,
    /// Each level is so many times as large as the one above it.
    pub level_factor: u64,
    /// The size of a table, in bytes.
    pub table_bytes: u64,
}

impl From<&LsmOptions> for Limits {
    fn from(options: &LsmOptions) -> Limits {
        Limits {
            level0_tables: options.level0_tables,
            level0_part: LEVEL0_PART,
            level_bytes: options.level_bytes,
            level_factor: options.level_factor,
            table_bytes: options.table_bytes,
        }
    }
}

/// The last level there can be.
pub const BOTTOM: u8 = LEVELS as u8 - 1;

/// How large each level should be, and how urgent it is to make it smaller.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// Where level 0 goes. The levels between have no tables.
    pub base_level: u8,
    /// The bytes that each level should have at most. 0 for level 0, and for levels that should be
    /// empty; no limit for the bottom.
    pub bytes: [u64; LEVELS],
    /// How full each level is: from 1 on it should be compacted, the highest first. What running
    /// compactions take away is not counted. 0 for the bottom.
    pub scores: [f64; LEVELS],
}

/// Reckons the sizes that levels should have. Costs a walk over all tables.
pub fn targets(version: &Version, limits: &Limits, busy: &Busy) -> Targets {
    let sizes: [u64; LEVELS] = std::array::from_fn(|level| version.bytes(level));
    let first = (1..BOTTOM).find(|&level| sizes[usize::from(level)] > 0).unwrap_or(BOTTOM);
    let wanted = wanted_base(&sizes, first, limits);
    let mut bytes = [0; LEVELS];
    let mut ideal = sizes[1..].iter().copied().max().unwrap_or(0);
    for level in (usize::from(wanted)..usize::from(BOTTOM)).rev() {
        ideal /= limits.level_factor.max(2);
        // Never below what level 0 brings at a time, or the tree has a waist.
        bytes[level] = ideal.max(limits.level_bytes);
    }
    bytes[usize::from(BOTTOM)] = u64::MAX;
    let scores = std::array::from_fn(|level| score(version, level, bytes[level], limits, busy));
    Targets { base_level: first.min(wanted), bytes, scores }
}

/// The highest level that is needed for so much data. A level is given up only when it would have less
/// than half of what it had when it was first needed, so that it does not come and go.
fn wanted_base(sizes: &[u64; LEVELS], first: u8, limits: &Limits) -> u8 {
    let mut ideal = sizes[1..].iter().copied().max().unwrap_or(0);
    let mut level = BOTTOM;
    while level > 1 && ideal > limits.level_bytes {
        ideal /= limits.level_factor.max(2);
        level -= 1;
    }
    let is_nearly_needed = ideal > limits.level_bytes / 2;
    if first < level && is_nearly_needed { level - 1 } else { level }
}

fn score(version: &Version, level: usize, target: u64, limits: &Limits, busy: &Busy) -> f64 {
    let staying = version.levels[level].iter().filter(|table| !busy.lowers(table));
    let (count, bytes) = staying.fold((0, 0), |(n, bytes), table| (n + 1, bytes + table.meta.len));
    let part = |of: u64, whole: u64| of as f64 / whole.max(1) as f64;
    match (level, target) {
        (0, _) => part(count, limits.level0_tables as u64).max(part(bytes, limits.level_bytes)),
        (_, 0) if bytes > 0 => 1.0 + part(bytes, limits.level_bytes),
        _ if level == usize::from(BOTTOM) => 0.0,
        _ => part(bytes, target),
    }
}
