//! Compaction for space, when there is nothing better to do.
//!
//! An entry that was replaced takes space until the entry that replaced it comes down to its level. How
//! much that is cannot be seen from descriptions of tables; but how much it can be *at most* can:
//!
//! > A table can hide at most as much as it holds, and what its tombstones hide; and never more than all
//! > that overlaps it below. A table that overlaps nothing hides nothing.
//!
//! While the sum of that over all tables above the bottom is at most `1 / (factor + 1)` of the store,
//! space is at most `1 + 1 / factor` times the data, and nothing is done. Else the highest level down
//! to which the sum is too much gives up tables, the cheapest first, until it is small enough.
//!
//! # What it costs
//!
//! It begins only when a part of `1 / (factor + 1)` or more of the store was written since the last
//! time; then it reads and writes that part and at most all of the bottom once for each level between.
//! So it rewrites at most `factor + 1` bytes for each byte written, as one more level would, and only
//! if the store comes to rest each time after just so much. New keys at random places cost the same,
//! though they replace nothing: they cannot be told apart. New keys in order cost nothing.

use crate::engine::lsm::compaction::picker::{Picker, has_many_tombstones};
use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::compaction::targets::{BOTTOM, targets};
use crate::engine::lsm::compaction::{Compaction, Reason, bytes};
use crate::engine::lsm::version::TableFile;

