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
//! with two short reads. `shift` is a product of polynomials over GF(2), modulo the CRC's own:
//! `c * x^(8n)`, and that power is put together from the squares `x, x^2, x^4, ...`.

/// What has bytes to make checksums of.
pub trait Source {
    /// Why bytes can not be read.
    type Error;

    /// CRC-32C of the bytes from `from` up to `to`, begun with `seed`. All of them are read.
    fn checksum(&mut self, seed: u32, from: u64, to: u64) -> Result<u32, Self::Error>;
}

/// Bytes from one mark to the next.
const EVERY: u64 = 4 << 10;

/// Checksums of a file's beginnings.
#[derive(Debug)]
pub struct Sums<S> {
    /// `marks[i]` is the checksum of the bytes from `base` up to `base + i * EVERY`.
    marks: Vec<u32>,
    base: u64,
    /// For the two ends of a range.
    near: S,
    far: S,
    /// `squares[k]` is `x^(2^k)`.
    squares: [u32; SQUARES],
}

/// Castagnoli's polynomial: the highest bit of a number is the coefficient of `x^0`.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Enough for the number of bits in any file.
const SQUARES: usize = 64 + 3;

impl<S: Source> Sums<S> {
    /// Reads all from `base` up to `end`, once. Two views of the same bytes: where a range begins and where it
    /// ends may be far apart.
    pub fn build([mut near, far]: [S; 2], base: u64, end: u64) -> Result<Sums<S>, S::Error> {
        let (mut marks, mut sum, mut at) = (vec![0], 0, base);
        while end.saturating_sub(at) >= EVERY {
            sum = near.checksum(sum, at, at + EVERY)?;
            marks.push(sum);
            at += EVERY;
        }
        Ok(Sums { marks, base, near, far, squares: squares() })
    }

    /// CRC-32C of the bytes from `from`, which is not below the base, up to `to`, begun with `seed`. Reads
    /// less than 4 KiB at either end.
    pub fn checksum(&mut self, seed: u32, from: u64, to: u64) -> Result<u32, S::Error> {
        let before = upto(&self.marks, self.base, &mut self.near, from)?;
        let whole = upto(&self.marks, self.base, &mut self.far, to)?;
        Ok(self.shift(seed ^ before, to - from) ^ whole)
    }

    /// What a checksum becomes when `len` zeros follow.
    fn shift(&self, sum: u32, len: u64) -> u32 {
        // From x^8 on: a byte has eight bits.
        let bits = (0..64).filter(|bit| len >> bit & 1 == 1);
        bits.fold(sum, |sum, bit| times(self.squares[bit + 3], sum))
    }
}

/// `x^0`, in the notation of a CRC: [`times`] it is what it was.
pub const ONE: u32 = 1 << 31;

/// A sum that became this one when one zero byte followed: it divided by `x^8`.
pub fn back(sum: u32) -> u32 {
    // The polynomial has a term `x^0`: where the sum has it too, it was added when `x^32` was taken away.
    (0..8).fold(sum, |sum, _| (sum ^ POLYNOMIAL & 0u32.wrapping_sub(sum >> 31)) << 1 | sum >> 31)
}

fn squares() -> [u32; SQUARES] {
    let mut squares = [1 << 30; SQUARES];
    for k in 1..SQUARES {
        squares[k] = times(squares[k - 1], squares[k - 1]);
    }
    squares
}

/// The product of two polynomials, modulo the CRC's own.
pub fn times(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    for bit in (0..32).rev() {
        // All ones where the coefficient is one: no branch that the processor could guess wrong.
        product ^= b & 0u32.wrapping_sub(a >> bit & 1);
        b = b >> 1 ^ POLYNOMIAL & 0u32.wrapping_sub(b & 1);
    }
    product
}

fn upto<S: Source>(marks: &[u32], base: u64, bytes: &mut S, at: u64) -> Result<u32, S::Error> {
    let index = (((at - base) / EVERY) as usize).min(marks.len() - 1);
    bytes.checksum(marks[index], base + index as u64 * EVERY, at)
}

#[cfg(test)]
mod tests {
    use super::{EVERY, ONE, Source, Sums, back, squares, times};
    use std::convert::Infallible;

    impl Source for &[u8] {
        type Error = Infallible;

        fn checksum(&mut self, seed: u32, from: u64, to: u64) -> Result<u32, Infallible> {
            Ok(crc32c::crc32c_append(seed, &self[from as usize..to as usize]))
        }
    }

    #[test]
    fn any_range_has_the_checksum_that_reading_it_gives() {
        let content: Vec<u8> = (0..5 * EVERY + 77).map(|i| (i * i % 253) as u8).collect();
        let Ok(mut sums) = Sums::build([&content[..]; 2], 100, content.len() as u64);
        let ends = [100, 101, 4195, 4196, 4197, 9000, 20_556, 20_557];
        for from in ends {
            for to in ends.into_iter().filter(|to| *to >= from) {
                let expected = crc32c::crc32c_append(9, &content[from as usize..to as usize]);
                let Ok(sum) = sums.checksum(9, from, to);
                assert_eq!(sum, expected, "{from}..{to}");
            }
        }
    }
    #[test]
    fn a_step_back_undoes_a_zero_byte() {
        let byte = squares()[3];
        for sum in [ONE, 1, 0, 0xdead_beef, u32::MAX] {
            assert_eq!(times(sum, ONE), sum);
            assert_eq!((back(times(sum, byte)), times(back(sum), byte)), (sum, sum));
        }
    }
}
