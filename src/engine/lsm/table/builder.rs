//! Writes a table: entries in, in ascending order, a file out.
//!
//! Memory: one block, the index and the filter hashes of one partition, and a buffer of about a MiB;
//! nothing grows with the table but the top index, by some forty bytes for each MiB or two.

use crate::engine::filename;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{self, Kind, MAX_SEQNO};
use crate::engine::lsm::options::{Compression, LsmOptions};
use crate::engine::lsm::table::block::BlockBuilder;
use crate::engine::lsm::table::compress::Compressor;
use crate::engine::lsm::table::filter::Filter;
use crate::engine::lsm::table::format::{self, Footer, Handle, Properties, Salt};
use crate::engine::lsm::version::edit::TableMeta;
use crate::error::{Error, Result};
use crate::vfs::Cause;
use crate::vfs::dir::{Dir, File};
use std::cmp::Ordering;
use std::fmt;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// One write call for so many bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// The system is asked to begin writing after so many bytes, so that the sync at the end finds little.
const WRITEBACK_BYTES: u64 = 4 << 20;

/// An index partition is ended when it has this many times the bytes of a data block. Reading the
/// first key of a partition reads it whole; with 4 KiB blocks one stands for some 2 MiB of the table.
const PARTITION_BLOCKS: u64 = 4;

/// The most bytes after which an index partition is ended.
const MAX_PARTITION_BYTES: u64 = 16 << 10;

/// A partition is ended when its filter has this many keys.
const MAX_PARTITION_KEYS: usize = 64 << 10;

/// Writes one table.
pub struct TableBuilder {
    file: File,
    salt: Salt,
    store_id: u64,
    order: Order,
    block_bytes: usize,
    partition_bytes: usize,
    /// Bits for each key; 0: no filters.
    filter_bits: usize,
    compressor: Compressor,
    /// What has been made and not yet written: whole blocks, and the entries of the one that is open.
    out: Vec<u8>,
    /// Bytes in the file.
    written: u64,
    /// Bytes that the system was asked to write.
    written_back: u64,
    data: BlockBuilder,
    index: BlockBuilder,
    index_out: Vec<u8>,
    top: BlockBuilder,
    top_out: Vec<u8>,
    /// Of the user keys of this partition.
    hashes: Vec<u64>,
    /// A handle, on its way into an index.
    handle: Vec<u8>,
    /// Of the checksums of all blocks.
    contents: Xxh3,
    properties: Properties,
}

impl TableBuilder {
    /// Begins table `number` in `dir`. A table that is dropped unfinished leaves its file to the caller.
    ///
    /// `level` is where it will stand: it decides on the compression.
    pub fn create(
        dir: &Dir,
        number: u64,
        store_id: u64,
        level: u8,
        options: &LsmOptions,
        cause: Cause,
    ) -> Result<TableBuilder> {
        let order = options.order();
        // A filter knows keys by their bytes. An order of the user's own may hold different bytes for
        // one key.
        let filter_bits = if matches!(order, Order::Own(_)) { 0 } else { options.filter_bits };
        let properties = Properties {
            comparator: order.name().to_string(),
            level,
            filter_bits: filter_bits as u32,
            first_seqno: MAX_SEQNO,
            ..Properties::default()
        };
        Ok(TableBuilder {
            file: dir.create(&filename::table(number), cause)?,
            salt: Salt::new(store_id, number),
            store_id,
            order,
            block_bytes: options.block_bytes as usize,
            partition_bytes: (PARTITION_BLOCKS * options.block_bytes).min(MAX_PARTITION_BYTES) as usize,
            filter_bits,
            compressor: Compressor::new(options.compression.of(level)),
            out: Vec::with_capacity(CHUNK_BYTES + 2 * options.block_bytes as usize),
            written: 0,
            written_back: 0,
            data: BlockBuilder::new(options.restart_interval),
            index: BlockBuilder::new(1),
            index_out: Vec::new(),
            top: BlockBuilder::new(1),
            top_out: Vec::new(),
            hashes: Vec::new(),
            handle: Vec::new(),
            contents: Xxh3::new(),
            properties,
        })
    }

