//! The checksum of any range of a file, in constant time: what a search behind damage needs.
//!
//! Behind damage no length can be trusted, so the search tries every offset, and what it finds there may
//! claim to be a record of many megabytes. Reading each of them would cost the square of the file.
//!
//! A CRC is linear. With `P(x)` the checksum of the file's first `x` bytes and `shift(c, n)` what `c`
//! becomes when `n` zeros follow:
//!
//! ```text
//! P(b)          = shift(P(a), b - a) ^ crc(a..b)
//! append(s, ab) = shift(s, b - a)    ^ crc(a..b)  =  shift(s ^ P(a), b - a) ^ P(b)
//! ```
//!
//! So one pass that keeps `P` at every 4 KiB (1 MiB of memory for 1 GiB) answers every later question
//! with two short reads.

use crate::inspect::bytes::Bytes;

const EVERY: u64 = 4 << 10;

/// Checksums of a file's beginnings.
#[derive(Debug)]
pub(super) struct Sums {
    /// `marks[i]` is the checksum of the bytes from `base` up to `base + i * EVERY`.
    marks: Vec<u32>,
    base: u64,
    /// For the two ends of a range.
    near: Bytes,
    far: Bytes,
}

impl Sums {
    /// Reads the file from `base` to its end, once.
    pub(super) fn build(bytes: &Bytes, base: u64) -> Sums {
        let (mut near, far) = (bytes.elsewhere(), bytes.elsewhere());
        let (mut marks, mut at) = (vec![0], base);
        while at + EVERY <= bytes.len() {
            marks.push(near.checksum(marks.last().copied().unwrap_or(0), at, at + EVERY));
            at += EVERY;
        }
        Sums { marks, base, near, far }
    }

    /// CRC-32C of the bytes from `from`, which is not below the base, up to `to`, begun with `seed`.
    pub(super) fn checksum(&mut self, seed: u32, from: u64, to: u64) -> u32 {
        let before = upto(&self.marks, self.base, &mut self.near, from);
        let whole = upto(&self.marks, self.base, &mut self.far, to);
        crc32c::crc32c_combine(seed ^ before, whole, (to - from) as usize)
    }
}

fn upto(marks: &[u32], base: u64, bytes: &mut Bytes, at: u64) -> u32 {
    let index = (((at - base) / EVERY) as usize).min(marks.len() - 1);
    bytes.checksum(marks[index], base + index as u64 * EVERY, at)
}

#[cfg(test)]
mod tests {
    use super::{EVERY, Sums};
    use crate::inspect::bytes::Bytes;
    use crate::vfs::dir::Dir;
    use crate::vfs::memory::SimDisk;
    use crate::vfs::{Cause, Vfs};
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn any_range_has_the_checksum_that_reading_it_gives() {
        let disk = SimDisk::new();
        let content: Vec<u8> = (0..5 * EVERY + 77).map(|i| (i * i % 253) as u8).collect();
        disk.create(Path::new("/f"), Cause::Log).unwrap().append(&content).unwrap();
        let bytes = Bytes::open(&Dir::new(Arc::new(disk), Path::new("/")), "f").unwrap();
        let mut sums = Sums::build(&bytes, 100);
        let ends = [100, 101, 4195, 4196, 4197, 9000, 20_556, 20_557];
        for from in ends {
            for to in ends.into_iter().filter(|to| *to >= from) {
                let expected = crc32c::crc32c_append(9, &content[from as usize..to as usize]);
                assert_eq!(sums.checksum(9, from, to), expected, "{from}..{to}");
            }
        }
    }
}
