//! The bytes of a file that may be damaged, seen through a window that moves along.

use crate::error::Result;
use crate::record::sums::Source;
use crate::vfs::Cause;
use crate::vfs::dir::{Dir, File};
use std::convert::Infallible;

/// Bytes that are read at once when somebody walks through a file.
pub(super) const WALK: usize = 256 << 10;

/// Bytes that are tried one by one where a larger read has failed.
const BLOCK: u64 = 4 << 10;

/// So many unreadable blocks are named; more are counted only by what they break.
const NAMED: usize = 1000;

/// A file, read piece by piece.
///
/// Reading never fails: a block that the disk can not read counts as zeros, which no checksum takes for
/// data, and is noted in [`Bytes::unreadable`]. The file is not mapped: another program may cut it
/// while it is looked at, and a map would end the process then.
#[derive(Debug)]
pub(super) struct Bytes {
    file: File,
    len: u64,
    buf: Vec<u8>,
    /// Where `buf` stands in the file.
    start: u64,
    window: usize,
    /// Where blocks of `buf` begin that could not be read, and where they end.
    bad: Vec<(u64, u64)>,
    unreadable: Vec<(u64, String)>,
}

impl Bytes {
    /// Opens a file of `dir`, to walk through.
    pub(super) fn open(dir: &Dir, name: &str) -> Result<Bytes> {
        Ok(Bytes::of(dir.open(name, Cause::Inspect)?, WALK))
    }

    /// The same file through a small window: for single looks at places far apart.
    pub(super) fn elsewhere(&self) -> Bytes {
        Bytes::of(self.file.clone(), BLOCK as usize)
    }

    /// Looks through a window of another size from here on; says which it was before. Gives back what a larger
    /// one has held.
    pub(super) fn set_window(&mut self, window: usize) -> usize {
        (self.buf, self.start) = (Vec::new(), 0);
        self.bad.clear();
        std::mem::replace(&mut self.window, window)
    }

    fn of(file: File, window: usize) -> Bytes {
        let len = file.len();
        let (buf, bad, unreadable) = (Vec::new(), Vec::new(), Vec::new());
        Bytes { file, len, buf, start: 0, window, bad, unreadable }
    }

    /// Bytes in the file, when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes at `offset`: `want` of them, or as many as the file has.
    pub(super) fn get(&mut self, offset: u64, want: usize) -> &[u8] {
        let want = (want as u64).min(self.len.saturating_sub(offset)) as usize;
        let held = offset >= self.start && offset + want as u64 <= self.start + self.buf.len() as u64;
        if !held {
            self.fill(offset, want);
        }
        let from = (offset.saturating_sub(self.start)) as usize;
        self.buf.get(from..from + want).unwrap_or_default()
    }

    /// The `want` bytes at `offset`, if the file has as many and all of them can be read.
    pub(super) fn get_whole(&mut self, offset: u64, want: usize) -> Option<&[u8]> {
        let end = offset.checked_add(want as u64)?;
        if self.get(offset, want).len() < want || self.bad.iter().any(|&(from, to)| from < end && offset < to)
        {
            return None;
        }
        Some(self.get(offset, want))
    }

    fn fill(&mut self, offset: u64, want: usize) {
        let len = (want.max(self.window) as u64).min(self.len.saturating_sub(offset));
        self.buf.clear();
        self.bad.clear();
        self.buf.resize(len as usize, 0);
        self.start = offset;
        if self.file.read_exact_at(&mut self.buf, offset).is_err() {
            self.fill_by_blocks();
        }
    }

    /// After a failed read: what can be read of it, block by block.
    fn fill_by_blocks(&mut self) {
        let mut done = 0;
        while done < self.buf.len() {
            let at = self.start + done as u64;
            let len = ((BLOCK - at % BLOCK) as usize).min(self.buf.len() - done);
            let block = &mut self.buf[done..done + len];
            if let Err(error) = self.file.read_exact_at(block, at) {
                block.fill(0);
                self.bad.push((at, at + len as u64));
                if self.unreadable.len() < NAMED && !self.unreadable.iter().any(|(known, _)| *known == at) {
                    self.unreadable.push((at, error.to_string()));
                }
            }
            done += len;
        }
    }

    /// CRC-32C of the bytes from `from` up to `to`, begun with `seed`.
    pub(super) fn checksum(&mut self, seed: u32, from: u64, to: u64) -> u32 {
        let (mut sum, mut at) = (seed, from);
        let to = to.min(self.len);
        while at < to {
            let want = (to - at).min(self.window as u64) as usize;
            sum = crc32c::crc32c_append(sum, self.get(at, want));
            at += want as u64;
        }
        sum
    }

    /// Whether nothing but zeros stands from `from` up to `to`.
    pub(super) fn is_zero(&mut self, from: u64, to: u64) -> bool {
        let mut at = from;
        while at < to.min(self.len) {
            let want = (to - at).min(self.window as u64) as usize;
            if self.get(at, want).iter().any(|&byte| byte != 0) {
                return false;
            }
            at += want as u64;
        }
        true
    }

    /// Blocks that the disk could not read: where, and what it said.
    pub(super) fn unreadable(&self) -> &[(u64, String)] {
        &self.unreadable
    }
}

impl Source for Bytes {
    type Error = Infallible;

    fn checksum(&mut self, seed: u32, from: u64, to: u64) -> std::result::Result<u32, Infallible> {
        Ok(self.checksum(seed, from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;
    use crate::vfs::dir::Dir;
    use crate::vfs::memory::SimDisk;
    use crate::vfs::{Cause, Vfs};
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn a_window_shows_what_the_file_holds() {
        let disk = SimDisk::new();
        let content: Vec<u8> = (0..20_000u32).map(|i| (i % 251) as u8).collect();
        disk.create(Path::new("/f"), Cause::Log).unwrap().append(&content).unwrap();
        let mut walk = Bytes::open(&Dir::new(Arc::new(disk), Path::new("/")), "f").unwrap();
        let mut look = walk.elsewhere();
        for at in [0, 7, 4090, 19_990, 3, 19_999, 20_000, 30_000] {
            let end = content.len().min(at + 16);
            let expected = content.get(at..end).unwrap_or_default();
            assert_eq!(walk.get(at as u64, 16), expected, "{at}");
            assert_eq!(look.get(at as u64, 16), expected, "{at}");
        }
        assert_eq!(look.checksum(5, 100, 17_000), crc32c::crc32c_append(5, &content[100..17_000]));
        assert!(!walk.is_zero(0, 20_000) && walk.is_zero(0, 1));
    }
}
