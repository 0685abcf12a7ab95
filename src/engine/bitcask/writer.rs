//! The writing end of the active segment: what a commit leader holds.

use crate::engine::batch::WriteBatch;
use crate::engine::bitcask::index::Put;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::recover::FoundActive;
use crate::engine::bitcask::segment::{Entry, Scratch, Sealed, Segment, SegmentMeta, SegmentState};
use crate::engine::health::Health;
use crate::error::{Error, Result};
use crate::record::frame::Part;
use crate::record::reader::{End, checksum};
use crate::record::writer::LogWriter;
use crate::sync::{Mutex, MutexGuard};
use std::sync::Arc;

/// After so many syncs of one segment, space is reserved ahead.
const RESERVE_AFTER: u32 = 8;

/// Zeros that are written ahead at once, or what a segment holds if that is less: a sync then changes
/// neither the file's size nor its blocks, and has half as much to do. Costs each byte of the log once more.
const RESERVE_BYTES: u64 = 1 << 20;

/// The system is asked to begin writing whenever this much was appended, so that sealing a segment
/// does not have to wait for all of it.
const WRITE_BEHIND: u64 = 8 << 20;

/// The writer, for the leader of a commit and for who rotates.
#[derive(Debug)]
pub(super) struct Active {
    /// `None` when open for reading only, and after closing.
    writer: Mutex<Option<Writer>>,
    health: Arc<Health>,
}

impl Active {
    pub(super) fn new(writer: Option<Writer>, health: Arc<Health>) -> Active {
        Active { writer: Mutex::new(writer), health }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock()
    }

    /// Whether writes are taken.
    pub(super) fn check_writable(&self) -> Result<()> {
        match &*self.lock() {
            Some(_) => self.health.check(),
            None => Err(Error::ReadOnly),
        }
    }

    /// Makes durable what the operating system has, without keeping writers out.
    pub(super) fn sync_behind(&self) -> Result<()> {
        self.health.check()?;
        let (file, len, number) = match &*self.lock() {
            Some(writer) if writer.log.synced() < writer.log.written() => {
                (writer.log.file().clone(), writer.log.written(), writer.segment.number)
            }
            _ => return Ok(()),
        };
        self.health.guard(file.sync())?;
        if let Some(writer) = &mut *self.lock()
            && writer.segment.number == number
        {
            writer.log.note_synced(len);
        }
        Ok(())
    }

    /// Asks the system to begin writing what was appended.
    pub(super) fn start_writeback(&self) {
        let file = self.lock().as_ref().map(|writer| writer.log.file().clone());
        file.inspect(|file| file.start_writeback());
    }
}

/// The active segment, as its writer sees it.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) log: LogWriter,
    pub(super) segment: Arc<Segment>,
    next_seqno: u64,
    /// Of the group that is being committed, in the order of its ops.
    places: Vec<Put>,
    scratch: Scratch,
    /// Syncs of this segment.
    syncs: u32,
    /// The end of the zeros that were written ahead.
    reserved: u64,
    /// How much the system was asked to write.
    behind: u64,
    /// The end of the log when the store was opened or the segment begun.
    begun_at: u64,
}

impl Writer {
    /// Goes on behind the end that recovery found. What stands behind it is cut off, and what was found
    /// is made durable, before anything is done that builds on it: of what a killed process wrote, the
    /// device may have nothing yet, and after a sync that failed it never would, but for being written again.
    pub(super) fn resume(found: FoundActive, next_seqno: u64) -> Result<Writer> {
        let FoundActive { segment, file, end, how, closed, mut synced } = found;
        if how != End::Clean {
            file.truncate(end)?;
        }
        file.write_again(synced)?;
        // Everything before a `Close` was synced.
        if how != End::Clean || !closed {
            file.sync()?;
            synced = end;
        }
        let sum = checksum(&file, end)?;
        let mut log = LogWriter::resume(file, segment.header(), sum);
        // So the next record vouches for those that were found: damage to them is no torn tail.
        log.note_synced(synced);
        Ok(Writer::new(log, segment, next_seqno))
    }