    /// Adds an entry. Its internal key is above all that were added before; one that is not is refused.
    #[inline]
    pub fn add(&mut self, internal_key: &[u8], value: &[u8]) -> Result<()> {
        let (user_key, trailer) = key::split(internal_key);
        let is_new_key = self.compare_with_last(internal_key, user_key, trailer)?;
        let added = internal_key.len() + value.len();
        let block_len = self.data.byte_len(&self.out);
        if block_len > 0 && block_len + added > self.block_bytes {
            self.finish_block(Some(internal_key))?;
        }
        // Where a partition begins, the key may have entries in the one before too.
        if self.filter_bits > 0 && (is_new_key || self.hashes.is_empty()) {
            self.hashes.push(xxh3_64_with_seed(user_key, self.store_id));
        }
        self.data.add(&mut self.out, internal_key, value);
        let seqno = key::seqno(trailer);
        let properties = &mut self.properties;
        properties.entries += 1;
        properties.tombstones += u64::from(Kind::of(trailer) == Some(Kind::Remove));
        properties.older += u64::from(!is_new_key);
        properties.raw_bytes += (user_key.len() + value.len()) as u64;
        properties.first_seqno = properties.first_seqno.min(seqno);
        properties.last_seqno = properties.last_seqno.max(seqno);
        Ok(())
    }

    /// Whether this is another user key than that of the last entry. Refuses keys out of order.
    #[inline]
    fn compare_with_last(&mut self, internal_key: &[u8], user_key: &[u8], trailer: u64) -> Result<bool> {
        if !key::is_valid(internal_key) {
            return Err(Error::invalid("a table was given bytes that are no internal key"));
        }
        if self.is_empty() {
            self.properties.smallest = internal_key.to_vec();
            return Ok(true);
        }
        let (last_user_key, last_trailer) = key::split(self.data.last_key());
        match self.order.compare(last_user_key, user_key) {
            Ordering::Less => Ok(true),
            Ordering::Equal if last_trailer > trailer => Ok(false),
            _ => Err(Error::invalid("a table was given keys out of order")),
        }
    }

    /// About how large the file would be if the table ended now.
    pub fn bytes(&self) -> u64 {
        let filter = (self.hashes.len() * self.filter_bits).div_ceil(8);
        self.offset() + (self.index_out.len() + filter + self.top_out.len() + format::FOOTER_LEN) as u64
    }

