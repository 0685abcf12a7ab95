//! Merge: what is still needed of some segments is copied into new ones, and the old ones go.
//!
//! Three steps, as in the LSM tree's compaction: [`pick`] decides, looking at numbers only; [`run`]
//! writes new files and returns what it did; the front door installs that under a short lock.
//!
//! # What may be merged
//!
//! A *run*: segments that follow each other in age. So the output stands where its inputs stood,
//! between the same neighbours, and segments never overlap in time: recovery applies them from the
//! oldest to the newest and needs no sequence number a key.
//!
//! # When
//!
//! A segment is worth merging when a certain *part* of it is garbage, not a number of bytes. With the
//! part `g`, a merge writes `1 - g` to free `g`: each byte that a user writes is copied
//! `(1 - g) / g` times in the long run, so write amplification is `1 / g`, whatever the store's size.
//! A trigger of so many *bytes* of garbage copies all live data each time: its amplification grows
//! with the store.
//!
//! # When a tombstone may go
//!
//! A tombstone with sequence number `t` is needed while a live segment outside of the merge can hold
//! an older value of its key. Proof that none can:
//!
//! 1. Such a value would have a sequence number below `t`, so it stands in a segment whose
//!    `first_seqno` is below `t`.
//! 2. A segment with `purged_upto >= t` was written by a merge that began when the keydir had seen the
//!    write `t`, and copied nothing that the keydir did not point to. It holds no value older than `t`
//!    of that key.
//! 3. The same holds of a segment all of whose records the keydir pointed to when this merge began.
//!
//! So `t` may go if each live segment outside of the merge has `first_seqno > t`, or is purged up to
//! `t`. This needs no look into any file (see bitcask issues 82 to 156 of the original for what happens
//! without a proof: deleted keys come back).
//!
//! # What the disk must know first
//!
//! A record is left out because a newer write replaced it. That write may still be on its way to the
//! device. So before the old segments go, the active one is synced; else a power cut could take the
//! new value when the old one is gone.

use crate::engine::batch::Op;
use crate::engine::bitcask::hint::{HintBuilder, HintEntry};
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::keydir::{Keydir, Place, SHARDS};
use crate::engine::bitcask::options::BitcaskOptions;
use crate::engine::bitcask::segment::{
    Entry, Origin, Scratch, Sealed, Segment, SegmentMeta, SegmentState, Shelf,
};
use crate::engine::filename;
use crate::error::{Error, Result};
use crate::record::frame::{HEADER_LEN, Part};
use crate::record::reader::LogReader;
use crate::record::writer::LogWriter;
use crate::vfs::Cause;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What [`pick`] looks at: a segment in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its number.
    pub number: u64,
    /// Bytes of its records.
    pub bytes: u64,
    /// Of these, bytes that the keydir points to.
    pub live_bytes: u64,
    /// Of these, bytes of tombstones.
    pub tombstone_bytes: u64,
    /// The highest sequence number in it.
    pub last_seqno: u64,
    /// It holds no value that a write up to this one has replaced.
    pub purged_upto: u64,
    /// A merge of it failed on damage: it is left alone.
    pub is_damaged: bool,
}

impl Facts {
    /// A segment now; `visible` is the newest write that the keydir shows. `None` while it is active.
    pub fn of(segment: &Segment, visible: u64) -> Option<Facts> {
        let sealed = segment.sealed()?;
        let bytes = sealed.len - HEADER_LEN;
        let (live_bytes, tombstone_bytes) = (segment.live_bytes(), segment.tombstone_bytes());
        let all_current = live_bytes + tombstone_bytes == bytes;
        Some(Facts {
            number: segment.number,
            bytes,
            live_bytes,
            tombstone_bytes,
            last_seqno: sealed.last_seqno,
            purged_upto: if all_current { visible } else { sealed.purged_upto },
            is_damaged: false,
        })
    }

    /// Bytes that a merge would not copy.
    fn garbage(&self, tombstones: Tombstones) -> u64 {
        let kept = match tombstones {
            Tombstones::Kept => self.live_bytes + self.tombstone_bytes,
            Tombstones::Dropped => self.live_bytes,
        };
        self.bytes.saturating_sub(kept)
    }
}

/// Whether a merge that begins at some segment can prove its tombstones needless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tombstones {
    Kept,
    Dropped,
}

