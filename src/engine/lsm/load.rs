//! A load of sorted pairs: straight into tables, each byte written once.
//!
//! The pairs are written as tables while writers wait (readers go on), with one sequence number for all,
//! and are installed by one edit: all or nothing. Where no table holds keys of their range they go to
//! the lowest level; else above the highest level that does, level 0 at most.

use crate::engine::Pairs;
use crate::engine::load::Ascending;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{Kind, encode, trailer};
use crate::engine::lsm::maker::{Made, Maker};
use crate::engine::lsm::options::LEVELS;
use crate::engine::lsm::table::builder::TableBuilder;
use crate::engine::lsm::version::Version;
use crate::error::Result;
use crate::vfs::Cause;

/// The level that tables of a load are made for, before it is known which they go to.
const MADE_FOR: u8 = LEVELS as u8 - 1;

/// Writes all pairs as tables; every entry has this sequence number. Also says how many there are.
pub(super) fn write<'a>(
    maker: &'a Maker,
    order: &Order,
    pairs: &mut dyn Pairs,
    seqno: u64,
    next_number: &dyn Fn() -> Result<u64>,
) -> Result<(Made<'a>, u64)> {
    let mut made = maker.make();
    let mut table: Option<TableBuilder> = None;
    let mut pairs = Ascending::new(pairs, |a: &[u8], b: &[u8]| order.compare(a, b));
    let mut internal = Vec::new();
    while let Some((key, value)) = pairs.next_pair()? {
        if let Some(full) = table.take_if(|table| table.bytes() >= maker.options.table_bytes) {
            made.finish(full)?;
        }
        if table.is_none() {
            table = Some(made.begin(next_number()?, MADE_FOR, Cause::Flush)?);
        }
        internal.clear();
        encode(&mut internal, key, trailer(seqno, Kind::Set));
        table.as_mut().expect("begun above").add(&internal, value)?;
    }
    if let Some(table) = table {
        made.finish(table)?;
    }
    made.publish()?;
    Ok((made, pairs.count()))
}

/// The lowest level that keys from `smallest` to `largest`, newer than all others, may be put on: nothing
/// that shares keys with them may stand on it or above it.
pub(super) fn level_for(version: &Version, smallest: &[u8], largest: &[u8], order: &Order) -> u8 {
    let is_shared = |level: usize| version.levels[level].iter().any(|t| t.overlaps(smallest, largest, order));
    match (0..LEVELS).find(|&level| is_shared(level)) {
        None => LEVELS as u8 - 1,
        Some(level) => level.saturating_sub(1) as u8,
    }
}
