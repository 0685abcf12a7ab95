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

/// Zstandard makes at most 128 KiB of a block, which takes four bytes at least.
const ZSTD_RATIO: usize = (128 << 10) / 4;

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

/// A compressed block that may be unfolded.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    compression: Compression,
    bytes: &'a [u8],
    /// Bytes that it has uncompressed: what it says, and what it can have.
    pub len: usize,
}

impl<'a> Packed<'a> {
    /// Takes in bytes whose checksum has been found right; says in words what is wrong with them.
    pub fn new(compression: Compression, bytes: &'a [u8]) -> Result<Packed<'a>, &'static str> {
        let (len, bytes) = bytes.split_first_chunk::<LEN>().ok_or("a compressed block is cut")?;
        let len = u32::from_le_bytes(*len) as usize;
        let most = match compression {
            Compression::Lz4 => bytes.len().saturating_mul(LZ4_RATIO),
            // A frame has its length too, and both must be right.
            Compression::Zstd => frame_len(bytes).min(bytes.len().saturating_mul(ZSTD_RATIO)),
            Compression::None => 0,
        };
        match len > most.min(MAX_BLOCK_LEN) {
            true => Err("a compressed block claims an impossible length"),
            false => Ok(Packed { compression, bytes, len }),
        }
    }

    /// Puts the uncompressed block into `out`, which has [`Packed::len`] bytes.
    pub fn unfold(&self, out: &mut [u8]) -> Result<(), &'static str> {
        let found = match self.compression {
            Compression::Lz4 => lz4_flex::block::decompress_into(self.bytes, out).ok(),
            _ => ZSTD.with_borrow_mut(|zstd| {
                if zstd.is_none() {
                    *zstd = zstd::bulk::Decompressor::new().ok();
                }
                zstd.as_mut()?.decompress_to_buffer(self.bytes, out).ok()
            }),
        };
        if found == Some(self.len) { Ok(()) } else { Err("a compressed block does not unfold") }
    }
}

/// The uncompressed length that a frame of Zstandard says it has; 0 if it says none.
fn frame_len(bytes: &[u8]) -> usize {
    let len = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten().unwrap_or(0);
    usize::try_from(len).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Compressor, Packed};
    use crate::engine::lsm::options::Compression;

    #[test]
    fn what_is_compressed_comes_back_and_noise_is_left_alone() {
        let text = b"the quick brown fox ".repeat(300);
        let noise: Vec<u8> =
            (0..4096u32).flat_map(|n| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()).to_le_bytes()).collect();
        for compression in [Compression::Lz4, Compression::Zstd] {
            let mut compressor = Compressor::new(compression);
            assert!(compressor.compress(&noise).is_none());
            assert!(format!("{compressor:?}").contains(&format!("{compression:?}")));
            let half = [&noise[..], &vec![0; noise.len()]].concat();
            assert!(compressor.compress(&half).is_some(), "half of it is worth it");
            let tenth = [&noise[..], &vec![0; noise.len() / 10]].concat();
            assert!(compressor.compress(&tenth).is_none(), "less than an eighth is not");
            let (how, packed) = compressor.compress(&text).unwrap();
            assert!(how == compression && packed.len() < 400);
            let unfold = |bytes: &[u8]| {
                let packed = Packed::new(how, bytes)?;
                let mut out = vec![0; packed.len];
                packed.unfold(&mut out).map(|()| out)
            };
            assert!(unfold(packed).unwrap() == text);
            for cut in 0..packed.len() {
                assert!(unfold(&packed[..cut]).is_err(), "{how:?} cut at {cut}");
            }
            for len in [text.len() - 1, text.len() + 1] {
                let mut forged = packed.to_vec();
                forged[..4].copy_from_slice(&(len as u32).to_le_bytes());
                assert!(unfold(&forged).is_err(), "{how:?} {len}");
            }
            let mut forged = packed.to_vec();
            forged[..4].copy_from_slice(&u32::MAX.to_le_bytes());
            assert!(Packed::new(how, &forged).is_err(), "nothing is made ready for it");
        }
        assert!(Compressor::new(Compression::None).compress(&text).is_none());
    }

    /// Found by fuzzing (`compress`): the length in front was held against the one in the frame's own header
    /// alone. Fourteen bytes that say 256 MiB in both places had room made ready for 256 MiB, before the
    /// first block of the frame was looked at.
    #[test]
    fn a_frame_is_not_believed_to_hold_more_than_its_bytes_can_make() {
        let forged = |len: u32, blocks: &[u8]| {
            // A frame of one segment, whose length takes four bytes.
            let head = [&len.to_le_bytes()[..], &[0x28, 0xb5, 0x2f, 0xfd, 0xa0], &len.to_le_bytes()].concat();
            [&head[..], blocks].concat()
        };
        assert!(Packed::new(Compression::Zstd, &forged(256 << 20, &[1])).is_err());
        // A byte that is repeated 128 KiB times is as small as it gets, and is what it says.
        let run = forged(128 << 10, &[0x03, 0x00, 0x10, b'a']);
        let packed = Packed::new(Compression::Zstd, &run).unwrap();
        let mut out = vec![0; packed.len];
        assert_eq!(packed.unfold(&mut out), Ok(()));
        assert!(out.iter().all(|&byte| byte == b'a'));
    }
}
