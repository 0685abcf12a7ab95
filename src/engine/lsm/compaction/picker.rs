//! Which compaction is next. Pure: the same version, limits and claims give the same answer.
//!
//! Level 0 goes first when it holds twice the tables it should; else the level that is the fullest for
//! its size. If running compactions are in the way there, the next is tried.
//!
//! In level 0 the oldest table that is free is taken, with all that it overlaps, directly or by way of
//! others: the more of level 0 goes at a time, the less often the base level is rewritten. In a level
//! below, the table is taken for which the fewest bytes below must be rewritten for each byte of its
//! own (RocksDB's `kMinOverlappingRatio`); tombstones make a table count as up to three times its size,
//! for what they hide goes with them.

use crate::engine::lsm::compaction::busy::Busy;
use crate::engine::lsm::compaction::output::MAX_OVERLAP;
use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::compaction::targets::{BOTTOM, Limits, targets};
use crate::engine::lsm::compaction::{Compaction, Reason, bytes};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::version::edit::TableMeta;
use crate::engine::lsm::version::{TableFile, Version};
use std::sync::Arc;

/// More source tables are taken along for free up to so many tables' worth of input.
const MAX_INPUT: u64 = 25;

/// What a pick looks at.
#[derive(Clone, Copy, Debug)]
pub struct Picker<'a> {
    /// The tables.
    pub version: &'a Version,
    /// The options.
    pub limits: &'a Limits,
    /// The order of keys.
    pub order: &'a Order,
    /// What running compactions have claimed.
    pub busy: &'a Busy,
}

/// Keys that somebody wants compacted.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// From this user key on, or from the first.
    pub start: Option<&'a [u8]>,
    /// To this user key, included, or to the last.
    pub end: Option<&'a [u8]>,
    /// Only what was written up to this sequence number: what is written meanwhile need not go down, or
    /// there might be no end.
    pub upto: u64,
}

impl<'a> Picker<'a> {
    /// The next compaction that the sizes of the levels ask for; `None` if none does, or running ones
    /// are in the way of all. Costs a walk over all tables.
    pub fn pick(&self) -> Option<Compaction> {
        let targets = targets(self.version, self.limits, self.busy);
        let backlog = 2.0 * self.limits.level0_tables as f64;
        let level0_waits = targets.scores[0] * self.limits.level0_tables as f64 >= backlog;
        let urgency = |level: u8| match level {
            0 if level0_waits => f64::INFINITY,
            _ => targets.scores[usize::from(level)],
        };
        let mut levels: Vec<u8> = (0..BOTTOM).filter(|&level| urgency(level) >= 1.0).collect();
        levels.sort_by(|&a, &b| urgency(b).total_cmp(&urgency(a)));
        levels.into_iter().find_map(|level| match level {
            0 => self.pick_level0(targets.base_level, Reason::Level0, |_| true),
            _ => self.pick_below(level, Reason::Size),
        })
    }

    /// The next step by which a part of the keys comes to lie in the last level that has data, without
    /// tombstones that nothing needs: `settled` is the newest write that every reader and snapshot
    /// sees. `None` when it does, or when running compactions are in the way: if any run, ask again
    /// when one has ended. A step reads about `25 * table_bytes` and what lies below.
    pub fn pick_range(&self, part: &Part<'_>, settled: u64) -> Option<Compaction> {
        let wanted = |table: &TableFile| self.is_in(table, part);
        let last = self.version.last_level()? as u8;
        let base_level = targets(self.version, self.limits, self.busy).base_level;
        let lower = |level: u8| match level {
            0 => self.pick_level0(base_level, Reason::Range, wanted),
            _ => self.pick_run(level, Reason::Range, wanted),
        };
        let purge = || self.pick_tombstones(settled, |table| wanted(table));
        (0..last.max(1)).find_map(lower).or_else(purge)
    }

    fn is_in(&self, table: &TableFile, part: &Part<'_>) -> bool {
        let from = part.start.is_none_or(|start| self.order.compare(start, table.largest_user()).is_le());
        let upto = part.end.is_none_or(|end| self.order.compare(table.smallest_user(), end).is_le());
        from && upto && table.meta.first_seqno <= part.upto
    }

