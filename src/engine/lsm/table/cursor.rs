//! Moves over the entries of one table, both ways.

use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key;
use crate::engine::lsm::table::Table;
use crate::engine::lsm::table::block::{Block, Entry, Found, Target};
use crate::engine::lsm::table::cache::CachedBlock;
use crate::engine::lsm::table::format::Handle;
use crate::engine::lsm::table::reader::Body;
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// What a cursor is for, and so how it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To seek and to look around: block by block, through the cache. Moving on and on, it begins to
    /// read ahead.
    Point,
    /// To read the table once: many blocks in one read, and the cache is left to others.
    Sequential,
}

/// A cursor that has moved on to so many blocks in a row reads ahead.
const RUN: u32 = 2;

/// Bytes that are read ahead first. Doubled with each read.
const FIRST_AHEAD: u64 = 16 << 10;

/// The most bytes that are read ahead.
const MAX_AHEAD: u64 = 256 << 10;

/// Moves over the entries of one table.
///
/// Its place is an entry of a block of a partition. A key is put together in one vector, which is kept;
/// a value is shown where it lies: in a cached block, or in the bytes that were read ahead.
///
/// Keys are stored as what differs from the key before, so that going back means to begin again at the
/// restart point in front. That is done once for all entries that follow it: they wait in `back`.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<Table>,
    access: Access,
    is_valid: bool,
    /// The partition, and which of its blocks.
    part: usize,
    entry: usize,
    place: Place,
    /// Where in the block the entries end, and where the cursor stands: `value..next` is its value.
    end: usize,
    at: usize,
    value: usize,
    next: usize,
    key: Vec<u8>,
    /// Entries before this one, back to a restart point; the last is the one right before.
    back: Vec<Back>,
    back_keys: Vec<u8>,
    /// Bytes that were read ahead, and where in the file they stand.
    window: Vec<u8>,
    window_at: Range<u64>,
    /// A block of the window that was compressed.
    plain: Vec<u8>,
    /// Blocks that the cursor has moved on to in a row.
    run: u32,
    /// Bytes to read ahead next.
    ahead: u64,
    /// What it read so far.
    looked: Looked,
}

/// What a cursor read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Data blocks that it came to.
    pub blocks: u64,
    /// Of these, such as were in the cache.
    pub cached: u64,
    /// Their bytes, as they lie in the file.
    pub bytes: u64,
}

/// Where the bytes of the current block are.
#[derive(Debug)]
enum Place {
    Nowhere,
    Cached(CachedBlock),
    Window(Range<usize>),
    Plain,
}

/// An entry that was passed on the way from a restart point.
#[derive(Clone, Copy, Debug)]
struct Back {
    at: usize,
    entry: Entry,
    /// Its key, in `back_keys`.
    key: (usize, usize),
}

impl TableCursor {
    /// A cursor that stands nowhere.
    pub fn new(table: Arc<Table>, access: Access) -> TableCursor {
        TableCursor {
            table,
            access,
            is_valid: false,
            part: 0,
            entry: 0,
            place: Place::Nowhere,
            end: 0,
            at: 0,
            value: 0,
            next: 0,
            key: Vec::new(),
            back: Vec::new(),
            back_keys: Vec::new(),
            window: Vec::new(),
            window_at: 0..0,
            plain: Vec::new(),
            run: 0,
            ahead: FIRST_AHEAD,
            looked: Looked::default(),
        }
    }