/// What makes a segment worth merging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The background's: enough garbage by the options, or too many small files.
    Ratio,
    /// The user's: everything that can be reclaimed.
    All,
}

/// How many small neighbours are put together.
const SMALL_RUN: usize = 4;

/// Chooses the run to merge next: numbers of segments that follow each other in age. `by_age` are the
/// sealed segments from the oldest to the newest. Pure: the same numbers give the same answer.
pub fn pick(by_age: &[Facts], options: &BitcaskOptions, aim: Aim) -> Option<Vec<u64>> {
    let mut best: Option<(u64, &[Facts])> = None;
    let mut start = 0;
    // What all segments before `start` are purged up to.
    let mut purged = u64::MAX;
    while start < by_age.len() {
        let (mut end, mut garbage, mut copied) = (start, 0, 0);
        // One job copies at most two segments' worth, so that what it needs beside the old files, and
        // in memory, is bounded.
        while let Some(facts) = by_age.get(end)
            && (end == start || copied < 2 * options.segment_bytes)
            && let Some(worth) = worth(facts, purged, options, aim)
        {
            garbage += worth;
            copied += facts.bytes - worth;
            end += 1;
        }
        // The user's merge goes from the oldest on, so that later jobs find older segments purged.
        if aim == Aim::All && end > start {
            return Some(numbers(&by_age[start..end]));
        }
        if end > start && best.is_none_or(|(most, _)| garbage > most) {
            best = Some((garbage, &by_age[start..end]));
        }
        let next = end.max(start + 1);
        purged = by_age[start..next].iter().fold(purged, |purged, facts| purged.min(facts.purged_upto));
        start = next;
    }
    let best = best.map(|(_, run)| run).or_else(|| pick_small(by_age, options, aim));
    best.map(numbers)
}

/// The garbage of a segment, if it is worth merging, in a job before which everything is purged up to
/// `purged`.
fn worth(facts: &Facts, purged: u64, options: &BitcaskOptions, aim: Aim) -> Option<u64> {
    let proven = purged >= facts.last_seqno;
    let garbage = facts.garbage(if proven { Tombstones::Dropped } else { Tombstones::Kept });
    let enough = match aim {
        _ if facts.is_damaged || garbage == 0 => false,
        Aim::All => true,
        Aim::Ratio if options.merge_garbage_ratio >= 1.0 => false,
        Aim::Ratio => garbage as f64 >= options.merge_garbage_ratio * facts.bytes as f64,
    };
    enough.then_some(garbage)
}

/// Neighbours that fit into one segment together, so that the number of files stays bounded. Each
/// time a byte is copied for this, it lands in a file of at least twice as many.
fn pick_small<'a>(by_age: &'a [Facts], options: &BitcaskOptions, aim: Aim) -> Option<&'a [Facts]> {
    if aim == Aim::Ratio && options.merge_garbage_ratio >= 1.0 {
        return None;
    }
    by_age.windows(SMALL_RUN).find(|run| {
        let bytes: u64 = run.iter().map(|facts| facts.bytes).sum();
        let largest = run.iter().map(|facts| facts.bytes).max().unwrap_or(0);
        // None of them may be large beside the others: else it would be copied for their sake.
        let balanced = largest <= bytes / 2;
        bytes + HEADER_LEN <= options.segment_bytes && balanced && !run.iter().any(|facts| facts.is_damaged)
    })
}

fn numbers(run: &[Facts]) -> Vec<u64> {
    run.iter().map(|facts| facts.number).collect()
}

/// What a merge needs to know.
#[derive(Debug)]
pub struct Job {
    /// The segments to merge, from the oldest to the newest.
    pub inputs: Vec<Arc<Segment>>,
    /// `first_seqno` and `purged_upto` of the live segments outside of the merge.
    pub outside: Vec<(u64, u64)>,
    /// The newest write that the keydir showed when the merge began.
    pub visible: u64,
    /// Output is cut at this size.
    pub segment_bytes: u64,
    /// Whether hints are written.
    pub hints: bool,
}

