//! A whole write-ahead log of the LSM tree.

use super::input::Input;
use super::{disk, mend};
use kvs::codec;
use kvs::engine::batch::WriteBatch;
use kvs::engine::filename;
use kvs::engine::lsm::key::MAX_SEQNO;
use kvs::engine::lsm::wal::{BATCH, header, replay};
use kvs::record::frame::{self, HEADER_LEN, Part};
use kvs::record::reader::LogReader;
use kvs::vfs::Cause;

const NUMBER: u64 = 3;

/// `choice:u8 first_seqno:u8 records`. Sequence numbers follow each other without a gap, whatever the log
/// holds.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, first) = (input.byte(), u64::from(input.byte()));
    let header = header(disk::STORE, NUMBER);
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(input.rest());
    if choice & 1 == 1 {
        mend::log(&mut bytes, header);
    }
    let dir = disk::with(&filename::wal(NUMBER), &bytes);
    let file = dir.open(&filename::wal(NUMBER), Cause::Recovery).expect("the file is there");
    let mut reader = LogReader::open(&file, file.len(), header).expect("the header is whole");
    let mut before = None;
    let last = replay(&mut reader, &file, first, |seqno, op| {
        assert!(seqno >= first && seqno <= MAX_SEQNO && op.key().len() <= 65_535);
        assert!(before.is_none_or(|before| seqno == before + 1));
        before = Some(seqno);
    });
    if let Ok(last) = last {
        assert_eq!(last, before.unwrap_or(first.saturating_sub(1)));
    }
}

/// Logs of some batches.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let header = header(disk::STORE, NUMBER);
    let mut log = header.encode().to_vec();
    for i in 0..4u8 {
        let mut batch = WriteBatch::new();
        batch.set(&[b'k', i], &[i; 20]);
        batch.remove(b"gone");
        let mut first = Vec::new();
        codec::put_varint(&mut first, 5 + 2 * u64::from(i));
        let at = log.len() as u64;
        frame::encode(&mut log, header.salt(), at, (BATCH, Part::Full), None, &[&first, batch.as_bytes()]);
    }
    [[0, 5], [1, 1], [1, 5]].map(|head| [&head[..], &log[HEADER_LEN as usize..]].concat()).to_vec()
}
