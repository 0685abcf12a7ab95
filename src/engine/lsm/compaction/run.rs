//! The transforming half of a compaction: from tables to tables. Reads its inputs as one sorted stream,
//! leaves out what nobody can see, and writes the rest. It installs nothing; its tables are removed
//! again unless somebody does.

use crate::engine::lsm::compaction::Compaction;
use crate::engine::lsm::compaction::output::{Base, Cutter};
use crate::engine::lsm::compaction::targets::Limits;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::iter::merge::Merge;
use crate::engine::lsm::key::{Kind, seqno, split};
use crate::engine::lsm::maker::{Made, Maker};
use crate::engine::lsm::snapshots::Keep;
use crate::engine::lsm::table::builder::TableBuilder;
use crate::engine::lsm::version::level::{LevelCursor, Run};
use crate::error::{Error, Result};
use crate::vfs::Cause;

/// A compaction that reads more than this is given up when the store is closed; a smaller one is
/// finished, so that a store that is only ever opened for a moment is compacted too.
const FINISH_BYTES: u64 = 256 << 20;

/// Whether the store is being closed is asked whenever so many entries were read.
const LOOK_EVERY: u64 = 4096;

/// Whether a compaction of so many bytes asks, when it has read so many entries, if the store is being closed.
fn asks_to_stop(entries: u64, bytes: u64) -> bool {
    bytes > FINISH_BYTES && entries.is_multiple_of(LOOK_EVERY)
}

/// What a compaction did.
#[derive(Debug)]
pub struct Ran<'a> {
    /// The tables that it wrote.
    pub made: Made<'a>,
    /// Bytes of the tables that it read.
    pub read_bytes: u64,
    /// Entries that it left out.
    pub dropped: u64,
}

/// Runs `job`. `moments` are the held snapshots, ascending, taken after the job was picked.
pub fn run<'a>(
    maker: &'a Maker,
    order: &Order,
    limits: &Limits,
    job: &Compaction,
    moments: Vec<u64>,
    next_number: &dyn Fn() -> Result<u64>,
) -> Result<Ran<'a>> {
    let mut entries = Merge::new(order.clone(), sources(maker, order, job));
    let mut keep = Keep::new(order.clone(), moments);
    let mut base = Base::of(job, order);
    let mut output = Output::new(maker, order, limits, job, next_number);
    let read_bytes = job.tables().map(|table| table.meta.len).sum();
    let (mut read, mut dropped) = (0u64, 0);
    entries.seek_to_first()?;
    while entries.valid() {
        read += 1;
        if asks_to_stop(read, read_bytes) && maker.is_stopping() {
            return Err(Error::invalid("given up: the store is being closed"));
        }
        let (user_key, trailer) = split(entries.key());
        let n = seqno(trailer);
        let is_seen = keep.is_seen(user_key, n);
        // A tombstone hides what stands below it. It may go when nobody looks at a moment before it, and
        // nothing older can stand below the output: then there is nothing left to hide.
        let mut is_needless =
            || Kind::of(trailer) == Some(Kind::Remove) && keep.is_below_all(n) && base.is_base_for(user_key);
        if !is_seen || is_needless() {
            dropped += 1;
        } else {
            output.add(user_key, entries.key(), entries.value())?;
        }
        entries.next()?;
    }
    let made = output.finish()?;
    Ok(Ran { made, read_bytes, dropped })
}

/// Tables of level 0 one by one, those of other levels as one run each.
fn sources(maker: &Maker, order: &Order, job: &Compaction) -> Vec<LevelCursor> {
    let run = |tables| {
        let cause = Cause::Compaction(job.output_level);
        LevelCursor::once(Run::Tables(tables), maker.tables.clone(), order.clone(), cause)
    };
    let mut sources = Vec::new();
    match job.level {
        0 => sources.extend(job.inputs.iter().map(|table| run(vec![table.clone()]))),
        _ => sources.push(run(job.inputs.clone())),
    }
    if !job.below.is_empty() {
        sources.push(run(job.below.clone()));
    }
    sources
}

/// The tables that are being written.
struct Output<'a, 'b> {
    made: Made<'a>,
    order: &'b Order,
    level: u8,
    cutter: Cutter<'b>,
    next_number: &'b dyn Fn() -> Result<u64>,
    table: Option<TableBuilder>,
    /// The user key of the last entry.
    last: Option<Vec<u8>>,
}

impl<'a, 'b> Output<'a, 'b> {
    fn new(
        maker: &'a Maker,
        order: &'b Order,
        limits: &Limits,
        job: &'b Compaction,
        next_number: &'b dyn Fn() -> Result<u64>,
    ) -> Output<'a, 'b> {
        Output {
            made: maker.make(),
            order,
            level: job.output_level,
            cutter: Cutter::of(job, limits, order),
            next_number,
            table: None,
            last: None,
        }
    }

    /// Adds an entry; begins another table first if this one is full. All entries of a user key stay
    /// together.
    fn add(&mut self, user_key: &[u8], key: &[u8], value: &[u8]) -> Result<()> {
        if !self.last.as_ref().is_some_and(|last| self.order.is_same(last, user_key)) {
            let bytes = self.table.as_ref().map_or(0, TableBuilder::bytes);
            if self.cutter.cuts_before(user_key, bytes) {
                self.end_table()?;
            }
            let last = self.last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(user_key);
        }
        if self.table.is_none() {
            let number = (self.next_number)()?;
            self.table = Some(self.made.begin(number, self.level, Cause::Compaction(self.level))?);
        }
        self.table.as_mut().expect("begun above").add(key, value)
    }

    fn end_table(&mut self) -> Result<()> {
        match self.table.take() {
            Some(table) => self.made.finish(table),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Made<'a>> {
        self.end_table()?;
        self.made.publish()?;
        Ok(self.made)
    }
}

#[cfg(test)]
mod tests {
    use super::{FINISH_BYTES, LOOK_EVERY, asks_to_stop};

    #[test]
    fn a_large_compaction_asks_to_stop_now_and_then_and_a_small_one_is_finished() {
        let asked = |bytes| (1..=10 * LOOK_EVERY).filter(|&entries| asks_to_stop(entries, bytes)).count();
        assert_eq!([0, FINISH_BYTES, FINISH_BYTES + 1].map(asked), [0, 0, 10]);
    }
}
