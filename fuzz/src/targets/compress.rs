//! A compressed block, of LZ4 and of Zstandard.

use super::input::Input;
use kvs::engine::lsm::options::Compression;
use kvs::engine::lsm::table::compress::{Compressor, Packed};

/// `choice:u8 bytes`: bytes are a compressed block, or something to compress. What is compressed comes back;
/// no length is believed that the bytes can not have.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let how = if choice & 1 == 1 { Compression::Zstd } else { Compression::Lz4 };
    let bytes = input.rest();
    let _ = unfold(how, bytes);
    if choice & 2 == 2 {
        let text = bytes.repeat(1 + usize::from(choice >> 4));
        let mut compressor = Compressor::new(how);
        if let Some((_, packed)) = compressor.compress(&text) {
            assert_eq!(unfold(how, packed), Ok(text));
        }
    }
}

fn unfold(how: Compression, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let packed = Packed::new(how, bytes)?;
    let mut out = vec![0; packed.len];
    packed.unfold(&mut out).map(|()| out)
}

/// Blocks of both kinds.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let text = b"the quick brown fox jumps over ".repeat(8);
    let mut seeds = Vec::new();
    for (choice, how) in [(0, Compression::Lz4), (1, Compression::Zstd)] {
        for text in [&text[..], &[0; 600], &[&text[..], &[7; 300]].concat()] {
            let mut compressor = Compressor::new(how);
            let (_, packed) = compressor.compress(text).expect("it shrinks");
            seeds.push([&[choice], packed].concat());
        }
        seeds.push([&[choice | 2 | 0x70], &text[..40]].concat());
    }
    seeds
}
