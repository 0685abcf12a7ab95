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
pub mod layout;
pub mod shelf;
pub mod store;
#[cfg(test)]
mod tests;

use crate::codec::Reader;
use crate::engine::explain::Step;
use crate::engine::filename;
use crate::engine::lsm::key::{self, Kind};
use crate::engine::lsm::table::block::{Block, Found, Target};
use crate::engine::lsm::table::cache::CachedBlock;
use crate::engine::lsm::table::compress::decompress;
use crate::engine::lsm::table::filter::Filter;
use crate::engine::lsm::table::format::{BadFooter, FOOTER_LEN, FORMAT, Footer, Handle, Properties, Salt};
use crate::engine::lsm::table::shelf::Shelf;
use crate::engine::lsm::version::edit::TableMeta;
use crate::engine::value::Value;
use crate::error::{Error, Result};
use crate::vfs::Cause;
use crate::vfs::dir::File;
use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::atomic::Ordering::Relaxed;
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
    shelf: Arc<Shelf>,
    file: File,
    number: u64,
    salt: Salt,
    footer: Footer,
    properties: Properties,
    top: CachedBlock,
    partitions: Box<[Partition]>,
}

/// One partition: where its filter and its index are, and both, if they were read.
#[derive(Debug)]
struct Partition {
    filter_at: Option<Handle>,
    index_at: Handle,
    filter: OnceLock<Filter>,
    index: OnceLock<CachedBlock>,
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

impl Table {
    /// Opens table `number`, and checks that it is whole as far as can be seen without its blocks:
    /// footer, properties, top index. Three reads.
    pub fn open(shelf: &Arc<Shelf>, number: u64, cause: Cause) -> Result<Table> {
        let file = shelf.dir.open(&filename::table(number), cause)?;
        let salt = Salt::new(shelf.store_id, number);
        if shelf.mmap {
            file.map(file.len());
        }
        let mut table = Table {
            shelf: shelf.clone(),
            footer: read_footer(&file, salt)?,
            file,
            number,
            salt,
            properties: Properties::default(),
            top: Arc::from([]),
            partitions: Box::default(),
        };
        let properties = table.read_block(table.footer.properties)?;
        let damaged = |at: Handle, reason| table.damaged(at, reason);
        table.properties = Properties::decode(&properties)
            .ok_or_else(|| damaged(table.footer.properties, "properties that can not be read"))?;
        table.top = table.read_block(table.footer.top)?;
        table.partitions = table.read_top().ok_or_else(|| table.malformed(table.footer.top))?;
        shelf.counters.opens.fetch_add(1, Relaxed);
        Ok(table)
    }

    /// Checks that it is the table that the manifest means, in the store's order.
    pub fn check(&self, meta: &TableMeta) -> Result<()> {
        let order = self.shelf.order.name();
        let wrong = if self.len() != meta.len {
            format!("{} bytes; the manifest says {}", self.len(), meta.len)
        } else if self.properties.meta(meta.level, self.len(), self.footer.contents) != *meta {
            "not the table that the manifest means".to_string()
        } else if self.properties.comparator != order {
            format!("its keys are in the order {}, those of the store in {order}", self.properties.comparator)
        } else {
            return Ok(());
        };
        Err(self.file.corruption(self.end(), wrong))
    }

    /// What it shares with the other tables of its store.
    #[inline]
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its bytes.
    #[expect(clippy::len_without_is_empty, reason = "a size, not a collection")]
    pub fn len(&self) -> u64 {
        self.end() + FOOTER_LEN as u64
    }

    /// What it says of itself.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// What identifies its contents.
    pub fn contents(&self) -> u64 {
        self.footer.contents
    }

    /// What a manifest would say of it.
    pub fn meta(&self) -> TableMeta {
        self.properties.meta(self.properties.level, self.len(), self.footer.contents)
    }

    /// Bytes of memory that it has for filters and indexes at the moment.
    pub fn memory_bytes(&self) -> usize {
        let of = |part: &Partition| {
            part.filter.get().map_or(0, Filter::byte_len) + part.index.get().map_or(0, |index| index.len())
        };
        size_of_val(&*self.partitions) + self.top.len() + self.partitions.iter().map(of).sum::<usize>()
    }

