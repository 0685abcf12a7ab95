//! A flush: from a memtable to a table of level 0. A cursor in, a table out.
//!
//! What nobody can see any more stays behind; tombstones do not, since older entries of their keys may
//! stand in any table.

use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key::{seqno, split};
use crate::engine::lsm::maker::{Made, Maker};
use crate::engine::lsm::memtable::Memtable;
use crate::engine::lsm::snapshots::Keep;
use crate::error::Result;
use crate::vfs::Cause;

/// Writes `memtable`, which is not empty, as table `number`. Durable, name and all, when it returns.
pub fn run<'a>(maker: &'a Maker, memtable: &Memtable, moments: Vec<u64>, number: u64) -> Result<Made<'a>> {
    let mut made = maker.make();
    let mut table = made.begin(number, 0, Cause::Flush)?;
    let mut keep = Keep::new(maker.options.comparator.clone(), moments);
    let mut cursor = memtable.cursor();
    cursor.seek_to_first()?;
    while cursor.valid() {
        let (user_key, trailer) = split(cursor.key());
        if keep.is_seen(user_key, seqno(trailer)) {
            table.add(cursor.key(), cursor.value())?;
        }
        cursor.next()?;
    }
    made.finish(table)?;
    made.publish()?;
    Ok(made)
}
