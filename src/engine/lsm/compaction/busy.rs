//! What running compactions have claimed, so that several never get into each other's way.

use crate::engine::lsm::compaction::Compaction;
use crate::engine::lsm::compaction::span::Span;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::version::TableFile;
use std::collections::HashSet;
use std::sync::Arc;

/// The claims of the compactions that run.
///
/// Two jobs may run side by side if
///
/// 1. they have no table in common, and
/// 2. if their keys overlap, neither writes to a level that the other writes to or passes through.
///
/// The second keeps tables of a level apart, and newer entries above older ones: a job that moves keys
/// from level 0 down to 5 must not pass one that is about to write older entries of them to level 4.
/// A job that writes to the level which another takes its inputs from is fine: had they keys in common
/// there, they would have tables in common.
#[derive(Clone, Debug, Default)]
pub struct Busy {
    jobs: Vec<Job>,
    numbers: HashSet<u64>,
    /// Tables that no job may have, ever.
    avoided: HashSet<u64>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Job {
    id: u64,
    level: u8,
    output_level: u8,
    smallest: Vec<u8>,
    largest: Vec<u8>,
    numbers: Vec<u64>,
    going: Vec<u64>,
}

impl Busy {
    /// Claims all that a compaction touches; returns what to [`Busy::release`] when it has ended, well
    /// or not. It was picked with these claims in force.
    pub fn claim(&mut self, compaction: &Compaction, order: &Order) -> u64 {
        let span = compaction.span(order);
        let going = if compaction.level == compaction.output_level { &[][..] } else { &compaction.inputs };
        let job = Job {
            id: self.next,
            level: compaction.level,
            output_level: compaction.output_level,
            smallest: span.smallest.to_vec(),
            largest: span.largest.to_vec(),
            numbers: compaction.tables().map(|table| table.number).collect(),
            going: going.iter().map(|table| table.number).collect(),
        };
        self.next += 1;
        self.numbers.extend(&job.numbers);
        self.jobs.push(job);
        self.next - 1
    }

    /// Gives back a claim.
    pub fn release(&mut self, id: u64) {
        let Some(at) = self.jobs.iter().position(|job| job.id == id) else { return };
        for number in self.jobs.remove(at).numbers {
            self.numbers.remove(&number);
        }
    }

    /// Has no compaction touch these tables from now on.
    pub fn avoid(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.avoided.extend(numbers);
    }

    /// The same claims, and nothing that is avoided.
    pub fn without_avoided(&self) -> Busy {
        Busy { avoided: HashSet::new(), ..self.clone() }
    }

    /// No claims, and what is avoided.
    pub fn without_jobs(&self) -> Busy {
        Busy { avoided: self.avoided.clone(), ..Busy::default() }
    }

    /// How many claims there were so far.
    pub fn begun(&self) -> u64 {
        self.next
    }

    /// Whether one of the first so many claims is in force.
    pub fn is_running_before(&self, begun: u64) -> bool {
        self.jobs.iter().any(|job| job.id < begun)
    }

    /// How many compactions run.
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Whether a running job has claimed a table, or it is avoided.
    #[inline]
    pub fn holds(&self, table: &TableFile) -> bool {
        self.numbers.contains(&table.number) || self.avoided.contains(&table.number)
    }

    /// Whether a running job has claimed one of them, or one is avoided.
    pub fn holds_any<'a>(&self, tables: impl IntoIterator<Item = &'a Arc<TableFile>>) -> bool {
        let is_idle = self.numbers.is_empty() && self.avoided.is_empty();
        !is_idle && tables.into_iter().any(|table| self.holds(table))
    }

    /// Whether a job takes a table out of its level and puts what is in it into a lower one.
    pub fn lowers(&self, table: &TableFile) -> bool {
        self.holds(table) && self.jobs.iter().any(|job| job.going.contains(&table.number))
    }

