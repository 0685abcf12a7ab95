//! Merge: what is still needed of some segments is copied into new ones, and the old ones go.
//!
//! Three steps, as in the LSM tree's compaction: [`picker`] decides, looking at numbers only; [`run`]
//! writes new files and returns what it did; the merger installs that.
//!
//! # What may be merged
//!
//! A *run*: segments that follow each other in age. So the output stands where its inputs stood,
//! between the same neighbours, and segments never overlap in time: recovery applies them from the
//! oldest to the newest and needs no sequence number a key.
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

pub mod choice;
pub mod picker;

use crate::engine::batch::Op;
use crate::engine::bitcask::compaction::picker::{Aim, Facts, pick};
use crate::engine::bitcask::hint::{HintBuilder, HintEntry};
use crate::engine::bitcask::index::Index;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::keydir::{Keydir, SHARDS};
use crate::engine::bitcask::options::BitcaskOptions;
use crate::engine::bitcask::replay::replay;
use crate::engine::bitcask::segment::{
    Entry, Origin, Scratch, Sealed, Segment, SegmentMeta, SegmentState, Shelf,
};
use crate::engine::event::Event;
use crate::engine::filename;
use crate::engine::manifest::Edit;
use crate::error::Result;
use crate::record::frame::{HEADER_LEN, Part};
use crate::record::writer::LogWriter;
use crate::vfs::Cause;
use std::sync::Arc;

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
    /// `upto` and are not to be left alone.
    pub fn plan(
        index: &Index,
        options: &BitcaskOptions,
        aim: Aim,
        upto: u64,
        is_left_alone: impl Fn(u64) -> bool,
    ) -> Option<Job> {
        // The moment first. What is replaced after it makes a segment look worse, never better.
        let visible = index.history.lock().visible;
        let by_age = index.view.load().by_age();
        let mut facts: Vec<_> = by_age.iter().filter_map(|segment| Facts::of(segment, visible)).collect();
        // A group may rotate before its writes are shown: what is sealed then looks like garbage, and is not.
        facts.retain(|facts| facts.last_seqno <= upto.min(visible));
        facts.iter_mut().for_each(|facts| facts.is_left_alone = is_left_alone(facts.number));
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

impl Merged {
    /// The edit that puts the outputs in the place of the job's inputs.
    pub fn edit(&self, job: &Job) -> Edit<SegmentMeta> {
        let add = self.outputs.iter().map(|output| (output.number, output.meta.clone())).collect();
        Edit { add, remove: job.numbers(), ..Edit::default() }
    }

    /// Shows the outputs to readers, in the place of the job's inputs. The edit must be durable.
    pub fn show(&self, shelf: &Arc<Shelf>, index: &Index, job: &Job) {
        let segment = |output: &Output| Arc::new(Segment::new(shelf.clone(), output.number, &output.meta));
        let made: Vec<_> = self.outputs.iter().map(segment).collect();
        index.add_segments(&made);
        for (segment, output) in made.iter().zip(&self.outputs) {
            output.relocate(&index.keydir, &job.inputs, segment);
        }
        index.remove_segments(&job.numbers());
    }

    /// The numbers of the new files.
    pub fn numbers(&self) -> Vec<u64> {
        self.outputs.iter().map(|output| output.number).collect()
    }

    /// What is told of it.
    pub fn event(&self, job: &Job) -> Event {
        let (read_bytes, written_bytes) = (self.read_bytes, self.written_bytes);
        Event::Compacted { inputs: job.numbers(), outputs: self.numbers(), read_bytes, written_bytes }
    }
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
pub fn run(shelf: &Shelf, index: &Index, job: &Job, next_number: &dyn Fn() -> Result<u64>) -> Result<Merged> {
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
    next_number: &'a dyn Fn() -> Result<u64>,
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
            self.shelf.with_descriptor(|| self.shelf.dir.sync())?;
        }
        Ok(())
    }

    fn copy_segment(&mut self, input: &Segment) -> Result<()> {
        let mut found_live = 0;
        let file = replay(self.shelf, input, Cause::Merge, |entry, place| {
            let needed = match entry.op {
                Op::Set(key, _) => self.index.keydir.get(key) == Some(place),
                Op::Remove(_) => !self.job.is_needless(entry.seqno),
            };
            if needed && matches!(entry.op, Op::Set(..)) {
                found_live += u64::from(place.len);
            }
            if needed { self.copy(&entry, place) } else { Ok(()) }
        })?;
        self.done.read_bytes += input.len();
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
            None => self.open.insert(begin_output(self.shelf, (self.next_number)()?, entry.seqno)?),
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
            output.entries.write_if_possible(self.shelf, output.number, &sealed);
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
    let state = SegmentState::Active { durable: 0 };
    let meta = SegmentMeta { origin: Origin::Merge, first_seqno, state };
    let (name, header) = (filename::segment(number), meta.header(shelf.store_id, number));
    let log = shelf.with_descriptor(|| LogWriter::create(&shelf.dir, &name, header, Cause::Merge))?;
    let from = vec![Vec::new(); SHARDS];
    let (entries, scratch) = (HintBuilder::default(), Scratch::default());
    Ok(OpenOutput { number, log, meta, last_seqno: first_seqno, entries, from, scratch })
}
