//! Compression of blocks: LZ4 and Zstandard behind one pair of functions.
//!
//! ```text
//! compressed := uncompressed_len:u32 bytes
//! ```
//!
//! A block that does not shrink by an eighth is kept as it is: reading it is then cheaper.

use crate::engine::lsm::options::Compression;
use crate::engine::lsm::table::format::MAX_BLOCK_LEN;
use std::cell::RefCell;
use std::fmt;

/// Zstandard's fastest ordinary level.
const ZSTD_LEVEL: i32 = 1;

/// LZ4 makes at most 255 bytes of one: a length beyond that is not believed.
const LZ4_RATIO: usize = 255;

/// Bytes of the length in front.
const LEN: usize = 4;

/// Compresses block after block.
pub struct Compressor {
    compression: Compression,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    out: Vec<u8>,
}

impl Compressor {
    /// One that compresses in this way.
    pub fn new(compression: Compression) -> Compressor {
        let zstd = match compression {
            Compression::Zstd => zstd::bulk::Compressor::new(ZSTD_LEVEL).ok(),
            _ => None,
        };
        Compressor { compression, zstd, out: Vec::new() }
    }

    /// The compressed form of `block`, if that is worth it, and how it was made.
    pub fn compress(&mut self, block: &[u8]) -> Option<(Compression, &[u8])> {
        let bound = match self.compression {
            Compression::None => return None,
            Compression::Lz4 => lz4_flex::block::get_maximum_output_size(block.len()),
            Compression::Zstd => zstd::zstd_safe::compress_bound(block.len()),
        };
        self.out.clear();
        self.out.resize(LEN + bound, 0);
        self.out[..LEN].copy_from_slice(&u32::try_from(block.len()).ok()?.to_le_bytes());
        let target = &mut self.out[LEN..];
        let len = match &mut self.zstd {
            Some(zstd) => zstd.compress_to_buffer(block, target).ok()?,
            None => lz4_flex::block::compress_into(block, target).ok()?,
        };
        let shrunk = LEN + len <= block.len() - block.len() / 8;
        shrunk.then(|| (self.compression, &self.out[..LEN + len]))
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("compression", &self.compression).finish_non_exhaustive()
    }
}

thread_local! {
    /// A context of Zstandard is large: each thread keeps one.
    static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Puts the uncompressed form of `bytes`, whose checksum has been found right, into `out`; says in words
/// what is wrong with them.
pub fn decompress(compression: Compression, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let (len, packed) = bytes.split_first_chunk::<LEN>().ok_or("a compressed block is cut")?;
    let len = u32::from_le_bytes(*len) as usize;
    let plausible = match compression {
        Compression::Lz4 => packed.len().saturating_mul(LZ4_RATIO),
        _ => MAX_BLOCK_LEN,
    };
    if len > MAX_BLOCK_LEN.min(plausible) {
        return Err("a compressed block claims an impossible length");
    }
    out.clear();
    out.try_reserve(len).map_err(|_| "a compressed block is larger than the memory")?;
    out.resize(len, 0);
    let found = match compression {
        Compression::None => return Err("a block that is not compressed was taken for one that is"),
        Compression::Lz4 => lz4_flex::block::decompress_into(packed, out).ok(),
        Compression::Zstd => ZSTD.with_borrow_mut(|zstd| {
            if zstd.is_none() {
                *zstd = zstd::bulk::Decompressor::new().ok();
            }
            zstd.as_mut()?.decompress_to_buffer(packed, &mut out[..]).ok()
        }),
    };
    if found == Some(len) { Ok(()) } else { Err("a compressed block does not unfold") }
}

#[cfg(test)]
mod tests {
    use super::{Compressor, decompress};
    use crate::engine::lsm::options::Compression;

    #[test]
    fn what_is_compressed_comes_back_and_noise_is_left_alone() {
        let text = b"the quick brown fox ".repeat(300);
        let noise: Vec<u8> =
            (0..4096u32).flat_map(|n| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()).to_le_bytes()).collect();
        for compression in [Compression::Lz4, Compression::Zstd] {
            let mut compressor = Compressor::new(compression);
            assert!(compressor.compress(&noise).is_none());
            let (how, packed) = compressor.compress(&text).unwrap();
            assert!(how == compression && packed.len() < 400);
            let mut out = Vec::new();
            decompress(how, packed, &mut out).unwrap();
            assert!(out == text);
            for cut in 0..packed.len() {
                assert!(decompress(how, &packed[..cut], &mut out).is_err(), "{how:?} cut at {cut}");
            }
            for len in [text.len() - 1, text.len() + 1, u32::MAX as usize] {
                let mut forged = packed.to_vec();
                forged[..4].copy_from_slice(&(len as u32).to_le_bytes());
                assert!(decompress(how, &forged, &mut out).is_err(), "{how:?} {len}");
                assert!(out.capacity() < 1 << 20, "{}", out.capacity());
            }
        }
        assert!(Compressor::new(Compression::None).compress(&text).is_none());
    }
}