    /// Whether keys may go from one level to another now. A table that is loaded straight into a level
    /// comes from level 0.
    pub fn lets_pass(&self, level: u8, output_level: u8, span: &Span<'_>, order: &Order) -> bool {
        let meets = |job: &Job| {
            let (ours, theirs) = (output_level, job.output_level);
            let is_met =
                ours == theirs || level < theirs && theirs < ours || job.level < ours && ours < theirs;
            is_met && span.overlaps(&Span { smallest: &job.smallest, largest: &job.largest }, order)
        };
        !self.jobs.iter().any(meets)
    }

    /// Whether a compaction could run beside those that do.
    pub fn admits(&self, compaction: &Compaction, order: &Order) -> bool {
        let (level, output_level) = (compaction.level, compaction.output_level);
        !self.holds_any(compaction.tables())
            && self.lets_pass(level, output_level, &compaction.span(order), order)
    }
}

#[cfg(test)]
mod tests {
    use super::{Busy, Job};
    use crate::engine::lsm::compaction::span::Span;
    use crate::engine::lsm::comparator::Order;

    fn span<'a>(smallest: &'a str, largest: &'a str) -> Span<'a> {
        Span { smallest: smallest.as_bytes(), largest: largest.as_bytes() }
    }

    /// A job that runs, one that would like to, both on the same keys, and whether it may.
    #[test]
    fn keys_never_pass_each_other_between_levels() {
        let rows = [
            ((1, 2), (1, 2), false, "both write to a level"),
            ((2, 3), (1, 3), false, "to the same, from two others"),
            ((1, 4), (2, 3), false, "it would write where the other passes through"),
            ((2, 3), (1, 4), false, "it would pass through where the other writes"),
            ((0, 5), (4, 4), false, "older entries, within a level that newer ones pass"),
            ((4, 4), (0, 5), false, "newer entries, past a level whose tables are written again"),
            ((1, 2), (2, 3), true, "it takes from where the other writes"),
            ((2, 3), (1, 2), true, "it writes to where the other takes from"),
            ((1, 2), (3, 4), true, "levels that have nothing to do with each other"),
            ((3, 4), (1, 2), true, "nor the other way round"),
            ((1, 1), (1, 3), true, "tables of a level written again, beside others that leave it"),
        ];
        for ((level, output_level), (wants, into), may, why) in rows {
            let (smallest, largest) = (b"d".to_vec(), b"m".to_vec());
            let (numbers, going) = (Vec::new(), Vec::new());
            let job = Job { id: 0, level, output_level, smallest, largest, numbers, going };
            let busy = Busy { jobs: vec![job], ..Busy::default() };
            let lets_pass = |keys| busy.lets_pass(wants, into, &keys, &Order::Bytewise);
            assert_eq!(lets_pass(span("f", "g")), may, "{level} to {output_level}, {wants} to {into}: {why}");
            assert_eq!(lets_pass(span("m", "z")), may, "one key in common");
            assert!(lets_pass(span("n", "z")) && lets_pass(span("a", "c")), "no key in common");
        }
    }

    fn job(id: u64) -> Job {
        let (smallest, largest) = (b"d".to_vec(), b"m".to_vec());
        Job { id, level: 1, output_level: 2, smallest, largest, numbers: vec![id], going: Vec::new() }
    }

    /// Who waits for those that run now does not wait for those that begin meanwhile.
    #[test]
    fn claims_are_counted_and_those_that_came_later_are_not_waited_for() {
        assert_eq!(Busy::default().begun(), 0);
        let busy = Busy { jobs: vec![job(3)], next: 7, ..Busy::default() };
        assert_eq!(busy.begun(), 7);
        assert!(busy.is_running_before(4) && !busy.is_running_before(3));
    }

    #[test]
    fn what_is_avoided_and_what_is_claimed_are_told_apart() {
        let busy = Busy { jobs: vec![job(3)], numbers: [3].into(), avoided: [9].into(), next: 4 };
        let claims = busy.without_avoided();
        assert_eq!((claims.jobs(), claims.begun(), claims.avoided.len()), (1, 4, 0));
        assert!(claims.numbers.contains(&3));
        let avoided = busy.without_jobs();
        assert_eq!((avoided.jobs(), avoided.numbers.len(), avoided.avoided.len()), (0, 0, 1));
    }
}
