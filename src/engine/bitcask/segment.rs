//! A segment: one log of the data, and how a record in it is read back.
//!
//! ```text
//! segment := log header, then records
//! set     := kind 1, payload: seqno:varint key_len:varint key value
//! delete  := kind 2, payload: seqno:varint key
//! ```
//!
//! A delete is called a tombstone: it must stand until nothing older of its key can be found. That it
//! is one is said by its kind, in the frame, never by its value.

use crate::codec::{self, MAX_VARINT_LEN, Reader};
use crate::engine::batch::Op;
use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::options::BitcaskOptions;
use crate::engine::event::{Event, Listener};
use crate::engine::filename;
use crate::engine::health::Health;
use crate::engine::value::Value;
use crate::error::{Error, Result};
use crate::record::frame::{self, HEADER_LEN, Header, Record};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{ArcSwapOption, Guard, Mutex};
use crate::vfs::Cause;
use crate::vfs::dir::{Dir, File};
use crate::vfs::limits;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

/// Record kind of a set.
pub const SET: u8 = 1;

/// Record kind of a tombstone.
pub const DELETE: u8 = 2;

/// Where a segment's records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Writers appended them.
    Log,
    /// A merge copied them.
    Merge,
}

impl Origin {
    /// The log kind in the file's header.
    pub fn log_kind(self) -> u32 {
        match self {
            Origin::Log => 2,
            Origin::Merge => 3,
        }
    }
}

/// What the manifest says of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentMeta {
    /// Where its records come from.
    pub origin: Origin,
    /// No record in it has a lower sequence number. Segments do not overlap: sorted by this, each
    /// holds only newer records than the one before.
    pub first_seqno: u64,
    /// Whether it still grows.
    pub state: SegmentState,
}

/// Whether a segment still grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SegmentState {
    /// It grows; at the last clean close, `durable` bytes of it were on the device.
    Active {
        /// Bytes that are known to be durable.
        durable: u64,
    },
    /// It does not change any more.
    Sealed(Sealed),
}

/// What is known of a segment that does not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Its bytes.
    pub len: u64,
    /// CRC-32C of all of them: what a hint is bound to.
    pub checksum: u32,
    /// No record in it has a higher sequence number.
    pub last_seqno: u64,
    /// It holds no value that a write up to this sequence number has replaced. 0 for what writers
    /// appended; a merge knows better.
    pub purged_upto: u64,
}

impl SegmentMeta {
    /// Bytes of its file that were durable when the manifest spoke of it last: all of a sealed one.
    pub fn durable(&self) -> u64 {
        match self.state {
            SegmentState::Sealed(Sealed { len, .. }) => len,
            SegmentState::Active { durable } => durable,
        }
    }

    /// The header of its file.
    pub fn header(&self, store_id: u64, number: u64) -> Header {
        Header { store_id, number, kind: self.origin.log_kind() }
    }
}

/// One record of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its place in the order of all writes.
    pub seqno: u64,
    /// What it does.
    pub op: Op<'a>,
}

impl<'a> Entry<'a> {
    /// Reads an entry from a record whose checksum is right.
    #[inline]
    pub fn decode(record: &Record<'a>) -> Option<Entry<'a>> {
        let mut reader = Reader::new(record.payload);
        let seqno = reader.varint()?;
        let op = match record.kind {
            SET => {
                let key = reader.bytes()?;
                Op::Set(key, reader.rest())
            }
            DELETE => Op::Remove(reader.rest()),
            _ => return None,
        };
        Some(Entry { seqno, op })
    }

    /// The record's kind, and its payload in pieces. `scratch` holds what stands before the key.
    #[inline]
    pub fn encode<'b>(&self, scratch: &'b mut Scratch) -> (u8, [&'b [u8]; 3])
    where
        'a: 'b,
    {
        scratch.0.clear();
        codec::put_varint(&mut scratch.0, self.seqno);
        match self.op {
            Op::Set(key, value) => {
                codec::put_varint(&mut scratch.0, key.len() as u64);
                (SET, [&scratch.0, key, value])
            }
            Op::Remove(key) => (DELETE, [&scratch.0, key, &[]]),
        }
    }
}

/// Room for the numbers before a key.
#[derive(Debug)]
pub struct Scratch(Vec<u8>);

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch(Vec::with_capacity(2 * MAX_VARINT_LEN))
    }
}

/// What all segments of a store share.
#[derive(Debug)]
pub struct Shelf {
    /// Where the files are.
    pub dir: Dir,
    /// Whether files may be removed: not after a failure.
    pub health: Arc<Health>,
    /// Told about removed files.
    pub listener: Listener,
    /// Identity of the store, for the headers.
    pub store_id: u64,
    /// Whether files are mapped.
    pub mmap: bool,
    /// The most sealed segments that are open.
    pub max_open: usize,
    /// Sealed segments that are open, the one that was opened first in front.
    pub open: Mutex<VecDeque<Weak<Segment>>>,
}

