//! One edit of a manifest, of both engines.

use super::input::Input;
use kvs::engine::bitcask::segment::{Origin, Sealed, SegmentMeta, SegmentState};
use kvs::engine::lsm::version::edit::{LiveFile, TableMeta, WalMeta, WalState};
use kvs::engine::manifest::{Edit, Files};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// `engine:u8 edit`. What is read is written again to the same bytes, and has no more files than bytes.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() & 1 {
        0 => one::<SegmentMeta>(input.rest()),
        _ => one::<LiveFile>(input.rest()),
    }
}

fn one<F: Serialize + DeserializeOwned + Clone + Debug + PartialEq>(bytes: &[u8]) {
    let Some(edit) = Edit::<F>::decode(bytes) else { return };
    assert_eq!(edit.encode(), bytes, "{edit:?}");
    assert!(edit.add.len() + edit.remove.len() <= bytes.len());
    let mut files = Files::default();
    if files.apply(&edit).is_ok() {
        assert!(edit.remove.is_empty(), "nothing was live");
        assert!(files.live.len() <= edit.add.len());
        assert!(files.live.keys().all(|&number| number < files.next_number || number == u64::MAX));
    }
}

/// Edits as the engines write them.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = segments().iter().map(|edit| [&[0], &edit.encode()[..]].concat()).collect();
    seeds.extend(trees().iter().map(|edit| [&[1], &edit.encode()[..]].concat()));
    seeds
}

pub(crate) fn segments() -> Vec<Edit<SegmentMeta>> {
    let meta = |origin, first_seqno, state| SegmentMeta { origin, first_seqno, state };
    let sealed = Sealed { len: 4000, checksum: 0xabcd, last_seqno: 90, purged_upto: 80 };
    let sealed = meta(Origin::Merge, 1, SegmentState::Sealed(sealed));
    let active = meta(Origin::Log, 91, SegmentState::Active { durable: 32 });
    vec![
        Edit { next_number: 3, add: vec![(1, active.clone())], remove: vec![] },
        Edit { next_number: 4, add: vec![(1, sealed), (2, active)], remove: vec![1] },
    ]
}

pub(crate) fn trees() -> Vec<Edit<LiveFile>> {
    let wal = |state| LiveFile::Wal(WalMeta { first_seqno: 1, state });
    let table = LiveFile::Table(TableMeta {
        level: 1,
        len: 900,
        contents: 0x1234,
        smallest: b"a\x02\x05\0\0\0\0\0\0".to_vec(),
        largest: b"z\x02\x09\0\0\0\0\0\0".to_vec(),
        first_seqno: 5,
        last_seqno: 9,
        entries: 5,
        tombstones: 1,
        older: 1,
        raw_bytes: 70,
    });
    let sealed = WalState::Sealed { len: 300, checksum: 7, last_seqno: 9 };
    let begin = vec![LiveFile::store("bytewise", 0), (1, wal(WalState::Active { durable: 0 }))];
    vec![
        Edit { next_number: 2, add: begin, remove: vec![] },
        Edit {
            next_number: 3,
            add: vec![(1, wal(sealed)), (2, wal(WalState::Active { durable: 32 }))],
            remove: vec![],
        },
        Edit { next_number: 4, add: vec![(3, table), LiveFile::store("bytewise", 9)], remove: vec![1] },
    ]
}