    /// Level 0: the oldest table for which it works, with those that it overlaps.
    pub(super) fn pick_level0(
        &self,
        output_level: u8,
        reason: Reason,
        wanted: impl Fn(&TableFile) -> bool,
    ) -> Option<Compaction> {
        let oldest_first = self.version.levels[0].iter().rev();
        let mut seeds = oldest_first.filter(|table| wanted(table) && !self.busy.holds(table));
        seeds.find_map(|seed| self.plan(0, output_level, Span::of(seed), reason))
    }

    /// A level below: the cheapest table for which it works, by [`cost`].
    fn pick_below(&self, level: u8, reason: Reason) -> Option<Compaction> {
        let tables = &self.version.levels[usize::from(level)];
        let free = tables.iter().filter(|table| !self.busy.holds(table));
        let mut seeds: Vec<_> = free.map(|table| (self.cost(level, table), table)).collect();
        // The sort keeps the order of keys among equals.
        seeds.sort_by_key(|(cost, _)| *cost);
        seeds.into_iter().find_map(|(_, seed)| self.plan(level, level + 1, Span::of(seed), reason))
    }

    /// Thousandths of a byte below that are rewritten for each byte of the table.
    pub(super) fn cost(&self, level: u8, table: &TableFile) -> u64 {
        let below = u128::from(bytes(self.overlapping(level + 1, &Span::of(table))));
        let cost = below * 1000 / u128::from(weight(&table.meta).max(1));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }

    /// A run of neighbours of one level that are wanted: as many as one step may read.
    fn pick_run(&self, level: u8, reason: Reason, wanted: impl Fn(&TableFile) -> bool) -> Option<Compaction> {
        let tables = &self.version.levels[usize::from(level)];
        let is_free = |table: &&Arc<TableFile>| wanted(table) && !self.busy.holds(table);
        let mut left = &tables[..];
        while let Some(start) = left.iter().position(|table| is_free(&table)) {
            left = &left[start..];
            let mut room = MAX_INPUT * self.limits.table_bytes;
            let fits = left.iter().take_while(|table| {
                let cost = table.meta.len + bytes(self.overlapping(level + 1, &Span::of(table)));
                let takes = is_free(table) && room > 0;
                room = room.saturating_sub(cost);
                takes
            });
            let run = &left[..fits.count()];
            let found = Span::of_all(run, self.order)
                .and_then(|span| self.plan(level, level + 1, span, reason))
                .or_else(|| self.plan(level, level + 1, Span::of(&run[0]), reason));
            if found.is_some() {
                return found;
            }
            left = &left[run.len()..];
        }
        None
    }

    /// A table at the bottom of its keys whose tombstones and older entries can all go, rewritten in its
    /// own level.
    pub(super) fn pick_tombstones(
        &self,
        settled: u64,
        wanted: impl Fn(&TableFile) -> bool,
    ) -> Option<Compaction> {
        let may_go = |table: &&Arc<TableFile>| {
            let needless = table.meta.tombstones.saturating_add(table.meta.older);
            needless > 0 && table.meta.last_seqno <= settled && wanted(table)
        };
        (1..=BOTTOM).rev().find_map(|level| {
            let tables = self.version.levels[usize::from(level)].iter().filter(may_go);
            let plans = tables
                .map(|table| self.build(level, level, vec![table.clone()], Vec::new(), Reason::Tombstones));
            plans
                .filter(|plan| plan.deeper.iter().all(Vec::is_empty))
                .find(|plan| self.busy.admits(plan, self.order))
        })
    }

    /// The compaction of all tables of a level that overlap a span: widened until its ends lie between
    /// user keys, and by what can be taken along for free. `None` if a running one is in the way.
    pub(super) fn plan(
        &self,
        level: u8,
        output_level: u8,
        seed: Span<'_>,
        reason: Reason,
    ) -> Option<Compaction> {
        let (inputs, below) = self.gather(level, output_level, seed)?;
        let (inputs, below) = self.for_free(level, output_level, inputs, below)?;
        let plan = self.build(level, output_level, inputs, below, reason);
        self.busy.admits(&plan, self.order).then_some(plan)
    }

    /// The tables of a level that overlap a span, and those below that overlap them.
    fn gather(&self, level: u8, output_level: u8, span: Span<'_>) -> Option<Inputs> {
        let inputs = self.closure(level, span);
        let span = Span::of_all(&inputs, self.order)?;
        let below = self.closure(output_level, span);
        Some((inputs, below))
    }

