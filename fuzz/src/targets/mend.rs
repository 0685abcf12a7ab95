//! Makes checksums right. A fuzzer hardly ever guesses one: without this it would never come past the
//! first check of a file, and nothing behind it would be tried.

use kvs::codec::Reader;
use kvs::engine::lsm::table::block::Block;
use kvs::engine::lsm::table::format::{self, FOOTER_LEN, FORMAT, Handle, Salt};
use kvs::record::frame::{self, HEADER_LEN, Header};

/// Gives a log the header that it should have, and each of its records the right checksum, as far as
/// one follows the other.
pub(crate) fn log(bytes: &mut [u8], header: Header) {
    let Some(head) = bytes.first_chunk_mut::<{ HEADER_LEN as usize }>() else { return };
    *head = header.encode();
    let mut at = HEADER_LEN as usize;
    while let Ok(len) = frame::record_len(&bytes[at..], (bytes.len() - at) as u64) {
        record(&mut bytes[at..at + len], header.salt(), at as u64);
        at += len;
    }
}

/// Gives a record that stands at `offset` the right checksum.
pub(crate) fn record(bytes: &mut [u8], salt: u32, offset: u64) {
    if let Some((sum, body)) = bytes.split_first_chunk_mut::<4>() {
        *sum = crc32c::crc32c_append(frame::seed(salt, offset), body).to_le_bytes();
    }
}

/// Gives a file whose last four bytes are the checksum of the others the right one.
pub(crate) fn whole(bytes: &mut [u8]) {
    if let Some((body, sum)) = bytes.split_last_chunk_mut::<4>() {
        *sum = crc32c::crc32c(body).to_le_bytes();
    }
}

/// Gives the footer of a table, and every block that can be reached from there, the right checksum.
pub(crate) fn table(bytes: &mut [u8], salt: Salt) {
    let Some(end) = bytes.len().checked_sub(FOOTER_LEN) else { return };
    footer(&mut bytes[end..], salt, end as u64);
    let [top, properties] = handles(&bytes[end..]);
    block(bytes, end, properties, salt);
    block(bytes, end, top, salt);
    for [index, filter] in entries(bytes, end, top) {
        block(bytes, end, filter, salt);
        block(bytes, end, index, salt);
        for [data, _] in entries(bytes, end, index) {
            block(bytes, end, data, salt);
        }
    }
}

/// Gives a footer that stands at `offset` its format, its checksum and its magic number.
pub(crate) fn footer(bytes: &mut [u8], salt: Salt, offset: u64) {
    let Some(bytes) = bytes.first_chunk_mut::<FOOTER_LEN>() else { return };
    let (body, magic) = bytes.split_at_mut(FOOTER_LEN - 8);
    magic.copy_from_slice(format::MAGIC);
    let (body, sum) = body.split_at_mut(FOOTER_LEN - 12);
    body[FOOTER_LEN - 16..].copy_from_slice(&FORMAT.to_le_bytes());
    sum.copy_from_slice(&salt.checksum(offset, body).to_le_bytes());
}

/// Where a footer says that the top index and the properties are.
fn handles(footer: &[u8]) -> [Handle; 2] {
    let mut reader = Reader::new(footer);
    let mut handle = || Handle { offset: reader.u64().unwrap_or(0), len: reader.u64().unwrap_or(0) };
    [handle(), handle()]
}

fn block(bytes: &mut [u8], end: usize, at: Handle, salt: Salt) {
    if at.within(end as u64).is_none() {
        return;
    }
    let block = &mut bytes[at.offset as usize..at.end() as usize];
    if let Some((body, sum)) = block.split_last_chunk_mut::<4>() {
        *sum = salt.checksum(at.offset, body).to_le_bytes();
    }
}

/// The blocks to which an index leads, one or two for each entry.
fn entries(bytes: &[u8], end: usize, index: Handle) -> Vec<[Handle; 2]> {
    if index.within(end as u64).is_none() {
        return Vec::new();
    }
    let body = &bytes[index.offset as usize..index.end() as usize - format::TRAILER_LEN];
    let Some(block) = Block::new(body) else { return Vec::new() };
    let read = |i| {
        let entry = block.entry(block.restart(i)?)?;
        let mut reader = Reader::new(block.value(&entry)?);
        let mut handle =
            || Handle { offset: reader.varint().unwrap_or(0), len: reader.varint().unwrap_or(0) };
        Some([handle(), handle()])
    };
    (0..block.restarts()).map_while(read).collect()
}
