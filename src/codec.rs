//! Bytes on disk: fixed-width little-endian integers, varints, length-prefixed strings, and a
//! cursor that reads them back without ever trusting a length.
//!
//! A varint holds seven bits a byte, lowest first; the high bit says that more follow. Each number
//! has exactly one encoding: a trailing zero byte (`0x80 0x00`) is refused, so that equal numbers
//! are equal bytes.

/// The most bytes that a varint of a `u64` takes.
pub const MAX_VARINT_LEN: usize = 10;

/// Appends `n` as a varint: one byte below 128, two below 16,384, ... ten at most.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// How many bytes [`put_varint`] writes for `n`.
#[inline]
pub fn varint_len(n: u64) -> usize {
    (64 - (n | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends the length of `bytes` as a varint, then the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from the front of a slice. Every read is `None` when the bytes do not hold what is asked
/// for; nothing is allocated.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been read.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// Four bytes, little-endian.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*head))
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*head))
    }

    /// A varint; `None` if it is cut, longer than ten bytes, over 64 bits, or not in its one
    /// shortest form.
    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for i in 0..MAX_VARINT_LEN {
            let byte = *self.rest.get(i)?;
            let bits = u64::from(byte & 0x7f);
            if i == 9 && byte > 1 {
                return None;
            }
            n |= bits << (7 * i);
            if byte < 0x80 {
                if byte == 0 && i > 0 {
                    return None;
                }
                self.rest = &self.rest[i + 1..];
                return Some(n);
            }
        }
        None
    }

    /// Bytes behind their length, as [`put_bytes`] writes them.
    #[inline]
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.varint()?;
        self.take(usize::try_from(len).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, put_bytes, put_varint, varint_len};

    #[test]
    fn varints_round_trip_and_have_one_form() {
        for n in (0..64).flat_map(|s| [(1u64 << s) - 1, 1 << s, (1 << s) + 1]).chain([u64::MAX]) {
            let mut out = Vec::new();
            put_varint(&mut out, n);
            assert_eq!(out.len(), varint_len(n), "{n}");
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varint(), Some(n));
            assert!(reader.rest().is_empty());
            for cut in 0..out.len() {
                assert_eq!(Reader::new(&out[..cut]).varint(), None, "{n} cut at {cut}");
            }
        }
        assert_eq!(Reader::new(&[0x80, 0x00]).varint(), None, "an overlong zero");
        assert_eq!(Reader::new(&[0xff; 11]).varint(), None, "too long");
        let mut over = vec![0xff; 9];
        over.push(2);
        assert_eq!(Reader::new(&over).varint(), None, "more than 64 bits");
    }

    #[test]
    fn lengths_are_not_trusted() {
        let mut out = Vec::new();
        put_bytes(&mut out, b"hello");
        assert_eq!(Reader::new(&out).bytes(), Some(&b"hello"[..]));
        for cut in 0..out.len() {
            assert_eq!(Reader::new(&out[..cut]).bytes(), None);
        }
        let mut huge = Vec::new();
        put_varint(&mut huge, u64::MAX);
        assert_eq!(Reader::new(&huge).bytes(), None);
    }
}