impl Shelf {
    /// The shelf of a store that is open.
    pub fn new(
        dir: Dir,
        store_id: u64,
        options: &BitcaskOptions,
        health: Arc<Health>,
        listener: Listener,
    ) -> Shelf {
        let (mmap, max_open) = (options.mmap, options.max_open_segments.min(limits::open_files()));
        Shelf { dir, health, listener, store_id, mmap, max_open, open: Mutex::default() }
    }

    /// For those who only look: nothing is mapped, nothing is told, and one file is open at a time.
    pub fn to_look(dir: Dir, store_id: u64) -> Shelf {
        let listener = Listener::default();
        let health = Arc::new(Health::new(listener.clone()));
        Shelf { dir, health, listener, store_id, mmap: false, max_open: 1, open: Mutex::default() }
    }

    /// Runs what needs a file descriptor. If the process has none left, closes the sealed segments
    /// and tries again: they are opened when they are read.
    pub fn with_descriptor<T>(&self, run: impl Fn() -> Result<T>) -> Result<T> {
        match run() {
            Err(error) if is_out_of_descriptors(&error) && self.close_down_to(0) > 0 => run(),
            other => other,
        }
    }

    /// Closes the segments that were opened first, until `keep` are left; says how many.
    fn close_down_to(&self, keep: usize) -> usize {
        let mut open = self.open.lock();
        let surplus = open.len().saturating_sub(keep);
        let closed: Vec<_> = open.drain(..surplus).collect();
        drop(open);
        for segment in closed.iter().filter_map(Weak::upgrade) {
            segment.reader.store(None);
        }
        surplus
    }
}

fn is_out_of_descriptors(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)))
}

/// One segment of an open store.
#[derive(Debug)]
pub struct Segment {
    /// Its number: the name of its file.
    pub number: u64,
    /// Where its records come from.
    pub origin: Origin,
    /// No record in it has a lower sequence number.
    pub first_seqno: u64,
    sealed: OnceLock<Sealed>,
    salt: u32,
    shelf: Arc<Shelf>,
    /// The open file; none if it is not held open.
    reader: ArcSwapOption<File>,
    /// Bytes of records that the keydir points to.
    live_bytes: AtomicU64,
    /// Bytes of tombstones.
    tombstone_bytes: AtomicU64,
    condemned: AtomicBool,
    hint_refused: AtomicBool,
}

impl Segment {
    /// The segment that the manifest describes. Opens nothing.
    pub fn new(shelf: Arc<Shelf>, number: u64, meta: &SegmentMeta) -> Segment {
        let sealed = OnceLock::new();
        if let SegmentState::Sealed(facts) = meta.state {
            sealed.get_or_init(|| facts);
        }
        Segment {
            number,
            origin: meta.origin,
            first_seqno: meta.first_seqno,
            sealed,
            salt: meta.header(shelf.store_id, number).salt(),
            shelf,
            reader: ArcSwapOption::empty(),
            live_bytes: AtomicU64::new(0),
            tombstone_bytes: AtomicU64::new(0),
            condemned: AtomicBool::new(false),
            hint_refused: AtomicBool::new(false),
        }
    }

    /// The active segment, with the file that is being written.
    pub fn active(shelf: Arc<Shelf>, number: u64, meta: &SegmentMeta, file: File, capacity: u64) -> Segment {
        if shelf.mmap {
            file.map(capacity);
        }
        let segment = Segment::new(shelf, number, meta);
        segment.reader.store(Some(Arc::new(file)));
        segment
    }

    /// The header of its file.
    pub fn header(&self) -> Header {
        Header { store_id: self.shelf.store_id, number: self.number, kind: self.origin.log_kind() }
    }

    /// What is known of it, once it does not change any more.
    pub fn sealed(&self) -> Option<&Sealed> {
        self.sealed.get()
    }

    /// From now on it does not change, and counts among the segments that may be closed.
    pub fn seal(self: &Arc<Self>, facts: Sealed) {
        self.sealed.get_or_init(|| facts);
        self.shelve();
    }

    /// What the manifest says of it.
    pub fn meta(&self) -> SegmentMeta {
        let state = match self.sealed.get() {
            Some(sealed) => SegmentState::Sealed(*sealed),
            None => SegmentState::Active { durable: 0 },
        };
        SegmentMeta { origin: self.origin, first_seqno: self.first_seqno, state }
    }

    /// Its bytes now.
    pub fn len(&self) -> u64 {
        match self.sealed.get() {
            Some(sealed) => sealed.len,
            None => self.reader.load().as_ref().map_or(HEADER_LEN, |file| file.len()),
        }
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.len() <= HEADER_LEN
    }

    /// The open file, opened if need be.
    #[inline]
    fn file(self: &Arc<Self>) -> Result<Guard<Option<Arc<File>>>> {
        let file = self.reader.load();
        if file.is_some() {
            return Ok(file);
        }
        self.open()
    }

