//! A hint file.

use super::input::Input;
use super::{disk, mend};
use kvs::engine::bitcask::hint::{FIXED, Hint, HintBuilder, HintEntry, LOG_KIND};
use kvs::engine::bitcask::keydir::SHARDS;
use kvs::engine::bitcask::segment::Sealed;
use kvs::engine::filename;
use kvs::record::frame::{HEADER_LEN, Header};
use kvs::vfs::Cause;

const NUMBER: u64 = 3;

const SEALED: Sealed = Sealed { len: 5000, checksum: 0xabcd, last_seqno: 90, purged_upto: 0 };

/// `choice:u8 parts`: what stands behind the header and what binds a hint to its segment. A hint that is
/// accepted is written again to the same bytes, and leads into its segment.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let mut bytes = Header { store_id: disk::STORE, number: NUMBER, kind: LOG_KIND }.encode().to_vec();
    bytes.extend_from_slice(&SEALED.len.to_le_bytes());
    bytes.extend_from_slice(&SEALED.checksum.to_le_bytes());
    bytes.extend_from_slice(input.rest());
    if choice & 1 == 1 {
        parts(&mut bytes);
    }
    mend::whole(&mut bytes);
    let dir = disk::with(&filename::hint(NUMBER), &bytes);
    let Ok(hint) = Hint::load(&dir, disk::STORE, NUMBER, &SEALED, true) else { return };
    let mut again = HintBuilder::default();
    for shard in 0..SHARDS {
        for entry in hint.part(shard) {
            assert!(u64::from(entry.offset) + u64::from(entry.len) <= SEALED.len);
            again.add(shard, entry);
        }
    }
    assert_eq!(again.tombstone_bytes(), hint.tombstone_bytes);
    assert!(load(&again) == bytes, "one hint has one form");
}

/// Makes the lengths of the parts add up: what is left over goes into the last.
fn parts(bytes: &mut [u8]) {
    let Some(left) = bytes.len().checked_sub(FIXED + 4) else { return };
    let (mut left, lens) = (left as u32, &mut bytes[FIXED - 4 * SHARDS..FIXED]);
    let (lens, _) = lens.as_chunks_mut::<4>();
    for (i, len) in lens.iter_mut().enumerate() {
        let part = if i + 1 == SHARDS { left } else { u32::from_le_bytes(*len).min(left) };
        left -= part;
        *len = part.to_le_bytes();
    }
}

/// The file that a builder writes.
fn load(builder: &HintBuilder) -> Vec<u8> {
    let dir = disk::with("other", b"");
    builder.write(&dir, disk::STORE, NUMBER, &SEALED).expect("a disk in memory does not fail");
    dir.read(&filename::hint(NUMBER), u64::MAX, Cause::Inspect).expect("it was just written")
}

/// Hints: of nothing, of sets, of tombstones too.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut builder = HintBuilder::default();
    for i in 0..9u8 {
        let file = load(&builder);
        for choice in [0, 1] {
            seeds.push([&[choice], &file[HEADER_LEN as usize + 12..]].concat());
        }
        let key = vec![b'k'; usize::from(i) * 3];
        let entry =
            HintEntry { key: &key, offset: 32 + 40 * u32::from(i), len: 40, is_tombstone: i % 3 == 2 };
        builder.add(usize::from(i) * 7 % SHARDS, entry);
    }
    seeds
}
