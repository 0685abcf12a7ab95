//! A sorted table: a file of entries in the order of their internal keys, written once and never
//! changed.
//!
//! ```text
//! table      := partition* properties:sealed top:sealed footer
//! partition  := data:sealed* [filter:sealed] index:sealed
//!
//! sealed     := body compression:u8 checksum:u32       a block, as it lies in the file
//! data       := block          entries of the store: internal keys (seqno and kind within) and values
//! index      := block          one entry a data block:   separator -> offset:varint len:varint
//! top        := block          one entry a partition:    separator -> offset:varint len:varint of its index,
//!                                                        offset:varint len:varint of its filter, 0 0: none
//! filter     := a blocked Bloom filter over the user keys of the partition
//! properties := bincode: entries, tombstones, bytes, seqnos, first and last key, order, how it was written
//! footer     := top_offset:u64 top_len:u64 properties_offset:u64 properties_len:u64 contents:u64
//!               format:u32 checksum:u32 magic:"KVSTAB" 0 1
//! ```
//!
//! [`block`] has the grammar of a block, [`filter`] that of a filter, [`compress`] that of a compressed
//! body. Handles (offset and length) count the trailer in, so that the parts stand side by side: the
//! first begins at 0, and each ends where the next begins.
//!
//! A *separator* is a short internal key that is not below the last entry in front of it and below the
//! first one behind it. Between two entries of one user key it is the first of them itself. So a get goes
//! down one path, and reads one data block at most: top index (in memory), filter and index of one
//! partition (read when first needed, kept while the table is open), block (cached, or read).
//!
//! What is checked:
//!
//! - A checksum is the CRC-32C of store id, file number, offset, body and compression byte: a block of
//!   another store, another file or another place does not pass. Nothing is believed before it passed.
//! - `contents` is the XXH3 of the checksums of all blocks, in their order. The manifest has it too: a
//!   table that was put in the place of another, written in the same store under the same number, is
//!   found out when it is opened.
//! - No length is believed beyond the file, no uncompressed length beyond what its bytes can give.
//! - A damaged filter or index is an error, never "not there".
//!
//! From LevelDB, with what RocksDB has added since: partitions, filters of cache lines, properties.

pub mod block;
pub mod builder;
pub mod cache;
pub mod compress;
pub mod cursor;
pub mod filter;
pub mod format;
pub mod index;
pub mod layout;
pub mod reader;
pub mod shelf;
pub mod store;
#[cfg(test)]
mod tests;

use crate::engine::explain::Step;
use crate::engine::lsm::key::{self, Kind};
use crate::engine::lsm::table::block::{Block, Target};
use crate::engine::lsm::table::cache::CachedBlock;
use crate::engine::lsm::table::filter::Filter;
use crate::engine::lsm::table::format::{FOOTER_LEN, Footer, Handle, Properties};
use crate::engine::lsm::table::index::Index;
use crate::engine::lsm::table::reader::BlockReader;
use crate::engine::lsm::table::shelf::Shelf;
use crate::engine::lsm::version::edit::TableMeta;
use crate::engine::value::Value;
use crate::error::Result;
use crate::sync::atomic::Ordering::Relaxed;
use crate::vfs::Cause;
use std::cell::Cell;
use std::sync::{Arc, OnceLock};

/// What a get has found in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The filter knows that the key is not here. Nothing else was looked at.
    Filtered,
    /// There is no entry that the reader can see.
    Absent,
    /// The newest entry that the reader can see.
    Found {
        /// Its sequence number.
        seqno: u64,
        /// What it says.
        kind: Kind,
        /// The value; empty for a tombstone.
        value: Value,
    },
}

/// An open table.
///
/// In memory are its top index, its properties, and what was needed so far of filters and indexes;
/// these stay until the table is closed, so that a get takes neither lock nor hash for them.
#[derive(Debug)]
pub struct Table {
    number: u64,
    reader: BlockReader,
    footer: Footer,
    properties: Properties,
    top: Index,
    partitions: Box<[Partition]>,
}

/// One partition: where its filter and its index are, and both, if they were read.
#[derive(Debug)]
struct Partition {
    filter_at: Option<Handle>,
    index_at: Handle,
    filter: OnceLock<Filter>,
    index: OnceLock<Index>,
}

/// Told what a get looks at.
trait Trace {
    fn filter(&mut self, _may_contain: bool) {}
    fn block(&mut self, _bytes: u64, _was_cached: bool) {}
}

/// Nobody is told.
impl Trace for () {}

impl Trace for Step {
    fn filter(&mut self, may_contain: bool) {
        self.filter = Some(if may_contain { "maybe" } else { "absent" });
    }

    fn block(&mut self, bytes: u64, was_cached: bool) {
        self.blocks += 1;
        self.cached += u64::from(was_cached);
        self.bytes += bytes;
    }
}

