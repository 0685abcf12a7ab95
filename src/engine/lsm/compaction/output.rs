//! Two questions that a compaction asks of each user key that it writes, in ascending order.

use crate::engine::lsm::compaction::Compaction;
use crate::engine::lsm::compaction::targets::Limits;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::version::TableFile;
use std::cmp::Ordering;
use std::sync::Arc;

/// A table that overlaps more than so many tables' worth of the level below is not made, and not moved
/// there: to merge it later would take too long.
pub const MAX_OVERLAP: u64 = 10;

/// Whether no level below the output can hold a user key, so that a tombstone of it hides nothing.
///
/// Proof that no table elsewhere can hold an entry that the tombstone hides:
///
/// 1. Such an entry is older, so it is not in a level above, nor in a newer table of level 0.
/// 2. Of the levels from the inputs' to the output's, all tables that overlap take part; of level 0
///    all older ones that do.
/// 3. While the compaction runs, others bring only newer entries of the key above the output, and put
///    below it only what was below already.
///
/// So only the levels below the output are left, as they were when it was picked. The tombstone must
/// also be older than every snapshot; that is for the caller to see to.
#[derive(Clone, Debug)]
pub struct Base<'a> {
    order: &'a Order,
    levels: Vec<&'a [Arc<TableFile>]>,
}

impl<'a> Base<'a> {
    /// For a compaction's output.
    pub fn of(compaction: &'a Compaction, order: &'a Order) -> Base<'a> {
        Base { order, levels: compaction.deeper.iter().map(Vec::as_slice).collect() }
    }

    /// Whether it is so for this key. Keys are asked for in ascending order: each level's tables are
    /// walked along once.
    pub fn is_base_for(&mut self, user_key: &[u8]) -> bool {
        let order = self.order;
        self.levels.iter_mut().all(|tables| {
            while let Some((first, rest)) = tables.split_first()
                && order.compare(first.largest_user(), user_key) == Ordering::Less
            {
                *tables = rest;
            }
            tables.first().is_none_or(|table| order.compare(user_key, table.smallest_user()).is_lt())
        })
    }
}

/// Where an output table ends and the next begins.
#[derive(Clone, Debug)]
pub struct Cutter<'a> {
    order: &'a Order,
    table_bytes: u64,
    grandparents: &'a [Arc<TableFile>],
    overlap: u64,
}