    /// More inputs, if they need no more of the level below, and are not too much.
    fn for_free(
        &self,
        level: u8,
        output_level: u8,
        inputs: Vec<Arc<TableFile>>,
        below: Vec<Arc<TableFile>>,
    ) -> Option<Inputs> {
        let whole = Span::of_all(inputs.iter().chain(&below), self.order)?;
        let (more, more_below) = self.gather(level, output_level, whole)?;
        let is_free = more.len() > inputs.len()
            && more_below.len() == below.len()
            && bytes(more.iter().chain(&below)) <= MAX_INPUT * self.limits.table_bytes
            && !self.busy.holds_any(&more);
        Some(if is_free { (more, below) } else { (inputs, below) })
    }

    /// The tables of a level that overlap a span or, by way of others of them, each other.
    ///
    /// In level 0 that takes all the older tables that the chosen ones overlap, as it must, and the
    /// newer ones too. Below, it takes both of two tables that share a user key, should there be such.
    fn closure(&self, level: u8, span: Span<'_>) -> Vec<Arc<TableFile>> {
        let tables = self.overlapping_any(level, &span);
        match Span::of_all(&tables, self.order).map(|all| all.with(span, self.order)) {
            Some(wider) if wider != span => self.closure(level, wider),
            _ => tables,
        }
    }

    fn overlapping_any(&self, level: u8, span: &Span<'_>) -> Vec<Arc<TableFile>> {
        if level > 0 {
            return self.overlapping(level, span).to_vec();
        }
        let overlaps = |table: &&Arc<TableFile>| span.overlaps(&Span::of(table), self.order);
        self.version.levels[0].iter().filter(overlaps).cloned().collect()
    }

    pub(super) fn overlapping(&self, level: u8, span: &Span<'_>) -> &'a [Arc<TableFile>] {
        self.version.overlapping(usize::from(level), span.smallest, span.largest, self.order)
    }

    fn build(
        &self,
        level: u8,
        output_level: u8,
        inputs: Vec<Arc<TableFile>>,
        below: Vec<Arc<TableFile>>,
        reason: Reason,
    ) -> Compaction {
        let span = Span::of_all(inputs.iter().chain(&below), self.order);
        let deeper = span.map(|span| {
            (output_level + 1..=BOTTOM).map(|level| self.overlapping(level, &span).to_vec()).collect()
        });
        let is_move = false;
        let deeper = deeper.unwrap_or_default();
        let mut plan = Compaction { level, output_level, inputs, below, deeper, reason, is_move };
        plan.is_move = self.can_move(&plan);
        plan
    }

    /// Whether the inputs may go down as they are: nothing is there to merge them with, they need not
    /// be merged with each other, and will not be too much to merge with what is below that.
    ///
    /// But if they come to the bottom of their keys and at least a tenth of their entries are
    /// tombstones, they are rewritten without. Fewer are let through: they are cheaper to keep until
    /// the table is rewritten for another reason.
    fn can_move(&self, plan: &Compaction) -> bool {
        let goes_down = plan.level < plan.output_level && plan.below.is_empty();
        let is_sorted = plan.level > 0 || plan.inputs.len() == 1;
        let is_light = bytes(plan.grandparents()) <= MAX_OVERLAP * self.limits.table_bytes;
        let at_bottom = plan.deeper.iter().all(Vec::is_empty);
        let is_purge = at_bottom && plan.inputs.iter().any(|table| has_many_tombstones(&table.meta));
        goes_down && is_sorted && is_light && !is_purge
    }
}

type Inputs = (Vec<Arc<TableFile>>, Vec<Arc<TableFile>>);

/// Whether a tenth of the entries or more are tombstones, or stand behind newer ones of their keys.
pub(super) fn has_many_tombstones(meta: &TableMeta) -> bool {
    let needless = meta.tombstones.saturating_add(meta.older);
    needless > 0 && needless.saturating_mul(10) >= meta.entries
}

/// What a table counts as when tables are compared: its bytes, more the more of it are tombstones.
fn weight(meta: &TableMeta) -> u64 {
    let (len, entries) = (u128::from(meta.len), u128::from(meta.entries.max(1)));
    let tombstones = u128::from(meta.tombstones.min(meta.entries));
    u64::try_from(len * (entries + 2 * tombstones) / entries).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Part, Picker, weight};
    use crate::engine::lsm::compaction::busy::Busy;
    use crate::engine::lsm::compaction::targets::{Limits, targets};
    use crate::engine::lsm::compaction::{Compaction, Reason};
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::key::{Kind, internal, trailer};
    use crate::engine::lsm::version::edit::TableMeta;
    use crate::engine::lsm::version::{TableFile, Version};
    use std::sync::Arc;