thread_local! {
    /// For the key that a search is at.
    static KEY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Table {
    /// Opens table `number`, and checks that it is whole as far as can be seen without its other
    /// blocks: footer, properties, top index. Three reads.
    pub fn open(shelf: &Arc<Shelf>, number: u64, cause: Cause) -> Result<Table> {
        let (mut reader, footer) = BlockReader::open(shelf, number, cause)?;
        let properties = Properties::decode(&reader.read(footer.properties)?);
        let properties = properties.ok_or_else(|| reader.malformed(footer.properties))?;
        let top = Index::new(reader.read(footer.top)?, &shelf.order, reader.end());
        let top = top.ok_or_else(|| reader.malformed(footer.top))?;
        let partitions = partitions(&top, reader.end()).ok_or_else(|| reader.malformed(footer.top))?;
        if properties.plain_blocks == properties.blocks() {
            reader.expect_plain();
        }
        shelf.counters.opens.fetch_add(1, Relaxed);
        Ok(Table { number, reader, footer, properties, top, partitions })
    }

    /// Checks that it is the table that the manifest means, in the store's order.
    pub fn check(&self, meta: &TableMeta) -> Result<()> {
        let order = self.shelf().order.name();
        let wrong = if self.len() != meta.len {
            format!("{} bytes; the manifest says {}", self.len(), meta.len)
        } else if self.properties.meta(meta.level, self.len(), self.footer.contents) != *meta {
            "not the table that the manifest means".to_string()
        } else if self.properties.comparator != order {
            format!("its keys are in the order {}, those of the store in {order}", self.properties.comparator)
        } else {
            return Ok(());
        };
        Err(self.reader.damaged(self.footer_at(), &wrong))
    }

    /// What it shares with the other tables of its store.
    #[inline]
    pub fn shelf(&self) -> &Shelf {
        self.reader.shelf()
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its bytes.
    #[expect(clippy::len_without_is_empty, reason = "a size, not a collection")]
    pub fn len(&self) -> u64 {
        self.footer_at().end()
    }

    /// What it says of itself.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The end of the file, as it was read.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Where the footer is.
    pub fn footer_at(&self) -> Handle {
        Handle { offset: self.reader.end(), len: FOOTER_LEN as u64 }
    }

    /// What a manifest would say of it.
    pub fn meta(&self) -> TableMeta {
        self.properties.meta(self.properties.level, self.len(), self.footer.contents)
    }

    /// Bytes of memory that it has for filters and indexes at the moment.
    pub fn memory_bytes(&self) -> usize {
        let of = |part: &Partition| {
            part.filter.get().map_or(0, Filter::byte_len) + part.index.get().map_or(0, Index::byte_len)
        };
        size_of_val(&*self.partitions) + self.top.byte_len() + self.partitions.iter().map(of).sum::<usize>()
    }

    /// Of these, the bytes of filters.
    pub fn filter_bytes(&self) -> usize {
        self.partitions.iter().map(|part| part.filter.get().map_or(0, Filter::byte_len)).sum()
    }

    /// The newest entry of `user_key` that is not newer than `at`. `hash` is what [`Shelf::hash`] says
    /// of the key.
    #[inline]
    pub fn get(&self, user_key: &[u8], hash: u64, at: u64) -> Result<Lookup> {
        self.lookup(user_key, hash, at, &mut ())
    }

    /// [`Table::get`], and writes down in `step` what it looked at.
    pub fn explain(&self, user_key: &[u8], hash: u64, at: u64, step: &mut Step) -> Result<Lookup> {
        self.lookup(user_key, hash, at, step)
    }

    fn lookup(&self, user_key: &[u8], hash: u64, at: u64, trace: &mut impl Trace) -> Result<Lookup> {
        let target = Target { user_key, trailer: key::seek_trailer(at) };
        let part = self.seek_partition(target)?;
        if part == self.partitions.len() {
            return Ok(Lookup::Absent);
        }
        let filter = self.filter(part, trace)?;
        if let Some(filter) = filter {
            let may_contain = filter.may_contain(hash);
            trace.filter(may_contain);
            if !may_contain {
                return Ok(Lookup::Filtered);
            }
        }
        let entry = self.seek_index(part, target, trace)?;
        let handle = self.data_handle(part, entry)?;
        let (block, was_cached) = self.block(handle)?;
        trace.block(handle.len, was_cached);
        let found = self.find(&block, target).ok_or_else(|| self.reader.malformed(handle))?;
        if filter.is_some() && found == Lookup::Absent {
            self.shelf().counters.false_positives.fetch_add(1, Relaxed);
        }
        Ok(found)
    }

    /// Looks for the target in its block; `None` if the block is malformed.
    fn find(&self, block: &CachedBlock, target: Target<'_>) -> Option<Lookup> {
        let block = Block::new(block)?;
        let mut key = KEY.take();
        let found = block.find(&self.shelf().order, target, &mut key);
        KEY.set(key);
        let Some((entry, trailer)) = found? else { return Some(Lookup::Absent) };
        let value = Value::from(block.value(&entry)?);
        Some(Lookup::Found { seqno: key::seqno(trailer), kind: Kind::of(trailer)?, value })
    }

    /// Partitions.
    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Data blocks of a partition.
    pub(crate) fn blocks_in(&self, part: usize) -> Result<usize> {
        Ok(self.index(part, &mut ())?.len())
    }

    /// The partition that holds the first entry that is not below `target`; their number if none does.
    #[inline]
    fn seek_partition(&self, target: Target<'_>) -> Result<usize> {
        let found = self.top.seek(&self.shelf().order, target);
        found.ok_or_else(|| self.reader.malformed(self.footer.top))
    }

    /// Partition and data block that hold the first entry that is not below `target`, if one does. It
    /// may be the first of the block behind.
    pub(crate) fn seek_block(&self, target: Target<'_>) -> Result<Option<(usize, usize)>> {
        let part = self.seek_partition(target)?;
        if part == self.partitions.len() {
            return Ok(None);
        }
        Ok(Some((part, self.seek_index(part, target, &mut ())?)))
    }

    /// Which data block of a partition is the target's. There is one: the top index says so.
    #[inline]
    fn seek_index(&self, part: usize, target: Target<'_>, trace: &mut impl Trace) -> Result<usize> {
        let index = self.index(part, trace)?;
        let found = index.seek(&self.shelf().order, target).filter(|&entry| entry < index.len());
        found.ok_or_else(|| self.reader.malformed(self.partitions[part].index_at))
    }

    /// Where data block `entry` of a partition is.
    #[inline]
    pub(crate) fn data_handle(&self, part: usize, entry: usize) -> Result<Handle> {
        let handle = self.index(part, &mut ())?.handle(entry);
        handle.ok_or_else(|| self.reader.malformed(self.partitions[part].index_at))
    }

    #[inline]
    fn index(&self, part: usize, trace: &mut impl Trace) -> Result<&Index> {
        let partition = &self.partitions[part];
        match partition.index.get() {
            Some(index) => Ok(index),
            None => {
                let index_at = partition.index_at;
                let bytes = self.reader.read(index_at)?;
                let index = Index::new(bytes, &self.shelf().order, self.reader.end());
                let index = index.ok_or_else(|| self.reader.malformed(index_at))?;
                trace.block(index_at.len, false);
                Ok(partition.index.get_or_init(|| index))
            }
        }
    }

    #[inline]
    fn filter(&self, part: usize, trace: &mut impl Trace) -> Result<Option<&Filter>> {
        let partition = &self.partitions[part];
        let Some(filter_at) = partition.filter_at else { return Ok(None) };
        match partition.filter.get() {
            Some(filter) => Ok(Some(filter)),
            None => {
                let filter = Filter::decode(&self.reader.read(filter_at)?);
                let filter = filter.ok_or_else(|| self.reader.malformed(filter_at))?;
                trace.block(filter_at.len, false);
                Ok(Some(partition.filter.get_or_init(|| filter)))
            }
        }
    }

    /// A block, if it is in the cache.
    #[inline]
    pub(crate) fn cached(&self, handle: Handle) -> Option<CachedBlock> {
        self.shelf().cache.get(self.number, handle.offset)
    }

    /// A block from the cache, or read and put there; and whether it was there.
    #[inline]
    pub(crate) fn block(&self, handle: Handle) -> Result<(CachedBlock, bool)> {
        match self.cached(handle) {
            Some(block) => Ok((block, true)),
            None => {
                let block = self.reader.read(handle)?;
                self.shelf().cache.insert(self.number, handle.offset, &block);
                Ok((block, false))
            }
        }
    }

    /// Who reads its blocks past the cache.
    pub(crate) fn reader(&self) -> &BlockReader {
        &self.reader
    }
}

/// What the top index says; `None` if it makes no sense.
fn partitions(top: &Index, end: u64) -> Option<Box<[Partition]>> {
    let read = |i| {
        let mut numbers = top.value(i)?;
        let index_at = Handle::decode(&mut numbers, end)?;
        let filter = Handle { offset: numbers.varint()?, len: numbers.varint()? };
        let filter_at = match filter.len {
            0 => None,
            _ => Some(filter.within(end)?),
        };
        Some(Partition { filter_at, index_at, filter: OnceLock::new(), index: OnceLock::new() })
    };
    (0..top.len()).map(read).collect()
}