impl Job {
    /// What to merge now, if anything is worth it, of the sealed segments that hold no write after
    /// `upto`. Those in `damaged` are left alone.
    pub fn plan(
        index: &Index,
        options: &BitcaskOptions,
        aim: Aim,
        upto: u64,
        damaged: &BTreeSet<u64>,
    ) -> Option<Job> {
        // The moment first. What is replaced after it makes a segment look worse, never better.
        let visible = index.history.lock().visible;
        let by_age = index.view.load().by_age();
        let mut facts: Vec<_> = by_age.iter().filter_map(|segment| Facts::of(segment, visible)).collect();
        facts.retain(|facts| facts.last_seqno <= upto);
        facts.iter_mut().for_each(|facts| facts.is_damaged = damaged.contains(&facts.number));
        let picked = pick(&facts, options, aim)?;
        let (inputs, outside): (Vec<_>, Vec<_>) =
            by_age.into_iter().partition(|segment| picked.contains(&segment.number));
        let purged = |segment: &Segment| {
            facts.iter().find(|facts| facts.number == segment.number).map_or(0, |facts| facts.purged_upto)
        };
        let outside = outside.iter().map(|segment| (segment.first_seqno, purged(segment))).collect();
        let (segment_bytes, hints) = (options.segment_bytes, options.hints);
        Some(Job { inputs, outside, visible, segment_bytes, hints })
    }

    /// The numbers of its inputs.
    pub fn numbers(&self) -> Vec<u64> {
        self.inputs.iter().map(|segment| segment.number).collect()
    }

    /// Whether a tombstone may go; see the proof above.
    fn is_needless(&self, seqno: u64) -> bool {
        self.outside.iter().all(|&(first_seqno, purged_upto)| first_seqno > seqno || purged_upto >= seqno)
    }
}

/// What a merge did: files that are whole and synced, but not yet live.
#[derive(Debug, Default)]
pub struct Merged {
    /// The new files, from the oldest to the newest.
    pub outputs: Vec<Output>,
    /// Bytes of all files that were read.
    pub read_bytes: u64,
    /// Bytes of all files that were written, without hints.
    pub written_bytes: u64,
}

/// One new file, and what it holds.
#[derive(Debug)]
pub struct Output {
    /// Its number.
    pub number: u64,
    /// What the manifest will say of it.
    pub meta: SegmentMeta,
    /// What it holds.
    pub entries: HintBuilder,
    /// Where each value was, in the order of `entries`, shard by shard.
    pub from: Vec<Vec<Place>>,
}

impl Output {
    /// Points the keydir to the copies in `segment`, which is this output, where it still points to the
    /// originals.
    pub fn relocate(&self, keydir: &Keydir, inputs: &[Arc<Segment>], segment: &Segment) {
        for shard in 0..SHARDS {
            for (entry, &from) in self.entries.part(shard).zip(&self.from[shard]) {
                if entry.is_tombstone {
                    segment.add_tombstone(entry.len);
                    continue;
                }
                // Counted first: a write that replaces it at once counts it off again.
                segment.add_live(entry.len);
                let input = inputs.iter().find(|input| input.number == u64::from(from.segment));
                match keydir.relocate(entry.key, from, entry.place(segment.number)) {
                    true => _ = input.map(|input| input.sub_live(from.len)),
                    false => segment.sub_live(entry.len),
                }
            }
        }
    }
}

/// Copies what is still needed of the job's inputs. `next_number` gives numbers to the new files.
/// After an error nothing is left of them, and the inputs are as they were.
pub fn run(shelf: &Shelf, index: &Index, job: &Job, next_number: &dyn Fn() -> u64) -> Result<Merged> {
    let mut copier = Copier { shelf, index, job, next_number, open: None, done: Merged::default() };
    let result = copier.copy_all();
    if result.is_err() {
        copier.clean_up();
    }
    result.map(|()| copier.done)
}

struct Copier<'a> {
    shelf: &'a Shelf,
    index: &'a Index,
    job: &'a Job,
    next_number: &'a dyn Fn() -> u64,
    open: Option<OpenOutput>,
    done: Merged,
}

struct OpenOutput {
    number: u64,
    log: LogWriter,
    meta: SegmentMeta,
    last_seqno: u64,
    entries: HintBuilder,
    from: Vec<Vec<Place>>,
    scratch: Scratch,
}

/// The output's records go to the disk in pieces of this size.
const FLUSH_BYTES: u64 = 256 << 10;

