//! A block of a table: taken apart, searched, and held against a walk over all of its entries.

use super::disk::Pairs;
use super::input::Input;
use kvs::engine::lsm::comparator::Order;
use kvs::engine::lsm::key::{self, Kind, internal, seek_trailer, trailer};
use kvs::engine::lsm::table::block::{Block, BlockBuilder, Found, Target};
use std::cmp::Ordering;

/// Where an entry begins, its internal key, its value.
type Entries = Vec<(usize, Vec<u8>, Vec<u8>)>;

/// `choice:u8 targets bytes`: bytes are a block, or the entries of one that is built. A search never leaves
/// the block; in one that makes sense it finds what a walk from its beginning finds, and its entries make
/// a block of the same entries.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let order = if choice & 1 == 1 { Order::Reverse } else { Order::Bytewise };
    let mut targets = vec![(input.bytes().to_vec(), seek_trailer(u64::from(input.byte())))];
    let bytes = match choice & 2 {
        0 => input.rest().to_vec(),
        _ => build(&mut input, &order),
    };
    let Some(block) = Block::new(&bytes) else { return };
    assert!(block.end() <= bytes.len() && block.restarts() > 0);
    let entries = walk(&block).filter(|entries| is_sorted(entries, &order) && restarts_fit(&block, entries));
    for (_, key, _) in entries.iter().flatten().take(3) {
        let (user_key, trailer) = key::split(key);
        targets.extend([
            (user_key.to_vec(), trailer),
            (user_key.to_vec(), seek_trailer(key::seqno(trailer) / 2)),
        ]);
    }
    for (user_key, trailer) in &targets {
        let target = Target { user_key, trailer: *trailer };
        let found = search(&block, &order, target);
        if let Some(entries) = &entries {
            assert_eq!(found, expected(entries, &order, target), "{target:?} in {entries:?}");
        }
    }
    if let Some(entries) = entries {
        rebuild(&entries, usize::from(choice >> 4) + 1);
    }
}

/// What a search says: where the first entry that is not below the target begins, and what a get finds.
#[derive(Debug, PartialEq)]
struct Answer {
    seek: Option<usize>,
    find: Option<(Vec<u8>, u64)>,
}

/// `None` where the block makes no sense.
fn search(block: &Block<'_>, order: &Order, target: Target<'_>) -> Option<Answer> {
    let mut key = Vec::new();
    let seek = match block.seek(order, target, &mut key) {
        Some(Found::At(at, entry)) => {
            assert!(block.value(&entry).is_some() && !target.is_above(order, &key));
            Some(Some(at))
        }
        found => found.map(|_| None),
    };
    let find = block.find(order, target, &mut key);
    let find = find.map(|found| {
        found.map(|(entry, trailer)| (block.value(&entry).expect("it was found").to_vec(), trailer))
    });
    Some(Answer { seek: seek?, find: find? })
}

fn expected(entries: &Entries, order: &Order, target: Target<'_>) -> Option<Answer> {
    let first = entries.iter().find(|(_, key, _)| !target.is_above(order, key));
    let same = first.filter(|(_, key, _)| order.is_same(key::user_key(key), target.user_key));
    let find = same.map(|(_, key, value)| (value.clone(), key::split(key).1));
    Some(Answer { seek: first.map(|(at, ..)| *at), find })
}

/// Every entry from the beginning; `None` if they make no sense.
fn walk(block: &Block<'_>) -> Option<Entries> {
    let (mut entries, mut key, mut at) = (Vec::new(), Vec::new(), 0);
    while at < block.end() {
        let entry = block.entry(at)?;
        assert!(entry.next > at && entry.next <= block.end());
        block.assemble(&entry, &mut key)?;
        entries.push((at, key.clone(), block.value(&entry)?.to_vec()));
        at = entry.next;
    }
    Some(entries)
}

fn is_sorted(entries: &Entries, order: &Order) -> bool {
    entries.windows(2).all(|pair| order.compare_internal(&pair[0].1, &pair[1].1) == Ordering::Less)
}

/// Whether the restart points are entries with whole keys, in their order, the first one among them.
fn restarts_fit(block: &Block<'_>, entries: &Entries) -> bool {
    let mut rest = entries.iter();
    (0..block.restarts()).all(|i| {
        let Some((key, _)) = block.key_at_restart(i) else { return false };
        let Some(at) = block.restart(i) else { return false };
        (i > 0 || at == 0) && rest.any(|entry| entry.0 == at && entry.1 == key)
    })
}

/// `interval:u8 entry*`, of an entry `shared:u8 suffix:bytes seqno and kind:u8 value:bytes`; put in order.
fn build(input: &mut Input<'_>, order: &Order) -> Vec<u8> {
    let interval = input.below(8) + 1;
    let (mut keys, mut last) = (Pairs::new(), Vec::new());
    while !input.is_empty() && keys.len() < 24 {
        last.truncate(input.below(32));
        last.extend_from_slice(input.bytes());
        let number = input.byte();
        let kind = if number & 1 == 1 { Kind::Set } else { Kind::Remove };
        keys.push((internal(&last, trailer(u64::from(number >> 1), kind)), input.bytes().to_vec()));
    }
    keys.sort_by(|a, b| order.compare_internal(&a.0, &b.0));
    keys.dedup_by(|a, b| a.0 == b.0);
    let (mut builder, mut out) = (BlockBuilder::new(interval), Vec::new());
    keys.iter().for_each(|(key, value)| builder.add(&mut out, key, value));
    assert_eq!(builder.finish(&mut out), 0);
    let is_same = |entries: Entries| entries.into_iter().map(|(_, key, value)| (key, value)).eq(keys.clone());
    if !keys.is_empty() {
        assert!(Block::new(&out).and_then(|block| walk(&block)).is_some_and(is_same), "{keys:?}");
    }
    out
}

fn rebuild(entries: &Entries, interval: usize) {
    let (mut builder, mut out) = (BlockBuilder::new(interval), Vec::new());
    for (_, key, value) in entries {
        builder.add(&mut out, key, value);
    }
    let _ = builder.finish(&mut out);
    let again = Block::new(&out).and_then(|block| walk(&block));
    let parts =
        |entries: &Entries| -> Vec<_> { entries.iter().map(|(_, k, v)| (k.clone(), v.clone())).collect() };
    assert!(entries.is_empty() || again.as_ref().map(parts) == Some(parts(entries)));
}

/// Blocks as they lie, and entries to build blocks from.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for interval in [1usize, 3, 16] {
        let (mut builder, mut out) = (BlockBuilder::new(interval), Vec::new());
        for i in 0..10u64 {
            let key = format!("key-{:02}", i / 2);
            builder.add(&mut out, &internal(key.as_bytes(), trailer(9 - i % 2, Kind::Set)), &[i as u8; 5]);
        }
        let _ = builder.finish(&mut out);
        for choice in [0, 1, 0xf0] {
            seeds.push([&[choice, 6][..], b"key-03\x08", &out].concat());
        }
        let entry = b"\x04\x02ab\x11\x02xy\x05\x01c\x10\x00\x1f\x01d\x13\x01v\x1f\x00\x11\x00";
        for choice in [2, 3] {
            seeds.push([&[choice, 3][..], b"abc\x08", &[interval as u8], &entry.repeat(2)].concat());
        }
    }
    seeds
}
