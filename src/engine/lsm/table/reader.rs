//! Reads the blocks of one table's file, and believes none before its checksum.

use crate::engine::filename;
use crate::engine::lsm::options::Compression;
use crate::engine::lsm::table::cache::CachedBlock;
use crate::engine::lsm::table::compress::Packed;
use crate::engine::lsm::table::format::{self, BadFooter, FOOTER_LEN, FORMAT, Footer, Handle, Salt};
use crate::engine::lsm::table::shelf::Shelf;
use crate::error::{Error, Result};
use crate::sync::atomic::Ordering::Relaxed;
use crate::vfs::Cause;
use crate::vfs::dir::File;
use std::cell::Cell;
use std::sync::Arc;

/// A buffer for reading that is larger than this is not kept.
const MAX_SCRATCH: usize = 1 << 20;

thread_local! {
    /// For blocks on their way from the disk.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A block whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// It is not compressed.
    Plain(&'a [u8]),
    /// It is.
    Packed(Packed<'a>),
}

/// The open file of a table.
#[derive(Debug)]
pub struct BlockReader {
    shelf: Arc<Shelf>,
    file: File,
    salt: Salt,
    /// Where the blocks end.
    end: u64,
    /// Whether blocks are likely to be plain: they are then read to where they stay.
    is_plain: bool,
}

impl BlockReader {
    /// Opens the file of table `number`, and reads its footer.
    pub fn open(shelf: &Arc<Shelf>, number: u64, cause: Cause) -> Result<(BlockReader, Footer)> {
        let file = shelf.dir.open(&filename::table(number), cause)?;
        if shelf.mmap {
            file.map(file.len());
        }
        let too_short = || file.corruption(file.len(), "too short for a table");
        let end = file.len().checked_sub(FOOTER_LEN as u64).ok_or_else(too_short)?;
        let salt = Salt::new(shelf.store_id, number);
        let reader = BlockReader { shelf: shelf.clone(), file, salt, end, is_plain: false };
        let footer = reader.footer()?;
        Ok((reader, footer))
    }

    /// Tells it that blocks are likely not to be compressed. One that is will be read none the less.
    pub fn expect_plain(&mut self) {
        self.is_plain = true;
    }

    /// Reads the footer.
    pub fn footer(&self) -> Result<Footer> {
        let mut bytes = [0; FOOTER_LEN];
        self.file.read_exact_at(&mut bytes, self.end)?;
        Footer::decode(&bytes, self.salt, self.end).map_err(|bad| match bad {
            BadFooter::Damaged(reason) => self.file.corruption(self.end, reason),
            BadFooter::Unknown(found) => {
                Error::UnknownFormat { path: self.file.path().to_path_buf(), found, known: FORMAT }
            }
        })
    }

    /// What it shares with the other tables of its store.
    #[inline]
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Where the checksums begin.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// Where the blocks end, and the footer begins.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Reads a block and verifies it. The handle lies within the file.
    pub fn read(&self, handle: Handle) -> Result<CachedBlock> {
        let len = handle.len as usize;
        self.shelf.counters.count_read(handle.len);
        if let Some(bytes) = self.file.mapped(handle.offset, len) {
            return self.unfold(bytes, handle);
        }
        if self.is_plain {
            return self.read_plain(handle);
        }
        let mut scratch = SCRATCH.take();
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        let bytes = &mut scratch[..len];
        let block = self.file.read_exact_at(bytes, handle.offset).and_then(|()| self.unfold(bytes, handle));
        if scratch.len() <= MAX_SCRATCH {
            SCRATCH.set(scratch);
        }
        block
    }

    /// Reads a block to where it stays, trailer and all, so that it need not be copied there.
    fn read_plain(&self, handle: Handle) -> Result<CachedBlock> {
        let fill = |room: &mut [u8]| self.file.read_exact_at(room, handle.offset);
        let mut block = CachedBlock::new(handle.len as usize, fill)?;
        let body_len = match self.unseal(&block, handle)? {
            Body::Plain(body) => body.len(),
            Body::Packed(_) => return self.unfold(&block, handle),
        };
        block.truncate(body_len);
        Ok(block)
    }

    /// Fills `buf` with what stands at `offset`, unverified. By a call, mapped or not: the system then
    /// reads ahead too.
    pub fn read_ahead(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.shelf.counters.bytes_read.fetch_add(buf.len() as u64, Relaxed);
        self.file.read_exact_at(buf, offset)
    }

    /// The block in bytes that were read from its place.
    fn unfold(&self, bytes: &[u8], handle: Handle) -> Result<CachedBlock> {
        let packed = match self.unseal(bytes, handle)? {
            Body::Plain(body) => return Ok(CachedBlock::from(body)),
            Body::Packed(packed) => packed,
        };
        CachedBlock::new(packed.len, |room| packed.unfold(room))
            .map_err(|reason| self.damaged(handle, reason))
    }

    /// Verifies a block that was read from its place.
    #[inline]
    pub fn unseal<'a>(&self, bytes: &'a [u8], handle: Handle) -> Result<Body<'a>> {
        let damaged = |reason| self.damaged(handle, reason);
        let sealed = format::unseal(bytes, self.salt, handle.offset).map_err(damaged)?;
        match sealed.compression {
            Compression::None => Ok(Body::Plain(sealed.body)),
            how => Packed::new(how, sealed.body).map(Body::Packed).map_err(damaged),
        }
    }

    /// Verifies a block, and puts it into `plain`, uncompressed.
    pub fn unseal_into(&self, bytes: &[u8], handle: Handle, plain: &mut Vec<u8>) -> Result<()> {
        match self.unseal(bytes, handle)? {
            Body::Plain(body) => {
                plain.clear();
                plain.extend_from_slice(body);
                Ok(())
            }
            Body::Packed(packed) => {
                plain.resize(packed.len, 0);
                packed.unfold(plain).map_err(|reason| self.damaged(handle, reason))
            }
        }
    }

    /// Damage at a block.
    #[cold]
    pub fn damaged(&self, at: Handle, reason: &str) -> Error {
        self.file.corruption(at.offset, reason)
    }

    /// A block whose checksum is right, and which says what can not be.
    #[cold]
    pub fn malformed(&self, at: Handle) -> Error {
        self.damaged(at, "a block that is whole and yet makes no sense")
    }
}