    fn new(log: LogWriter, segment: Arc<Segment>, next_seqno: u64) -> Writer {
        let end = log.end();
        Writer {
            log,
            segment,
            next_seqno,
            places: Vec::new(),
            scratch: Scratch::default(),
            syncs: 0,
            reserved: 0,
            behind: end,
            begun_at: end,
        }
    }

    /// Goes on in a new segment. The group that is being committed goes on too.
    pub(super) fn begin_segment(&mut self, log: LogWriter, segment: Arc<Segment>) {
        let places = std::mem::take(&mut self.places);
        *self = Writer { places, ..Writer::new(log, segment, self.next_seqno) };
    }

    /// Forgets the places of the group before.
    pub(super) fn begin_group(&mut self) {
        self.places.clear();
        self.places.shrink_to(4096);
    }

    /// Whether the batch would make the segment too large; one that holds nothing takes any batch.
    #[inline]
    pub(super) fn is_full_for(&self, batch: &WriteBatch, segment_bytes: u64) -> bool {
        self.log.end() + batch.byte_len() as u64 > segment_bytes && !self.log.is_empty()
    }

    /// Adds a batch as one group of records.
    #[inline]
    pub(super) fn push(&mut self, batch: &WriteBatch) {
        let number = self.segment.number as u32;
        let count = batch.len();
        for (i, op) in batch.iter().enumerate() {
            let seqno = self.next_seqno;
            self.next_seqno += 1;
            let (kind, pieces) = Entry { seqno, op }.encode(&mut self.scratch);
            let span = self.log.push(kind, Part::of(i, count), &pieces);
            // Segments end below 4 GiB: their size and that of a batch are limited.
            let place = Place { segment: number, offset: span.offset as u32, len: span.len as u32 };
            self.places.push(Put { seqno, place });
        }
    }

    /// Where the ops of the group were put.
    pub(super) fn places(&self) -> &[Put] {
        &self.places
    }

    /// The sequence number of the last op that was pushed.
    pub(super) fn last_seqno(&self) -> u64 {
        self.next_seqno - 1
    }

    /// Waits until the group is on the device. Who syncs often gets space reserved ahead.
    pub(super) fn sync(&mut self, segment_bytes: u64) -> Result<()> {
        self.syncs = self.syncs.saturating_add(1);
        if self.syncs > RESERVE_AFTER && self.log.end() >= self.reserved {
            let ahead = RESERVE_BYTES.min(segment_bytes);
            self.log.reserve(ahead)?;
            self.reserved = self.log.end() + ahead;
        }
        self.log.sync()
    }

    /// Whether so much was appended since this last said so that the system should begin to write.
    #[inline]
    pub(super) fn is_far_ahead(&mut self) -> bool {
        let is_far = self.log.written() - self.behind >= WRITE_BEHIND;
        if is_far {
            self.behind = self.log.written();
        }
        is_far
    }

    /// Ends the segment: everything in it is durable, and nothing is reserved behind it.
    pub(super) fn seal(&mut self) -> Result<Sealed> {
        self.log.finish()?;
        Ok(Sealed {
            len: self.log.written(),
            checksum: self.log.checksum(),
            last_seqno: self.last_seqno(),
            purged_upto: 0,
        })
    }

    /// Ends the log in an orderly way, if it was written; returns what the manifest may then say.
    pub(super) fn close(&mut self) -> Result<Option<SegmentMeta>> {
        if !self.was_written() {
            return Ok(None);
        }
        let state = SegmentState::Active { durable: self.log.close()? };
        Ok(Some(SegmentMeta { state, ..self.segment.meta() }))
    }

    /// Whether anything was appended since the store was opened or the segment begun.
    pub(super) fn was_written(&self) -> bool {
        self.log.end() > self.begun_at
    }
}