    /// Whether no entry was added.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.properties.entries == 0
    }

    /// The user key that was added last; the empty key if there is none.
    #[inline]
    pub fn last_user_key(&self) -> &[u8] {
        key::user_key(self.data.last_key())
    }

    /// Ends the table: everything is written and the file synced when this returns. The directory is
    /// the caller's to sync. An empty table is refused.
    pub fn finish(mut self) -> Result<TableMeta> {
        if self.is_empty() {
            return Err(Error::invalid("a table without entries"));
        }
        self.properties.largest = self.data.last_key().to_vec();
        self.finish_block(None)?;
        let start = self.out.len();
        let properties_bytes = self.properties.encode();
        self.out.extend_from_slice(&properties_bytes);
        let properties = self.seal(start, Compression::None);
        self.top.finish(&mut self.top_out);
        let start = self.out.len();
        self.out.append(&mut self.top_out);
        let top = self.seal(start, Compression::None);
        let contents = self.contents.digest();
        let footer = Footer { top, properties, contents }.encode(self.salt, self.offset());
        self.out.extend_from_slice(&footer);
        self.flush()?;
        self.file.sync()?;
        Ok(self.properties.meta(self.properties.level, self.written, contents))
    }

    /// Where the next byte goes.
    #[inline]
    fn offset(&self) -> u64 {
        self.written + self.out.len() as u64
    }

    /// Ends the block; `next` is the key that comes behind it, if one does.
    fn finish_block(&mut self, next: Option<&[u8]>) -> Result<()> {
        let start = self.data.finish(&mut self.out);
        self.properties.block_bytes += (self.out.len() - start) as u64;
        let mut how = Compression::None;
        if let Some((compression, packed)) = self.compressor.compress(&self.out[start..]) {
            how = compression;
            self.out.truncate(start);
            self.out.extend_from_slice(packed);
        }
        match how {
            Compression::None => self.properties.plain_blocks += 1,
            Compression::Lz4 => self.properties.lz4_blocks += 1,
            Compression::Zstd => self.properties.zstd_blocks += 1,
        }
        let handle = self.seal(start, how);
        let separator = separator(&self.order, self.data.last_key(), next);
        self.handle.clear();
        handle.encode(&mut self.handle);
        self.index.add(&mut self.index_out, &separator, &self.handle);
        let is_full = self.index.byte_len(&self.index_out) >= self.partition_bytes
            || self.hashes.len() >= MAX_PARTITION_KEYS;
        if is_full || next.is_none() {
            self.finish_partition();
        }
        if self.out.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Ends the partition: its filter, then its index, then an entry of the top index that names both.
    fn finish_partition(&mut self) {
        let mut filter = Handle::default();
        if self.filter_bits > 0 {
            let start = self.out.len();
            Filter::build(&mut self.out, &self.hashes, self.filter_bits);
            filter = self.seal(start, Compression::None);
        }
        self.index.finish(&mut self.index_out);
        let start = self.out.len();
        self.out.append(&mut self.index_out);
        let index = self.seal(start, Compression::None);
        self.handle.clear();
        index.encode(&mut self.handle);
        filter.encode(&mut self.handle);
        self.top.add(&mut self.top_out, self.index.last_key(), &self.handle);
        self.hashes.clear();
        self.properties.partitions += 1;
    }

    /// Puts the trailer behind the block that begins at `start` in the buffer.
    fn seal(&mut self, start: usize, how: Compression) -> Handle {
        let offset = self.written + start as u64;
        let checksum = format::seal(&mut self.out, start, self.salt, offset, how);
        self.contents.update(&checksum.to_le_bytes());
        Handle { offset, len: self.offset() - offset }
    }

    /// Writes what is in the buffer, in one call.
    fn flush(&mut self) -> Result<()> {
        self.file.append(&self.out)?;
        self.written += self.out.len() as u64;
        self.out.clear();
        // A value of hundreds of MiB leaves no such buffer behind.
        self.out.shrink_to(4 * CHUNK_BYTES);
        if self.written - self.written_back >= WRITEBACK_BYTES {
            self.file.start_writeback();
            self.written_back = self.written;
        }
        Ok(())
    }
}

impl fmt::Debug for TableBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableBuilder").field("path", &self.file.path()).finish_non_exhaustive()
    }
}

/// A short internal key that is not below `last` and below `next`. Between two entries of one user
/// key it is `last` itself: so a search for the entries of a key up to some sequence number goes to
/// the one block that holds the first of them.
fn separator(order: &Order, last: &[u8], next: Option<&[u8]>) -> Vec<u8> {
    let user_key = key::user_key(last);
    let next = next.map(key::user_key);
    let short = match next {
        Some(next) if order.compare(user_key, next) == Ordering::Less => order.separator(user_key, next),
        Some(_) => return last.to_vec(),
        None => order.successor(user_key),
    };
    let is_above = order.compare(user_key, &short) == Ordering::Less;
    let is_below = next.is_none_or(|next| order.compare(&short, next) == Ordering::Less);
    if is_above && is_below {
        // Before any entry that this key could have; it has none in this table.
        return key::internal(&short, key::trailer(MAX_SEQNO, Kind::Set));
    }
    last.to_vec()
}

#[cfg(test)]
mod tests {
    use super::separator;
    use crate::engine::lsm::comparator::Order;
    use crate::engine::lsm::key::{Kind, internal, trailer, user_key};

    #[test]
    fn what_stands_between_blocks_is_short_but_within_a_key() {
        let key = |user_key: &str, seqno| internal(user_key.as_bytes(), trailer(seqno, Kind::Set));
        let last = key("abcdefgh", 7);
        let between = |next: Option<&[u8]>| separator(&Order::Bytewise, &last, next);
        assert_eq!(user_key(&between(Some(&key("abxyz", 9)))), b"abd");
        assert_eq!(user_key(&between(None)), b"b");
        assert_eq!(between(Some(&key("abcdefgh", 5))), last, "of one user key");
        assert_eq!(between(Some(&key("abcdefgh0", 5))), last, "nothing shorter is between them");
    }
}