    /// The newest entry of `user_key` that is not newer than `at`. `hash` is that of
    /// [`Shelf::hash`].
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
        let index = self.index_traced(part, trace)?;
        let entry = self.seek_index(part, index, target)?;
        let handle = self.data_handle(part, index, entry)?;
        let (block, was_cached) = self.block(handle)?;
        trace.block(handle.len, was_cached);
        let found = KEY.with(|cell| {
            let mut key = cell.take();
            let found = self.find(&block, target, &mut key);
            cell.set(key);
            found.ok_or_else(|| self.malformed(handle))
        })?;
        if filter.is_some() && found == Lookup::Absent {
            self.shelf.counters.false_positives.fetch_add(1, Relaxed);
        }
        Ok(found)
    }

    /// Looks for the target in its block; `None` if the block is malformed.
    fn find(&self, block: &CachedBlock, target: Target<'_>, key: &mut Vec<u8>) -> Option<Lookup> {
        let block = Block::new(block)?;
        let Found::At(_, entry) = block.seek(&self.shelf.order, target, key)? else {
            return Some(Lookup::Absent);
        };
        let (user_key, trailer) = key::split(key);
        if self.shelf.order.compare(user_key, target.user_key) != Ordering::Equal {
            return Some(Lookup::Absent);
        }
        let value = Value::from(block.value(&entry)?);
        Some(Lookup::Found { seqno: key::seqno(trailer), kind: Kind::of(trailer)?, value })
    }

    /// The end of the file, as it was read.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Where its checksums begin.
    pub(crate) fn salt(&self) -> Salt {
        self.salt
    }

    /// Partitions.
    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The partition that holds the first entry that is not below `target`; their number if none does.
    #[inline]
    pub(crate) fn seek_partition(&self, target: Target<'_>) -> Result<usize> {
        let found = Block::new(&self.top).and_then(|top| top.lower_bound(&self.shelf.order, target));
        found.ok_or_else(|| self.malformed(self.footer.top))
    }

    /// The index of a partition.
    #[inline]
    pub(crate) fn index(&self, part: usize) -> Result<&CachedBlock> {
        self.index_traced(part, &mut ())
    }

    #[inline]
    fn index_traced(&self, part: usize, trace: &mut impl Trace) -> Result<&CachedBlock> {
        let partition = &self.partitions[part];
        match partition.index.get() {
            Some(index) => Ok(index),
            None => {
                let index = self.read_block(partition.index_at)?;
                Block::new(&index).ok_or_else(|| self.malformed(partition.index_at))?;
                trace.block(partition.index_at.len, false);
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
                let bytes = self.read_block(filter_at)?;
                let filter = Filter::decode(&bytes).ok_or_else(|| self.malformed(filter_at))?;
                trace.block(filter_at.len, false);
                Ok(Some(partition.filter.get_or_init(|| filter)))
            }
        }
    }

    /// Which data block of a partition holds the first entry that is not below `target`. There is one:
    /// the top index says so.
    #[inline]
    pub(crate) fn seek_index(&self, part: usize, index: &CachedBlock, target: Target<'_>) -> Result<usize> {
        let found = Block::new(index).and_then(|index| {
            let entry = index.lower_bound(&self.shelf.order, target)?;
            (entry < index.restarts()).then_some(entry)
        });
        found.ok_or_else(|| self.malformed(self.partitions[part].index_at))
    }

    /// Where data block `entry` of a partition is.
    #[inline]
    pub(crate) fn data_handle(&self, part: usize, index: &CachedBlock, entry: usize) -> Result<Handle> {
        let found = Block::new(index).and_then(|index| {
            let (_, entry) = index.key_at_restart(entry)?;
            Handle::decode(&mut Reader::new(index.value(&entry)?), self.end())
        });
        found.ok_or_else(|| self.malformed(self.partitions[part].index_at))
    }

    /// A block from the cache, or read and put there; and whether it was there.
    #[inline]
    pub(crate) fn block(&self, handle: Handle) -> Result<(CachedBlock, bool)> {
        match self.cached(handle) {
            Some(block) => Ok((block, true)),
            None => {
                let block = self.read_block(handle)?;
                self.shelf.cache.insert(self.number, handle.offset, &block);
                Ok((block, false))
            }
        }
    }

    /// A block, if it is in the cache.
    #[inline]
    pub(crate) fn cached(&self, handle: Handle) -> Option<CachedBlock> {
        self.shelf.cache.get(self.number, handle.offset)
    }