    /// What it read so far.
    pub fn looked(&self) -> Looked {
        self.looked
    }

    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match &self.place {
            Place::Cached(block) => block,
            Place::Window(range) => &self.window[range.clone()],
            Place::Plain => &self.plain,
            Place::Nowhere => &[],
        }
    }

    #[inline]
    fn block(&self) -> Block<'_> {
        Block::known(self.bytes(), self.end)
    }

    /// The current block can not be read.
    #[cold]
    fn malformed(&mut self) -> Error {
        self.is_valid = false;
        match self.handle() {
            Ok(handle) => self.table.reader().malformed(handle),
            Err(error) => error,
        }
    }

    /// Where the current block is.
    fn handle(&self) -> Result<Handle> {
        self.table.data_handle(self.part, self.entry)
    }

    /// Makes a block the current one. Where in it the cursor stands is open.
    fn load(&mut self, part: usize, entry: usize) -> Result<()> {
        self.is_valid = false;
        self.back.clear();
        if (self.part, self.entry) == (part, entry) && !matches!(self.place, Place::Nowhere) {
            return Ok(());
        }
        (self.part, self.entry) = (part, entry);
        self.place = Place::Nowhere;
        let handle = self.handle()?;
        self.looked.blocks += 1;
        self.looked.bytes += handle.len;
        self.place = self.fetch(handle)?;
        match Block::new(self.bytes()).map(|block| block.end()) {
            Some(end) => self.end = end,
            None => {
                self.place = Place::Nowhere;
                return Err(self.table.reader().malformed(handle));
            }
        }
        Ok(())
    }

    fn fetch(&mut self, handle: Handle) -> Result<Place> {
        if self.window_at.contains(&handle.offset) && handle.end() <= self.window_at.end {
            return self.fetch_from_window(handle);
        }
        if self.access == Access::Point {
            if self.run < RUN {
                let (block, was_cached) = self.table.block(handle)?;
                self.looked.cached += u64::from(was_cached);
                return Ok(Place::Cached(block));
            }
            if let Some(block) = self.table.cached(handle) {
                self.looked.cached += 1;
                return Ok(Place::Cached(block));
            }
        } else if self.run == 0 {
            // One block, as far as is known.
            return Ok(Place::Cached(self.table.reader().read(handle)?));
        }
        self.fill_window(handle)?;
        self.fetch_from_window(handle)
    }

    /// Reads the block, and what follows it.
    fn fill_window(&mut self, handle: Handle) -> Result<()> {
        let want = self.ahead.max(handle.len).min(self.table.reader().end() - handle.offset);
        self.ahead = (2 * self.ahead).min(MAX_AHEAD);
        // Nothing is in it until it is read whole.
        self.window_at = 0..0;
        if self.window.len() < want as usize {
            self.window.resize(want as usize, 0);
        }
        self.table.reader().read_ahead(&mut self.window[..want as usize], handle.offset)?;
        self.window_at = handle.offset..handle.offset + want;
        Ok(())
    }

    fn fetch_from_window(&mut self, handle: Handle) -> Result<Place> {
        let start = (handle.offset - self.window_at.start) as usize;
        let bytes = &self.window[start..start + handle.len as usize];
        let packed = match self.table.reader().unseal(bytes, handle)? {
            Body::Plain(body) => return Ok(Place::Window(start..start + body.len())),
            Body::Packed(packed) => packed,
        };
        self.plain.resize(packed.len, 0);
        packed.unfold(&mut self.plain).map_err(|reason| self.table.reader().damaged(handle, reason))?;
        Ok(Place::Plain)
    }

    /// Moves to the first entry of the next block, if there is one.
    fn next_block(&mut self) -> Result<()> {
        let (mut part, mut entry) = (self.part, self.entry + 1);
        self.is_valid = false;
        if entry == self.table.blocks_in(part)? {
            (part, entry) = (part + 1, 0);
        }
        if part == self.table.partition_count() {
            return Ok(());
        }
        self.run += 1;
        self.load(part, entry)?;
        self.first_in_block()
    }

    /// Moves to the last entry of the block before, if there is one.
    fn prev_block(&mut self) -> Result<()> {
        let (mut part, mut entry) = (self.part, self.entry);
        self.is_valid = false;
        self.run = 0;
        if entry == 0 {
            if part == 0 {
                return Ok(());
            }
            part -= 1;
            entry = self.table.blocks_in(part)?;
        }
        self.load(part, entry - 1)?;
        self.at = self.end;
        self.step_back()
    }

    fn first_in_block(&mut self) -> Result<()> {
        self.key.clear();
        self.next = 0;
        self.step()
    }

    /// Moves to the entry at `next`, which follows that whose key is in `key`.
    #[inline]
    fn step(&mut self) -> Result<()> {
        // Not `self.block()`: the key is written while the block is read.
        let bytes = match &self.place {
            Place::Cached(block) => &block[..],
            Place::Window(range) => &self.window[range.clone()],
            Place::Plain => &self.plain,
            Place::Nowhere => &[],
        };
        let block = Block::known(bytes, self.end);
        let Some(entry) = block.entry(self.next) else { return Err(self.malformed()) };
        if block.assemble(&entry, &mut self.key).is_none() {
            return Err(self.malformed());
        }
        (self.at, self.value, self.next) = (self.next, entry.value, entry.next);
        self.is_valid = true;
        Ok(())
    }

    /// Moves to the entry before `at`, which is not the first of the block.
    fn step_back(&mut self) -> Result<()> {
        if self.back.is_empty() && self.collect_back().is_none() {
            self.back.clear();
            return Err(self.malformed());
        }
        let Some(back) = self.back.pop() else { return Err(self.malformed()) };
        self.key.clear();
        self.key.extend_from_slice(&self.back_keys[back.key.0..back.key.1]);
        (self.at, self.value, self.next) = (back.at, back.entry.value, back.entry.next);
        self.is_valid = true;
        Ok(())
    }

    /// Puts the entries between the restart point before `at` and `at` into `back`.
    fn collect_back(&mut self) -> Option<()> {
        let mut keys = std::mem::take(&mut self.back_keys);
        let mut back = std::mem::take(&mut self.back);
        keys.clear();
        let block = self.block();
        let (mut low, mut high) = (0, block.restarts());
        while low < high {
            let middle = low.midpoint(high);
            match block.restart(middle)? < self.at {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let mut at = block.restart(low.checked_sub(1)?)?;
        let mut before = 0..0;
        while at < self.at {
            let entry = block.entry(at)?;
            let start = keys.len();
            if entry.shared > before.len() {
                return None;
            }
            keys.extend_from_within(before.start..before.start + entry.shared);
            keys.extend_from_slice(self.bytes().get(entry.suffix..entry.value)?);
            before = start..keys.len();
            if !key::is_valid(&keys[before.clone()]) {
                return None;
            }
            back.push(Back { at, entry, key: (before.start, before.end) });
            at = entry.next;
        }
        (self.back_keys, self.back) = (keys, back);
        (at == self.at).then_some(())
    }

    /// The cursor goes elsewhere: what was learned of its direction is void.
    fn begin(&mut self) {
        self.is_valid = false;
        self.back.clear();
        self.run = 0;
        self.ahead = match self.access {
            Access::Point => FIRST_AHEAD,
            Access::Sequential => MAX_AHEAD,
        };
    }

    fn try_seek(&mut self, target: &[u8]) -> Result<()> {
        let target = Target::of(target);
        let Some((part, entry)) = self.table.seek_block(target)? else { return Ok(()) };
        self.load(part, entry)?;
        let mut key = std::mem::take(&mut self.key);
        let found = self.block().seek(&self.table.shelf().order, target, &mut key);
        self.key = key;
        match found {
            Some(Found::At(at, entry)) => {
                (self.at, self.value, self.next) = (at, entry.value, entry.next);
                self.is_valid = true;
                Ok(())
            }
            // The separator is above the last entry, and the target between them.
            Some(Found::End) => self.next_block(),
            None => Err(self.malformed()),
        }
    }
}

impl EntryCursor for TableCursor {
    fn seek_to_first(&mut self) -> Result<()> {
        self.begin();
        if self.access == Access::Sequential {
            // Who begins at the beginning wants all.
            self.run = RUN;
        }
        self.load(0, 0)?;
        self.first_in_block()
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.begin();
        let part = self.table.partition_count() - 1;
        let entry = self.table.blocks_in(part)? - 1;
        self.load(part, entry)?;
        self.at = self.end;
        self.step_back()
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        self.begin();
        self.try_seek(target)
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        self.back.clear();
        if self.next < self.end { self.step() } else { self.next_block() }
    }

    fn prev(&mut self) -> Result<()> {
        if self.at == 0 { self.prev_block() } else { self.step_back() }
    }

    #[inline]
    fn valid(&self) -> bool {
        self.is_valid
    }

    #[inline]
    fn key(&self) -> &[u8] {
        &self.key
    }

    #[inline]
    fn value(&self) -> &[u8] {
        &self.bytes()[self.value..self.next]
    }
}
