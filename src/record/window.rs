//! The part of a log that is being looked at: the file's map, or a buffer that moves along.

use crate::error::Result;
use crate::record::frame::{self, Bad, MAX_OVERHEAD, Record};
use crate::record::sums::Source;
use crate::vfs::dir::File;

/// Bytes that are read at once where a file is not mapped.
pub(super) const WINDOW: usize = 256 << 10;

/// Bytes that are read at once for a single look at a place far away.
const LOOK: usize = 4 << 10;

/// Shows a file up to a length, which it has at least.
#[derive(Debug)]
pub(super) struct Window<'f> {
    file: &'f File,
    len: u64,
    buf: Vec<u8>,
    /// Where `buf` stands in the file.
    start: u64,
    /// Bytes that are read at once.
    size: usize,
}

impl<'f> Window<'f> {
    /// Shows the first `len` bytes of a file, to one who walks through them.
    pub(super) fn new(file: &'f File, len: u64) -> Window<'f> {
        Window { file, len, buf: Vec::new(), start: 0, size: WINDOW }
    }

    /// The same bytes through a small window: for single looks at places far apart.
    pub(super) fn elsewhere(&self) -> Window<'f> {
        Window { size: LOOK, ..Window::new(self.file, self.len) }
    }

    /// The file.
    pub(super) fn file(&self) -> &'f File {
        self.file
    }

    /// Bytes that can be seen.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes at `offset`: `want` of them, or as many as the file has.
    pub(super) fn bytes(&mut self, offset: u64, want: usize) -> Result<&[u8]> {
        let want = self.up_to_the_end(offset, want);
        // Asked twice: the borrow checker does not see that the first answer is not kept.
        if self.file.mapped(offset, want).is_some() {
            return Ok(self.file.mapped(offset, want).unwrap_or_default());
        }
        Ok(&self.held(offset, want)?[..want])
    }

    /// The bytes at `offset`, as many as there are without reading more: [`MAX_OVERHEAD`] at least, or as
    /// many as the file has.
    pub(super) fn ahead(&mut self, offset: u64) -> Result<&[u8]> {
        let all = self.up_to_the_end(offset, usize::MAX);
        if self.file.mapped(offset, all).is_some() {
            return Ok(self.file.mapped(offset, all).unwrap_or_default());
        }
        self.held(offset, all.min(MAX_OVERHEAD))
    }

    fn up_to_the_end(&self, offset: u64, want: usize) -> usize {
        (want as u64).min(self.len.saturating_sub(offset)) as usize
    }

    /// What the buffer has from `offset` on, and it has `want` bytes: it moves there if need be.
    fn held(&mut self, offset: u64, want: usize) -> Result<&[u8]> {
        let is_held = offset >= self.start && offset + want as u64 <= self.start + self.buf.len() as u64;
        if !is_held {
            self.buf.resize(self.up_to_the_end(offset, want.max(self.size)), 0);
            self.start = offset;
            if let Err(error) = self.file.read_exact_at(&mut self.buf, offset) {
                self.buf.clear();
                return Err(error);
            }
        }
        Ok(&self.buf[(offset - self.start) as usize..])
    }

    /// The record at `offset`, if there is a valid one.
    pub(super) fn checked(&mut self, offset: u64, salt: u32) -> Result<std::result::Result<Record<'_>, Bad>> {
        let limit = self.len.saturating_sub(offset);
        let len = match frame::record_len(self.bytes(offset, MAX_OVERHEAD)?, limit) {
            Ok(len) => len,
            Err(bad) => return Ok(Err(bad)),
        };
        Ok(frame::decode(self.bytes(offset, len)?, salt, offset))
    }

    /// The record at `offset`, which was found valid before.
    pub(super) fn record(&mut self, offset: u64) -> Result<Record<'_>> {
        let file = self.file;
        let limit = self.len.saturating_sub(offset);
        let changed = |bad: Bad| file.corruption(offset, format!("{bad}, on reading it again"));
        let len = frame::record_len(self.bytes(offset, MAX_OVERHEAD)?, limit).map_err(changed)?;
        frame::decode_verified(self.bytes(offset, len)?).map_err(changed)
    }
}

impl Source for Window<'_> {
    type Error = crate::error::Error;

    fn checksum(&mut self, seed: u32, from: u64, to: u64) -> Result<u32> {
        let (mut sum, mut at) = (seed, from);
        while at < to {
            let bytes = self.bytes(at, self.size.min((to - at) as usize))?;
            sum = crc32c::crc32c_append(sum, bytes);
            at += bytes.len() as u64;
        }
        Ok(sum)
    }
}

const _: () = assert!(MAX_OVERHEAD < LOOK && LOOK < WINDOW);
