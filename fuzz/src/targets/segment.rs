//! An entry of a Bitcask segment, and a whole segment.

use super::input::Input;
use super::{disk, mend};
use kvs::engine::batch::Op;
use kvs::engine::bitcask::replay::replay;
use kvs::engine::bitcask::segment::{DELETE, Entry, Origin, SET, Scratch, Sealed, Segment, SegmentMeta};
use kvs::engine::bitcask::segment::{SegmentState, Shelf};
use kvs::engine::filename;
use kvs::record::frame::{self, HEADER_LEN, Part, Record};
use kvs::vfs::Cause;
use std::sync::Arc;

const NUMBER: u64 = 3;

/// `choice:u8 bytes`: bytes are the payload of one record, or the records of a segment. What is read is
/// written again to the same bytes; what a replay tells is what a read at that place finds.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() {
        choice @ 0..16 => entry(choice, input.rest()),
        choice => segment(choice & 1 == 1, input.rest()),
    }
}

fn entry(kind: u8, payload: &[u8]) {
    let record = Record { kind, part: Part::Full, synced: None, payload, len: payload.len() + 6 };
    let Some(entry) = Entry::decode(&record) else { return };
    let mut scratch = Scratch::default();
    let (again, pieces) = entry.encode(&mut scratch);
    assert_eq!((again, pieces.concat()), (kind, payload.to_vec()));
}

fn meta(len: u64, checksum: u32) -> SegmentMeta {
    let sealed = Sealed { len, checksum, last_seqno: u64::MAX, purged_upto: 0 };
    SegmentMeta { origin: Origin::Log, first_seqno: 1, state: SegmentState::Sealed(sealed) }
}

fn segment(is_mended: bool, records: &[u8]) {
    let header = meta(0, 0).header(disk::STORE, NUMBER);
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(records);
    if is_mended {
        mend::log(&mut bytes, header);
    }
    let dir = disk::with(&filename::segment(NUMBER), &bytes);
    let shelf = Arc::new(Shelf::to_look(dir, disk::STORE));
    let meta = meta(bytes.len() as u64, crc32c::crc32c(&bytes));
    let segment = Arc::new(Segment::new(shelf.clone(), NUMBER, &meta));
    let mut at = HEADER_LEN;
    let told = replay(&shelf, &segment, Cause::Recovery, |entry, place| {
        assert!(u64::from(place.offset) >= at);
        at = u64::from(place.offset) + u64::from(place.len);
        if let Op::Set(key, value) = entry.op {
            let found = segment.read(place, key).expect("it was just read");
            assert_eq!(&found[..], value);
        }
        Ok(())
    });
    assert!(at <= bytes.len() as u64);
    assert!(told.is_err() || at <= segment.len());
}

/// Entries, and a segment of them.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let ops =
        [Op::Set(b"key", b"value"), Op::Remove(b"key"), Op::Set(b"", b""), Op::Set(&[7; 200], &[1; 300])];
    let header = meta(0, 0).header(disk::STORE, NUMBER);
    let (mut seeds, mut log) = (Vec::new(), header.encode().to_vec());
    for (seqno, op) in (127..).zip(ops) {
        let mut scratch = Scratch::default();
        let (kind, pieces) = Entry { seqno, op }.encode(&mut scratch);
        assert!(kind == SET || kind == DELETE);
        seeds.push([&[kind], &pieces.concat()[..]].concat());
        let at = log.len() as u64;
        frame::encode(&mut log, header.salt(), at, (kind, Part::Full), None, &pieces);
    }
    for choice in [16, 17] {
        seeds.push([&[choice], &log[HEADER_LEN as usize..]].concat());
    }
    seeds
}