impl<'a> Cutter<'a> {
    /// For a compaction's output.
    pub fn of(compaction: &'a Compaction, limits: &Limits, order: &'a Order) -> Cutter<'a> {
        let grandparents = compaction.grandparents();
        Cutter { order, table_bytes: limits.table_bytes, grandparents, overlap: 0 }
    }

    /// Whether a new table begins with this user key, given the bytes that the present one has; 0 if
    /// there is none. Ask once for each user key that is written, with its first entry: so the versions
    /// of a key are never parted.
    ///
    /// A table ends when it is full, when it overlaps too much of the level below, and where a table
    /// of that level ends if it is nearly full: then fewer tables there share keys with two of ours.
    pub fn cuts_before(&mut self, user_key: &[u8], bytes: u64) -> bool {
        let passed = self.pass(user_key, bytes);
        let is_aligned = passed && bytes >= self.table_bytes / 2;
        let is_full = bytes >= self.table_bytes || self.overlap > MAX_OVERLAP * self.table_bytes;
        let cuts = bytes > 0 && (is_full || is_aligned);
        if cuts {
            self.overlap = 0;
        }
        cuts
    }

    /// Leaves the grandparents behind that end before this key; whether there were any.
    fn pass(&mut self, user_key: &[u8], bytes: u64) -> bool {
        let before = self.grandparents.len();
        while let Some((first, rest)) = self.grandparents.split_first()
            && self.order.compare(first.largest_user(), user_key) == Ordering::Less
        {
            // Those before the first key of a table do not overlap it.
            self.overlap += if bytes > 0 { first.meta.len } else { 0 };
            self.grandparents = rest;
        }
        self.grandparents.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::{Base, Cutter};
    use crate::engine::lsm::compaction::targets::Limits;
    use crate::engine::lsm::compaction::{Compaction, Reason};
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::key::{Kind, internal, trailer};
    use crate::engine::lsm::version::TableFile;
    use crate::engine::lsm::version::edit::TableMeta;
    use std::sync::Arc;

    const LIMITS: Limits =
        Limits { level0_tables: 2, level0_part: 64, level_bytes: 1000, level_factor: 10, table_bytes: 100 };

    fn table(first: &str, last: &str, len: u64) -> Arc<TableFile> {
        let key = |key: &str| internal(key.as_bytes(), trailer(1, Kind::Set));
        let meta = TableMeta {
            level: 5,
            len,
            contents: 0,
            smallest: key(first),
            largest: key(last),
            first_seqno: 1,
            last_seqno: 1,
            entries: 2,
            tombstones: 0,
            older: 0,
            raw_bytes: len,
        };
        Arc::new(TableFile::without_file(1, meta))
    }

    fn above(deeper: Vec<Vec<Arc<TableFile>>>) -> Compaction {
        let inputs = vec![table("a", "z", 1)];
        let (below, reason) = (Vec::new(), Reason::Size);
        Compaction { level: 3, output_level: 4, inputs, below, deeper, reason, is_move: false }
    }

    #[test]
    fn a_key_is_at_its_base_where_no_table_below_spans_it() {
        let compaction =
            above(vec![vec![table("b", "c", 1), table("f", "f", 1)], vec![], vec![table("h", "j", 1)]]);
        let mut base = Base::of(&compaction, &Order::Bytewise);
        let is_base = ["a", "b", "bb", "c", "d", "f", "ff", "h", "i", "j", "k"]
            .map(|key| base.is_base_for(key.as_bytes()));
        assert_eq!(is_base, [true, false, false, false, true, false, true, false, false, false, true]);
    }

    #[test]
    fn a_table_ends_when_full_or_over_too_much_or_where_one_below_ends() {
        let deeper = vec![table("b", "c", 400), table("e", "f", 400), table("g", "h", 400)];
        let compaction = above(vec![deeper]);
        let mut cutter = Cutter::of(&compaction, &LIMITS, &Order::Bytewise);
        let mut cuts = |key: &str, bytes| cutter.cuts_before(key.as_bytes(), bytes);
        assert!(!cuts("a", 0) && !cuts("aa", 99), "neither full nor at an end");
        assert!(cuts("ab", 100), "full");
        assert!(!cuts("d", 49), "at an end, but small");
        assert!(cuts("f1", 50), "at an end, and half full");
        assert!(!cuts("i", 1));
        let deeper = (0..30).map(|i| table(&format!("b{i:02}"), &format!("b{i:02}"), 101)).collect();
        let compaction = above(vec![deeper]);
        let mut cutter = Cutter::of(&compaction, &LIMITS, &Order::Bytewise);
        assert!(!cutter.cuts_before(b"b00", 0));
        assert!(!cutter.cuts_before(b"b08+", 1), "nine tables are 909 bytes");
        assert!(cutter.cuts_before(b"b09+", 2), "ten are 1010");
        assert!(!cutter.cuts_before(b"b18+", 1) && cutter.cuts_before(b"b20+", 2), "counted anew");
        // What ends before the first key of a table is not counted, and just enough is not too much.
        let deeper = (0..30).map(|i| table(&format!("b{i:02}"), &format!("b{i:02}"), 100)).collect();
        let compaction = above(vec![deeper]);
        let mut cutter = Cutter::of(&compaction, &LIMITS, &Order::Bytewise);
        assert!(!cutter.cuts_before(b"b05", 0) && !cutter.cuts_before(b"b14+", 1), "ten are 1000");
        assert!(cutter.cuts_before(b"b15+", 2));
        assert!(!cutter.cuts_before(b"b29+", 0), "there is no table to end");
    }
}