impl Picker<'_> {
    /// The next step that makes the store smaller, if it may be more than `1 / level_factor` larger
    /// than its data. To be asked only when [`Picker::pick`] has nothing and the store is at rest: in
    /// the midst of writing it would do the same work many times. `settled` is the newest write that
    /// every reader and snapshot sees: what is newer may replace nothing yet. `None` if it is small
    /// enough, or running compactions are in the way. Costs a walk over all tables.
    pub fn pick_idle(&self, settled: u64) -> Option<Compaction> {
        self.pick_hidden(settled)
            .or_else(|| self.pick_tombstones(settled, |table| has_many_tombstones(&table.meta)))
    }

    fn pick_hidden(&self, settled: u64) -> Option<Compaction> {
        let all: u64 = bytes(self.version.tables());
        let budget = all / (self.limits.level_factor + 1);
        let mut hidden = 0;
        let level = (0..BOTTOM).find(|&level| {
            let tables = self.version.levels[usize::from(level)].iter();
            hidden += tables.map(|table| self.hides(level, table, settled)).sum::<u64>();
            hidden > budget
        })?;
        self.pick_hiding(level, settled)
    }

    /// The compaction of a level that rewrites the fewest bytes for each byte that may be hidden.
    fn pick_hiding(&self, level: u8, settled: u64) -> Option<Compaction> {
        if level == 0 {
            let base_level = targets(self.version, self.limits, self.busy).base_level;
            return self.pick_level0(base_level, Reason::Space, |table| self.hides(0, table, settled) > 0);
        }
        let tables = self.version.levels[usize::from(level)].iter().filter(|table| !self.busy.holds(table));
        let mut seeds: Vec<_> = tables
            .map(|table| (self.hides(level, table, settled), table))
            .filter(|(hides, _)| *hides > 0)
            .map(|(hides, table)| {
                let below = bytes(self.overlapping(level + 1, &Span::of(table)));
                (u128::from(table.meta.len + below) * 1000 / u128::from(hides), table)
            })
            .collect();
        seeds.sort_by_key(|(cost, _)| *cost);
        seeds.into_iter().find_map(|(_, seed)| self.plan(level, level + 1, Span::of(seed), Reason::Space))
    }

    /// The most bytes that may be obsolete because of a table: those it hides, and its own tombstones.
    fn hides(&self, level: u8, table: &TableFile, settled: u64) -> u64 {
        if table.meta.last_seqno > settled {
            return 0;
        }
        let span = Span::of(table);
        let is_older = |other: &TableFile| {
            other.meta.last_seqno < table.meta.last_seqno && span.overlaps(&Span::of(other), self.order)
        };
        let older = self.version.levels[0].iter().filter(|other| level == 0 && is_older(other));
        let deeper = (level + 1..=BOTTOM).flat_map(|level| self.overlapping(level, &span));
        let (len, entries) = older
            .chain(deeper)
            .fold((0, 0), |(len, entries), other| (len + other.meta.len, entries + other.meta.entries));
        let part = |len: u64, n: u64, of: u64| {
            u64::try_from(u128::from(len) * u128::from(n) / u128::from(of.max(1))).unwrap_or(u64::MAX)
        };
        let tombstones = table.meta.tombstones;
        let hidden = table.meta.len.saturating_add(part(len, tombstones, entries)).min(len);
        hidden + part(table.meta.len, tombstones, table.meta.entries)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::lsm::compaction::busy::Busy;
    use crate::engine::lsm::compaction::picker::tests::{Drawn, version, with};

    /// What the tables of a level hide at most, in the order of the level.
    fn hidden(tables: &[Drawn<'_>], level: u8, settled: u64) -> Vec<u64> {
        let version = version(tables);
        with(&version, &Busy::default(), |picker| {
            let tables = version.levels[usize::from(level)].iter();
            tables.map(|table| picker.hides(level, table, settled)).collect()
        })
    }

    #[test]
    fn a_table_of_level_0_hides_older_ones_and_not_newer_ones() {
        let tables = [(0, 3, "a-b", 100, 0), (0, 2, "a-b", 60, 0)];
        assert_eq!(hidden(&tables, 0, 9), [60, 0]);
        let bottom = (6, 1, "a-b", 70, 0);
        assert_eq!(hidden(&[tables[0], tables[1], bottom], 0, 9), [100, 60]);
        // Those below level 0 hide what is below them alone.
        assert_eq!(hidden(&[(5, 9, "a-b", 100, 0), tables[0], bottom], 5, 9), [70]);
    }

    #[test]
    fn tombstones_hide_their_part_of_what_is_below_and_are_needless_with_it() {
        let below = [(6, 1, "a-a", 300, 0), (6, 2, "b-b", 500, 0)];
        let tombstones = |count| hidden(&[(5, 9, "a-b", 100, count), below[0], below[1]], 5, 9);
        assert_eq!([tombstones(0), tombstones(2)], [[100], [100 + 800 * 2 / 20 + 20]]);
    }

    #[test]
    fn what_a_snapshot_may_need_is_not_hidden() {
        let tables = [(5, 7, "a-b", 100, 0), (6, 1, "a-b", 900, 0)];
        assert_eq!([6, 7].map(|settled| hidden(&tables, 5, settled)), [[0], [100]]);
    }

    /// The number of the first input, if anything is done.
    fn picked(tables: &[Drawn<'_>]) -> Option<u64> {
        let version = version(tables);
        let step = with(&version, &Busy::default(), |picker| picker.pick_idle(99))?;
        Some(step.inputs[0].number)
    }

    #[test]
    fn nothing_is_done_for_as_much_as_may_be() {
        let over = |len| picked(&[(5, 2, "a-b", len, 0), (6, 1, "a-b", 1000, 0)]);
        assert_eq!([over(100), over(101)], [None, Some(2)], "a part of eleven");
    }

    #[test]
    fn in_level_0_goes_what_hides_something() {
        let tables = [(0, 2, "x-z", 50, 0), (0, 3, "a-b", 150, 0), (6, 1, "a-b", 900, 0)];
        assert_eq!(picked(&tables), Some(3), "the older one hides nothing");
    }

    /// The fewest bytes for each that is hidden: 160 for 60, not 150 for 50; 20 for 10, not 220 for 100.
    #[test]
    fn the_cheapest_goes_first() {
        let pair = |number, above, below| [(5, number, "a-b", above, 0), (6, number + 10, "a-b", below, 0)];
        let other = |number, above, below| [(5, number, "c-d", above, 0), (6, number + 10, "c-d", below, 0)];
        assert_eq!(picked(&[pair(1, 50, 100), other(2, 100, 60)].concat()), Some(2));
        assert_eq!(picked(&[pair(1, 100, 120), other(2, 10, 10)].concat()), Some(2));
    }
}