impl Copier<'_> {
    fn copy_all(&mut self) -> Result<()> {
        for input in &self.job.inputs {
            self.copy_segment(input)?;
        }
        self.finish_output()?;
        if !self.done.outputs.is_empty() {
            self.shelf.dir.sync()?;
        }
        Ok(())
    }

    fn copy_segment(&mut self, input: &Segment) -> Result<()> {
        let name = filename::segment(input.number);
        let file = self.shelf.with_descriptor(|| self.shelf.dir.open(&name, Cause::Merge))?;
        let len = input.len();
        if self.shelf.mmap {
            file.map(len);
        }
        let mut reader = LogReader::open(&file, len, input.header())?;
        let mut found_live = 0;
        while let Some((offset, record)) = reader.next_record()? {
            let entry = Entry::decode(&record)
                .ok_or_else(|| file.corruption(offset, "a valid record that is neither set nor delete"))?;
            let place = Place { segment: input.number as u32, offset: offset as u32, len: record.len as u32 };
            let needed = match entry.op {
                Op::Set(key, _) => self.index.keydir.get(key) == Some(place),
                Op::Remove(_) => !self.job.is_needless(entry.seqno),
            };
            if needed && matches!(entry.op, Op::Set(..)) {
                found_live += u64::from(place.len);
            }
            if needed {
                self.copy(&entry, place)?;
            }
        }
        self.done.read_bytes += len;
        reader.damage().map_or(Ok(()), Err)?;
        // What the keydir points to now, it pointed to when it was looked at. If that is more than was
        // found, a hint has told of records that are not there: their keys must not lose their segment.
        let _between_writes = self.index.history.lock();
        match input.live_bytes() > found_live {
            true => Err(file.corruption(HEADER_LEN, "a hint has named records that are not there")),
            false => Ok(()),
        }
    }

    fn copy(&mut self, entry: &Entry<'_>, from: Place) -> Result<()> {
        let is_full = self.open.as_ref().is_some_and(|output| {
            output.log.end() + u64::from(from.len) > self.job.segment_bytes && !output.log.is_empty()
        });
        if is_full {
            self.finish_output()?;
        }
        let output = match &mut self.open {
            Some(output) => output,
            None => self.open.insert(begin_output(self.shelf, (self.next_number)(), entry.seqno)?),
        };
        let (kind, pieces) = entry.encode(&mut output.scratch);
        let span = output.log.push(kind, Part::Full, &pieces);
        output.last_seqno = entry.seqno;
        let shard = self.index.keydir.shard_of(entry.op.key());
        let is_tombstone = matches!(entry.op, Op::Remove(_));
        let (offset, len) = (span.offset as u32, span.len as u32);
        output.entries.add(shard, HintEntry { key: entry.op.key(), offset, len, is_tombstone });
        output.from[shard].push(from);
        if output.log.end() - output.log.written() >= FLUSH_BYTES {
            output.log.flush()?;
            output.log.file().start_writeback();
        }
        Ok(())
    }

    /// Makes the output whole and durable, but for its name.
    fn finish_output(&mut self) -> Result<()> {
        let Some(output) = &mut self.open else { return Ok(()) };
        output.log.flush()?;
        output.log.sync()?;
        let sealed = Sealed {
            len: output.log.written(),
            checksum: output.log.checksum(),
            last_seqno: output.last_seqno,
            purged_upto: self.job.visible,
        };
        output.meta.state = SegmentState::Sealed(sealed);
        if self.job.hints {
            output.entries.write(&self.shelf.dir, self.shelf.store_id, output.number, &sealed)?;
        }
        self.done.written_bytes += sealed.len;
        if let Some(OpenOutput { number, meta, entries, from, .. }) = self.open.take() {
            self.done.outputs.push(Output { number, meta, entries, from });
        }
        Ok(())
    }

    /// Leaves nothing behind. What can not be removed now, the next opening removes.
    fn clean_up(&mut self) {
        let open = self.open.as_ref().map(|output| output.number);
        for number in self.done.outputs.iter().map(|output| output.number).chain(open) {
            let _ = self.shelf.dir.remove(&filename::segment(number));
            let _ = self.shelf.dir.remove(&filename::hint(number));
        }
    }
}

