//! Logs taken apart, changed, and given right checksums again: damage that no checksum shows.

#![allow(dead_code, reason = "what one test file leaves unused, another uses")]

use crate::fault_support::engine::disk_of;
use crate::fault_support::store::STORE_ID;
use kvs::engine::filename::{self, FileName};
use kvs::engine::lsm::options::LsmOptions;
use kvs::engine::lsm::table::Table;
use kvs::engine::lsm::table::format::{MAGIC, Salt};
use kvs::engine::lsm::table::layout::{Region, RegionKind};
use kvs::engine::lsm::table::store::TableStore;
use kvs::record::frame::{self, HEADER_LEN, Header};
use kvs::vfs::Cause;
use kvs::vfs::dir::Dir;
use kvs::vfs::memory::image::Image;
use std::ops::Range;
use std::path::Path;

/// A record in the bytes of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Where it begins.
    pub(crate) offset: usize,
    /// Its bytes in all.
    pub(crate) len: usize,
    /// How much of the log it says was durable.
    pub(crate) synced: u64,
}

/// The records of a log that is whole.
pub(crate) fn records(log: &[u8]) -> Vec<Found> {
    let salt = Header::decode(log).expect("a log").salt();
    let mut found = Vec::new();
    let mut offset = HEADER_LEN as usize;
    while let Ok(record) = frame::decode(&log[offset..], salt, offset as u64) {
        found.push(Found { offset, len: record.len, synced: record.synced.unwrap_or(0) });
        offset += record.len;
    }
    found
}

/// Gives the record at `offset` the checksum that its bytes ask for now; of what there is of it, if it
/// claims to be longer than the log.
pub(crate) fn reseal(log: &mut [u8], offset: usize) {
    let salt = Header::decode(log).expect("a log").salt();
    let left = log.len() - offset;
    let len = frame::record_len(&log[offset..], left as u64).unwrap_or(left).max(4);
    let seed = crc32c::crc32c_append(salt, &(offset as u64).to_le_bytes());
    let sum = crc32c::crc32c_append(seed, &log[offset + 4..offset + len]);
    log[offset..offset + 4].copy_from_slice(&sum.to_le_bytes());
}

/// A part of a file with a checksum of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// All of it: the checksum stands at the end.
    Whole,
    /// The record of a log that begins here.
    Record(Found),
    /// A block of a table, or its footer.
    Region(Region, Salt),
}

impl Part {
    /// The parts of a file.
    pub(crate) fn of(path: &Path, content: &[u8]) -> Vec<Part> {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a file of ours");
        match filename::parse(name) {
            Some(FileName::Engine | FileName::Hint(_)) => vec![Part::Whole],
            Some(FileName::Table(number)) => {
                let salt = Salt::new(STORE_ID, number);
                regions(number, content).into_iter().map(|region| Part::Region(region, salt)).collect()
            }
            _ => records(content).into_iter().map(Part::Record).collect(),
        }
    }

    /// Where its bytes are that can be anything, as long as the checksum is right.
    pub(crate) fn range(&self, content: &[u8]) -> Range<usize> {
        match self {
            Part::Whole => 0..content.len() - 4,
            // Of a record: its length, then perhaps a claim, then the payload with its own lengths.
            Part::Record(record) => record.offset + 5..record.offset + record.len,
            Part::Region(region, _) => {
                region.at.offset as usize..region.at.end() as usize - sealed_by(region)
            }
        }
    }

    /// Where it ends.
    pub(crate) fn end(&self, content: &[u8]) -> usize {
        match self {
            Part::Whole => content.len(),
            Part::Record(record) => record.offset + record.len,
            Part::Region(region, _) => region.at.end() as usize,
        }
    }

    /// Makes its checksum right.
    pub(crate) fn reseal(&self, content: &mut [u8]) {
        match self {
            Part::Whole => reseal_whole(content),
            Part::Record(record) => reseal(content, record.offset),
            Part::Region(region, salt) => {
                let range = self.range(content);
                let sum = salt.checksum(region.at.offset, &content[range.clone()]);
                content[range.end..range.end + 4].copy_from_slice(&sum.to_le_bytes());
            }
        }
    }
}

/// What a part of a table ends with: its checksum, and in a footer the magic number behind it.
fn sealed_by(region: &Region) -> usize {
    if region.kind == RegionKind::Footer { 4 + MAGIC.len() } else { 4 }
}

/// The parts of a table that is whole.
pub(crate) fn regions(number: u64, content: &[u8]) -> Vec<Region> {
    let mut image = Image::default();
    image.put(format!("/{}", filename::table(number)), content);
    let dir = Dir::new(disk_of(&image), Path::new("/"));
    let store = TableStore::new(dir, STORE_ID, &LsmOptions::tiny());
    let layout = Table::open(store.shelf(), number, Cause::Inspect).expect("a whole table").layout();
    assert!(layout.damage.is_empty(), "{layout:?}");
    layout.regions
}

/// Gives a file whose last four bytes are the checksum of the others the right one.
pub(crate) fn reseal_whole(file: &mut [u8]) {
    let (body, sum) = file.split_last_chunk_mut::<4>().expect("a file with a checksum");
    *sum = crc32c::crc32c(body).to_le_bytes();
}

/// The lengths that have broken other engines, in every form that a length has on the disk. `left` is
/// how many bytes follow.
pub(crate) fn evil_lengths(left: u64) -> Vec<Vec<u8>> {
    let numbers = [0, 1, left, left + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, u64::MAX];
    let mut forms: Vec<Vec<u8>> = Vec::new();
    for number in numbers {
        let mut varint = Vec::new();
        kvs::codec::put_varint(&mut varint, number);
        forms.push(varint);
        forms.push(number.to_le_bytes().to_vec());
        forms.push((number as u32).to_le_bytes().to_vec());
        forms.push((number as u16).to_le_bytes().to_vec());
    }
    // Varints that no number has: too long, over 64 bits, without an end.
    forms.push(vec![0x80, 0x00]);
    forms.push([&[0xff; 9][..], &[0x02]].concat());
    forms.push(vec![0xff; 12]);
    forms.sort();
    forms.dedup();
    forms
}