    const LIMITS: Limits = Limits { level0_tables: 2, level_bytes: 1000, level_factor: 10, table_bytes: 100 };

    /// A tree from a picture: level, number, keys, bytes, tombstones of ten entries. Sequence numbers
    /// are the table's number.
    fn version(tables: &[(u8, u64, &str, u64, u64)]) -> Version {
        let table = |&(level, number, keys, len, tombstones): &(u8, u64, &str, u64, u64)| {
            let (first, last) = keys.split_once('-').unwrap();
            let meta = TableMeta {
                level,
                len,
                contents: 0,
                smallest: internal(first.as_bytes(), trailer(number, Kind::Set)),
                largest: internal(last.as_bytes(), trailer(number, Kind::Set)),
                first_seqno: number,
                last_seqno: number,
                entries: 10,
                tombstones,
                older: 0,
                raw_bytes: len,
            };
            Arc::new(TableFile::without_file(number, meta))
        };
        Version::of(tables.iter().map(table), &Order::Bytewise)
    }

    fn with<T>(version: &Version, busy: &Busy, ask: impl FnOnce(Picker<'_>) -> T) -> T {
        ask(Picker { version, limits: &LIMITS, order: &Order::Bytewise, busy })
    }

    fn pick(version: &Version, busy: &Busy) -> Option<Compaction> {
        with(version, busy, |picker| picker.pick())
    }

    /// The numbers of the inputs and of those below, sorted.
    fn numbers(compaction: &Compaction) -> (Vec<u64>, Vec<u64>) {
        let sorted = |tables: &[Arc<TableFile>]| {
            let mut numbers: Vec<_> = tables.iter().map(|table| table.number).collect();
            numbers.sort_unstable();
            numbers
        };
        (sorted(&compaction.inputs), sorted(&compaction.below))
    }

    fn claimed(compactions: &[&Compaction]) -> Busy {
        let mut busy = Busy::default();
        for compaction in compactions {
            busy.claim(compaction, &Order::Bytewise);
        }
        busy
    }

    #[test]
    fn sizes_are_reckoned_from_the_bottom() {
        let at = |tables: &[(u8, u64, &str, u64, u64)]| targets(&version(tables), &LIMITS, &Busy::default());
        assert_eq!(at(&[]).base_level, 6);
        assert_eq!(at(&[(6, 1, "a-b", 1000, 0)]).base_level, 6);
        let two = at(&[(6, 1, "a-b", 20_000, 0)]);
        assert_eq!((two.base_level, two.bytes[4], two.bytes[5]), (4, 1000, 2000));
        let scores = at(&[(6, 1, "a-b", 20_000, 0), (5, 2, "a-b", 3000, 0)]).scores;
        assert_eq!((scores[5], scores[6]), (1.5, 0.0));
        // The store shrank: level 4 is emptied, but level 0 must not pass it meanwhile.
        let shrunk = at(&[(6, 1, "a-b", 900, 0), (4, 2, "a-b", 10, 0)]);
        assert_eq!((shrunk.base_level, shrunk.bytes[4]), (4, 0));
        assert!(shrunk.scores[4] > 1.0);
        // It does not come and go: level 5 stays while the bottom is more than half of what it was.
        let fewer = |bottom| at(&[(6, 1, "a-b", bottom, 0), (5, 2, "a-b", 10, 0)]).bytes[5];
        assert_eq!((fewer(501), fewer(500)), (1000, 0));
    }

    #[test]
    fn level_0_takes_along_all_older_tables_that_overlap() {
        // 1 and 3 overlap by way of 2; 4 has nothing to do with them.
        let version = version(&[
            (0, 4, "x-z", 10, 0),
            (0, 3, "e-g", 10, 0),
            (0, 2, "b-e", 10, 0),
            (0, 1, "a-b", 10, 0),
            (6, 9, "f-h", 10, 0),
        ]);
        let first = pick(&version, &Busy::default()).unwrap();
        assert_eq!(numbers(&first), (vec![1, 2, 3], vec![9]));
        assert_eq!((first.output_level, first.reason, first.is_move), (6, Reason::Level0, false));
        // Beside it the other may run; and is moved, once level 0 is over its limit without the first.
        let mut more = version.clone();
        more.levels[0].insert(0, level0(5, "v-w"));
        let second = pick(&more, &claimed(&[&first])).unwrap();
        assert_eq!((numbers(&second), second.is_move), ((vec![4], vec![]), true));
        // A newer one that overlaps must wait for the older.
        let mut more = version.clone();
        more.levels[0].retain(|table| table.number != 4);
        more.levels[0].insert(0, level0(5, "c-c"));
        more.levels[0].insert(0, level0(6, "d-d"));
        assert!(pick(&more, &claimed(&[&first])).is_none());
    }

    fn level0(number: u64, keys: &str) -> Arc<TableFile> {
        version(&[(0, number, keys, 10, 0)]).levels[0][0].clone()
    }

    #[test]
    fn a_backlog_of_level_0_goes_before_a_fuller_level() {
        let base = [(5, 10, "a-c", 5000, 0), (6, 11, "a-c", 10_000, 0)];
        let few = [(0, 3, "a-b", 1, 0), (0, 2, "a-b", 1, 0)];
        let many = [(0, 3, "a-b", 1, 0), (0, 2, "a-b", 1, 0), (0, 1, "a-b", 1, 0), (0, 4, "a-b", 1, 0)];
        assert_eq!(pick(&version(&[&base[..], &few].concat()), &Busy::default()).unwrap().level, 5);
        assert_eq!(pick(&version(&[&base[..], &many].concat()), &Busy::default()).unwrap().level, 0);
    }

    #[test]
    fn the_cheapest_table_goes_first_and_the_next_if_it_is_taken() {
        let version = version(&[
            (5, 1, "a-c", 400, 0),
            (5, 2, "d-f", 500, 0),
            (5, 3, "g-i", 500, 3),
            (5, 4, "j-l", 500, 0),
            (6, 5, "a-c", 3000, 0),
            (6, 6, "d-f", 2000, 0),
            (6, 7, "g-i", 2000, 0),
            (6, 8, "j-l", 2000, 0),
        ]);
        // 3 has tombstones; 2 and 4 are as cheap as each other; 1 is the dearest.
        let first = pick(&version, &Busy::default()).unwrap();
        assert_eq!(numbers(&first), (vec![3], vec![7]));
        let second = pick(&version, &claimed(&[&first])).unwrap();
        assert_eq!(numbers(&second), (vec![2], vec![6]));
        assert!(pick(&version, &claimed(&[&first, &second])).is_none(), "two tables are enough");
    }

    #[test]
    fn a_table_weighs_up_to_three_times_its_bytes() {
        let of = |tombstones| weight(&version(&[(5, 1, "a-b", 100, tombstones)]).levels[5][0].meta);
        assert_eq!([0, 5, 10, 11].map(of), [100, 200, 300, 300], "of ten entries");
    }

    #[test]
    fn tables_that_share_a_user_key_go_together() {
        // Not to be made by us: both have versions of "c" and of "e".
        let version = version(&[
            (5, 3, "a-c", 600, 0),
            (5, 2, "c-e", 600, 0),
            (5, 1, "e-g", 600, 0),
            (6, 9, "g-g", 9000, 0),
        ]);
        let picked = pick(&version, &Busy::default()).unwrap();
        assert_eq!(numbers(&picked), (vec![1, 2, 3], vec![9]));
    }

    #[test]
    fn more_tables_go_along_if_they_are_free() {
        let level5 = [(5, 1, "a-b", 700, 0), (5, 2, "c-d", 700, 0)];
        let picked = |below: &[(u8, u64, &str, u64, u64)]| {
            let picked = pick(&version(&[&level5[..], below].concat()), &Busy::default()).unwrap();
            numbers(&picked)
        };
        assert_eq!(picked(&[(6, 9, "a-d", 1000, 0)]), (vec![1, 2], vec![9]));
        // 2500 bytes are the most; and the level below must not give more.
        assert_eq!(picked(&[(6, 9, "a-d", 1101, 0)]), (vec![1], vec![9]));
        assert_eq!(picked(&[(6, 8, "a-c", 500, 0), (6, 9, "d-d", 600, 0)]), (vec![1], vec![8]));
    }

    #[test]
    fn a_table_is_moved_where_nothing_is_below() {
        let moved =
            |tables: &[(u8, u64, &str, u64, u64)]| pick(&version(tables), &Busy::default()).unwrap().is_move;
        let wide = (4, 1, "c-f", 1100, 2);
        assert!(moved(&[wide, (6, 3, "e-e", 900, 9), (6, 2, "a-b", 19_000, 0)]));
        assert!(!moved(&[wide, (5, 4, "d-d", 1, 0), (6, 2, "a-b", 19_000, 0)]), "merged with 4");
        assert!(!moved(&[wide, (6, 3, "e-e", 1001, 0), (6, 2, "a-b", 19_000, 0)]), "too much below that");
        assert!(!moved(&[wide, (6, 2, "a-b", 19_000, 0)]), "its tombstones can go");
        assert!(moved(&[(4, 1, "c-f", 1100, 0), (6, 2, "a-b", 19_000, 0)]));
    }

    #[test]
    fn a_job_never_passes_another() {
        // Level 0 goes to 4, where nothing is yet. The store shrinks: newer tables would go to 6.
        let before = version(&[(0, 2, "a-m", 10, 0), (0, 1, "a-m", 10, 0), (6, 9, "a-b", 20_000, 0)]);
        let first = pick(&before, &Busy::default()).unwrap();
        assert_eq!(first.output_level, 4);
        let busy = claimed(&[&first]);
        let after = version(&[(0, 4, "n-p", 10, 0), (0, 3, "n-p", 10, 0), (6, 9, "a-b", 20, 0)]);
        assert_eq!(pick(&after, &busy).unwrap().output_level, 6, "other keys may");
        let after = version(&[(0, 4, "m-p", 10, 0), (0, 3, "m-p", 10, 0), (6, 9, "a-b", 20, 0)]);
        assert!(pick(&after, &busy).is_none());
        let mut busy = busy;
        busy.release(0);
        assert!(pick(&after, &busy).is_some() && busy.jobs() == 0);
    }

    #[test]
    fn a_range_goes_down_step_by_step() {
        let range = |tables: &[(u8, u64, &str, u64, u64)], upto, settled| {
            let part = Part { start: Some(b"d"), end: Some(b"f"), upto };
            with(&version(tables), &Busy::default(), |picker| picker.pick_range(&part, settled))
        };
        let (level0, level5) = ((0, 8, "a-e", 10, 0), (5, 7, "e-e", 10, 0));
        let (beside, bottom) = ((5, 6, "g-h", 10, 1), (6, 5, "d-d", 10, 1));
        let step = range(&[level0, level5, beside, bottom], 9, 9).unwrap();
        assert_eq!((step.level, step.output_level, numbers(&step)), (0, 5, (vec![8], vec![7])));
        let step = range(&[level5, beside, bottom], 9, 9).unwrap();
        assert_eq!((step.level, step.is_move, numbers(&step)), (5, true, (vec![7], vec![])));
        let step = range(&[beside, bottom], 9, 9).unwrap();
        assert_eq!((step.reason, step.level, step.output_level), (Reason::Tombstones, 6, 6));
        assert!(range(&[beside, bottom], 9, 4).is_none(), "a snapshot may need them");
        assert!(range(&[level0, beside], 7, 9).is_none(), "written since");
    }

    #[test]
    fn space_is_looked_for_only_where_it_can_be() {
        let idle = |tables: &[(u8, u64, &str, u64, u64)], settled| {
            with(&version(tables), &Busy::default(), |picker| {
                assert!(picker.pick().is_none());
                picker.pick_idle(settled)
            })
        };
        let bottom = (6, 1, "a-m", 900, 0);
        assert!(idle(&[(0, 2, "n-z", 200, 0), bottom], 9).is_none(), "hides nothing");
        assert!(idle(&[(0, 2, "a-z", 80, 0), bottom], 9).is_none(), "at most 80 of 980");
        let step = idle(&[(0, 2, "a-z", 100, 0), bottom], 9).unwrap();
        assert_eq!((step.reason, numbers(&step)), (Reason::Space, (vec![2], vec![1])));
        assert!(idle(&[(0, 2, "a-z", 100, 0), bottom], 1).is_none(), "a snapshot may need it");
        let step = idle(&[(0, 2, "a-z", 30, 10), bottom], 9).unwrap();
        assert_eq!(step.level, 0, "ten tombstones hide as much as ten entries");
        let step = idle(&[(6, 2, "n-z", 10, 1), bottom], 9).unwrap();
        assert_eq!((step.reason, numbers(&step)), (Reason::Tombstones, (vec![2], vec![])));
    }
}