    /// Fills `buf` with what stands at `offset`, unverified. By a call, mapped or not: the system then
    /// reads ahead too.
    pub(crate) fn read_ahead(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.shelf.counters.bytes_read.fetch_add(buf.len() as u64, Relaxed);
        self.file.read_exact_at(buf, offset)
    }

    /// Reads and verifies a block, past the cache.
    pub(crate) fn read_block(&self, handle: Handle) -> Result<CachedBlock> {
        let len = handle.len as usize;
        self.shelf.counters.count_read(handle.len);
        if let Some(bytes) = self.file.mapped(handle.offset, len) {
            return self.unfold(bytes, handle);
        }
        SCRATCH.with(|cell| {
            let mut scratch = cell.take();
            if scratch.len() < len {
                scratch.resize(len, 0);
            }
            let bytes = &mut scratch[..len];
            let block =
                self.file.read_exact_at(bytes, handle.offset).and_then(|()| self.unfold(bytes, handle));
            if scratch.len() <= MAX_SCRATCH {
                cell.set(scratch);
            }
            block
        })
    }

    /// The block in bytes that were read from its place.
    fn unfold(&self, bytes: &[u8], handle: Handle) -> Result<CachedBlock> {
        let mut plain = Vec::new();
        match self.unseal(bytes, handle, &mut plain)? {
            Some(body) => Ok(Arc::from(body)),
            None => Ok(Arc::from(plain)),
        }
    }

    /// Verifies a block. Returns its body where it lies, or, if it is compressed, puts it into `plain`.
    #[inline]
    pub(crate) fn unseal<'a>(
        &self,
        bytes: &'a [u8],
        handle: Handle,
        plain: &mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>> {
        use crate::engine::lsm::options::Compression;
        let damaged = |reason| self.damaged(handle, reason);
        let sealed = format::unseal(bytes, self.salt, handle.offset).map_err(damaged)?;
        match sealed.compression {
            Compression::None => Ok(Some(sealed.body)),
            how => decompress(how, sealed.body, plain).map(|()| None).map_err(damaged),
        }
    }

    /// Where the blocks end: where the footer is.
    pub(crate) fn end(&self) -> u64 {
        self.footer.top.end()
    }

    /// Damage at a block.
    pub(crate) fn damaged(&self, at: Handle, reason: &str) -> Error {
        self.file.corruption(at.offset, reason)
    }

    /// A block whose checksum is right, and which says what can not be.
    pub(crate) fn malformed(&self, at: Handle) -> Error {
        self.damaged(at, "a block that is whole and yet makes no sense")
    }

    /// Reads the top index.
    fn read_top(&self) -> Option<Box<[Partition]>> {
        let top = Block::new(&self.top)?;
        let read = |i| {
            let mut reader = Reader::new(top.value(&top.key_at_restart(i)?.1)?);
            let index_at = Handle::decode(&mut reader, self.end())?;
            let filter = Handle { offset: reader.varint()?, len: reader.varint()? };
            let filter_at = match filter.len {
                0 => None,
                _ => Some(filter.within(self.end())?),
            };
            let (filter, index) = Default::default();
            Some(Partition { filter_at, index_at, filter, index })
        };
        (0..top.restarts()).map(read).collect()
    }
}

/// A buffer for reading that is larger than this is not kept.
const MAX_SCRATCH: usize = 1 << 20;

thread_local! {
    /// For the key that a search is at.
    static KEY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// For blocks on their way from the disk.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reads the footer. The top index stands right before it: so the file has no byte that no checksum
/// covers.
fn read_footer(file: &File, salt: Salt) -> Result<Footer> {
    let too_short = || file.corruption(file.len(), "too short for a table");
    let end = file.len().checked_sub(FOOTER_LEN as u64).ok_or_else(too_short)?;
    let mut bytes = [0; FOOTER_LEN];
    file.read_exact_at(&mut bytes, end)?;
    let footer = Footer::decode(&bytes, salt, end).map_err(|bad| match bad {
        BadFooter::Damaged(reason) => file.corruption(end, reason),
        BadFooter::Unknown(found) => {
            Error::UnknownFormat { path: file.path().to_path_buf(), found, known: FORMAT }
        }
    })?;
    if footer.top.end() != end {
        return Err(file.corruption(end, "the top index does not end where the footer begins"));
    }
    Ok(footer)
}
