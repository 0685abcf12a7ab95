//! An index of a table: read into memory, and searched.

use super::input::Input;
use kvs::codec::Reader;
use kvs::engine::lsm::comparator::Order;
use kvs::engine::lsm::key::{self, Kind, internal, seek_trailer, trailer};
use kvs::engine::lsm::table::block::{Block, BlockBuilder, Target};
use kvs::engine::lsm::table::cache::CachedBlock;
use kvs::engine::lsm::table::format::Handle;
use kvs::engine::lsm::table::index::Index;
use std::cmp::Ordering;

/// `choice:u8 end:u16 target block`. Every handle lies in the table; in an index whose keys are in order a
/// search finds what looking at each of them finds.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let order = if input.byte() & 1 == 1 { Order::Reverse } else { Order::Bytewise };
    let end = u64::from(input.number());
    let mut targets = vec![(input.bytes().to_vec(), seek_trailer(u64::from(input.byte())))];
    let bytes = input.rest();
    let Some(index) = Index::new(CachedBlock::from(bytes), &order, end) else { return };
    let keys = keys(bytes, index.len());
    for i in 0..index.len() {
        let handle = index.handle(i).expect("there is such an entry");
        assert!(handle.end() <= end);
        let mut value = index.value(i).expect("there is such an entry");
        assert_eq!(Handle::decode(&mut value, end), Some(handle));
    }
    assert!(index.handle(index.len()).is_none() && index.value(index.len()).is_none());
    let is_sorted = keys.windows(2).all(|pair| order.compare_internal(&pair[0], &pair[1]) == Ordering::Less);
    targets.extend(keys.iter().take(4).map(|key| (key::user_key(key).to_vec(), key::split(key).1)));
    for (user_key, trailer) in &targets {
        let target = Target { user_key, trailer: *trailer };
        let found = index.seek(&order, target).expect("every entry has been looked at");
        assert!(found <= index.len());
        if is_sorted {
            let expected = keys.iter().position(|key| !target.is_above(&order, key)).unwrap_or(keys.len());
            assert_eq!(found, expected, "{target:?} in {keys:?}");
        }
    }
}

fn keys(bytes: &[u8], len: usize) -> Vec<Vec<u8>> {
    let block = Block::new(bytes).expect("it is an index");
    (0..len).map(|i| block.key_at_restart(i).expect("it is an index").0.to_vec()).collect()
}

/// Indexes: with handles, and with two for each entry, as at the top.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for keys in [&["a", "ab", "b"][..], &["prefix-long-1", "prefix-long-2", "prefix-lonh"], &[""]] {
        let (mut builder, mut out) = (BlockBuilder::new(1), Vec::new());
        for (i, key) in keys.iter().enumerate() {
            let mut value = Vec::new();
            Handle { offset: 100 * i as u64, len: 100 }.encode(&mut value);
            Handle { offset: 1000, len: 64 }.encode(&mut value);
            assert!(Handle::decode(&mut Reader::new(&value), 1064).is_some());
            builder.add(&mut out, &internal(key.as_bytes(), trailer(7, Kind::Set)), &value);
        }
        let _ = builder.finish(&mut out);
        for choice in [0, 1] {
            seeds.push([&[choice, 0xff, 0x0f, 2][..], b"ab\x05", &out].concat());
        }
    }
    seeds
}