    #[cold]
    fn open(self: &Arc<Self>) -> Result<Guard<Option<Arc<File>>>> {
        let name = filename::segment(self.number);
        let file = self.shelf.with_descriptor(|| self.shelf.dir.open(&name, Cause::Read))?;
        if self.shelf.mmap {
            file.map(file.len());
        }
        let file = Some(Arc::new(file));
        self.reader.store(file.clone());
        self.shelve();
        Ok(Guard::from_inner(file))
    }

    fn shelve(self: &Arc<Self>) {
        self.shelf.open.lock().push_back(Arc::downgrade(self));
        self.shelf.close_down_to(self.shelf.max_open);
    }

    /// The value that `key` has at `place`. One read, at most; the checksum and the key are checked.
    #[inline]
    pub fn read(self: &Arc<Self>, place: Place, key: &[u8]) -> Result<Value> {
        self.entry(place, key, |_, value| Value::from(value))
    }

    /// Calls `see` with the sequence number and the value that `key` has at `place`: see
    /// [`Segment::read`].
    #[inline]
    pub fn entry<T>(
        self: &Arc<Self>,
        place: Place,
        key: &[u8],
        see: impl FnOnce(u64, &[u8]) -> T,
    ) -> Result<T> {
        const STACK: usize = 1024;
        let guard = self.file()?;
        let file = guard.as_deref().expect("an open file was put there");
        let (offset, len) = (u64::from(place.offset), place.len as usize);
        if let Some(bytes) = file.mapped(offset, len) {
            return self.check(file, bytes, place, key, see);
        }
        if len <= STACK {
            let mut buf = [0; STACK];
            file.read_exact_at(&mut buf[..len], offset)?;
            return self.check(file, &buf[..len], place, key, see);
        }
        if offset + len as u64 > file.len() {
            return Err(file.corruption(file.len(), "the file ends too early"));
        }
        let mut buf = vec![0; len];
        file.read_exact_at(&mut buf, offset)?;
        self.check(file, &buf, place, key, see)
    }

    #[inline]
    fn check<T>(
        &self,
        file: &File,
        bytes: &[u8],
        place: Place,
        key: &[u8],
        see: impl FnOnce(u64, &[u8]) -> T,
    ) -> Result<T> {
        let offset = u64::from(place.offset);
        let record = frame::decode(bytes, self.salt, offset);
        let record = record.map_err(|bad| file.corruption(offset, bad.to_string()))?;
        match Entry::decode(&record) {
            Some(Entry { seqno, op: Op::Set(found, value) }) if found == key => Ok(see(seqno, value)),
            _ => Err(file.corruption(offset, "the record there is of another key")),
        }
    }

    /// Whether what stands at `place` is read from memory that the file is mapped to.
    pub fn is_mapped(&self, place: Place) -> bool {
        let (offset, len) = (u64::from(place.offset), place.len as usize);
        self.reader.load().as_ref().is_some_and(|file| file.mapped(offset, len).is_some())
    }

    /// Touches the record's first byte, so that it is on its way to the cache; for reads ahead.
    #[inline]
    pub fn touch(&self, place: Place) -> u8 {
        let guard = self.reader.load();
        let byte =
            guard.as_ref().and_then(|file| file.mapped(u64::from(place.offset), 1).map(|bytes| bytes[0]));
        byte.unwrap_or(0)
    }

    /// Notes that the keydir points to so many more bytes of it.
    #[inline]
    pub fn add_live(&self, bytes: u32) {
        self.live_bytes.fetch_add(bytes.into(), Ordering::Relaxed);
    }

    /// Notes that the keydir points to so many fewer bytes of it.
    #[inline]
    pub fn sub_live(&self, bytes: u32) {
        self.live_bytes.fetch_sub(bytes.into(), Ordering::Relaxed);
    }

    /// Notes a tombstone.
    pub fn add_tombstone(&self, bytes: u32) {
        self.tombstone_bytes.fetch_add(bytes.into(), Ordering::Relaxed);
    }

    /// Bytes of records that the keydir points to.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of tombstones.
    pub fn tombstone_bytes(&self) -> u64 {
        self.tombstone_bytes.load(Ordering::Relaxed)
    }

    /// Notes that its hint can not be used.
    pub fn refuse_hint(&self) {
        self.hint_refused.store(true, Ordering::Relaxed);
    }

    /// Whether its hint could not be used, and wants to be written anew.
    pub fn is_hint_refused(&self) -> bool {
        self.hint_refused.load(Ordering::Relaxed)
    }

    /// Its files go when the last reader lets go of it.
    pub fn condemn(&self) {
        self.condemned.store(true, Ordering::Release);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.condemned.load(Ordering::Acquire) {
            return;
        }
        let (shelf, name) = (&self.shelf, filename::segment(self.number));
        let remove = || {
            let removed = shelf.dir.remove(&name);
            // There may be none.
            let _ = shelf.dir.remove(&filename::hint(self.number));
            removed
        };
        let Some(removed) = shelf.health.while_owner(remove) else { return };
        let path = shelf.dir.join(&name);
        shelf.listener.tell(match removed {
            Ok(()) => Event::Removed { path },
            Err(error) => Event::NotRemoved { path, reason: error.to_string() },
        });
    }
}