fn begin_output(shelf: &Shelf, number: u64, first_seqno: u64) -> Result<OpenOutput> {
    if u32::try_from(number).is_err() {
        return Err(Error::invalid("all four billion segment numbers are used up"));
    }
    let state = SegmentState::Active { durable: 0 };
    let meta = SegmentMeta { origin: Origin::Merge, first_seqno, state };
    let (name, header) = (filename::segment(number), meta.header(shelf.store_id, number));
    let log = shelf.with_descriptor(|| LogWriter::create(&shelf.dir, &name, header, Cause::Merge))?;
    let from = vec![Vec::new(); SHARDS];
    let (entries, scratch) = (HintBuilder::default(), Scratch::default());
    Ok(OpenOutput { number, log, meta, last_seqno: first_seqno, entries, from, scratch })
}

#[cfg(test)]
mod tests {
    use super::{Aim, Facts, pick};
    use crate::engine::bitcask::options::BitcaskOptions;

    fn facts(number: u64, bytes: u64, live_bytes: u64, tombstone_bytes: u64) -> Facts {
        let last_seqno = number * 100;
        Facts { number, bytes, live_bytes, tombstone_bytes, last_seqno, purged_upto: 0, is_damaged: false }
    }

    fn options() -> BitcaskOptions {
        BitcaskOptions { segment_bytes: 10_000, ..BitcaskOptions::default() }
    }

    #[test]
    fn garbage_is_what_counts_not_size() {
        let segments = [facts(1, 9000, 5000, 0), facts(2, 9000, 4000, 0), facts(3, 9000, 1000, 0)];
        assert_eq!(pick(&segments, &options(), Aim::Ratio), Some(vec![2, 3]));
        assert_eq!(pick(&segments[..1], &options(), Aim::Ratio), None);
        assert_eq!(pick(&segments, &options(), Aim::All), Some(vec![1, 2, 3]));
        let never = BitcaskOptions { merge_garbage_ratio: 1.0, ..options() };
        assert_eq!(pick(&segments, &never, Aim::Ratio), None);
    }

    #[test]
    fn a_run_never_skips_a_segment() {
        let segments = [facts(1, 9000, 0, 0), facts(2, 9000, 9000, 0), facts(3, 9000, 100, 0)];
        assert_eq!(pick(&segments, &options(), Aim::Ratio), Some(vec![1]));
        assert_eq!(pick(&segments[1..], &options(), Aim::Ratio), Some(vec![3]));
    }

    #[test]
    fn tombstones_are_garbage_only_where_nothing_older_stays() {
        let dead = facts(2, 9000, 0, 9000);
        assert_eq!(pick(&[facts(1, 9000, 9000, 0), dead], &options(), Aim::All), None);
        assert_eq!(pick(&[dead], &options(), Aim::Ratio), Some(vec![2]), "nothing is older");
        let purged = Facts { purged_upto: 200, ..facts(1, 9000, 9000, 0) };
        assert_eq!(pick(&[purged, dead], &options(), Aim::Ratio), Some(vec![2]));
        let purged_before = Facts { purged_upto: 199, ..purged };
        assert_eq!(pick(&[purged_before, dead], &options(), Aim::Ratio), None);
    }

    #[test]
    fn small_neighbours_are_put_together_but_no_large_one_for_their_sake() {
        let small: Vec<_> = (1..=4).map(|n| facts(n, 1000, 1000, 0)).collect();
        assert_eq!(pick(&small, &options(), Aim::Ratio), Some(vec![1, 2, 3, 4]));
        assert_eq!(pick(&small[..3], &options(), Aim::Ratio), None);
        let mut uneven = small;
        uneven[0] = facts(1, 6000, 6000, 0);
        assert_eq!(pick(&uneven, &options(), Aim::Ratio), None);
    }

    #[test]
    fn one_job_is_bounded() {
        let segments: Vec<_> = (1..=9).map(|n| facts(n, 10_000, 5000, 0)).collect();
        assert_eq!(pick(&segments, &options(), Aim::All).unwrap().len(), 4);
    }

    #[test]
    fn damage_is_left_alone() {
        let damaged = Facts { is_damaged: true, ..facts(1, 9000, 0, 0) };
        assert_eq!(pick(&[damaged], &options(), Aim::All), None);
    }
}
