//! A log, read record by record, and its end.

use super::input::Input;
use super::{disk, mend};
use kvs::record::frame::{self, CLOSE, HEADER_LEN, Header, Part};
use kvs::record::reader::{End, LogReader};
use kvs::vfs::Cause;
use kvs::vfs::dir::File;

const HEADER: Header = Header { store_id: disk::STORE, number: 3, kind: 1 };

const NAME: &str = "log";

/// What was read of a log.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    records: Vec<(u64, u8, Part, Vec<u8>)>,
    position: u64,
    is_closed: bool,
}

/// `choice:u8 durable:u16 records`. Records lie in the file, one behind the other, and are written again to
/// the same bytes; a torn log that is cut where the reader says is clean, and says the same.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, durable) = (input.byte(), u64::from(input.number()));
    let mut bytes = HEADER.encode().to_vec();
    bytes.extend_from_slice(input.rest());
    if choice & 1 == 1 {
        mend::log(&mut bytes, HEADER);
    }
    let durable = if choice & 2 == 2 { durable } else { 0 };
    let (found, end) = read(&bytes, durable);
    check(&found, &bytes);
    match end {
        Some(End::Clean) => assert_eq!(found.position, bytes.len() as u64),
        Some(End::Reserved) => assert!(bytes[found.position as usize..].iter().all(|&byte| byte == 0)),
        Some(End::Torn) => assert!(found.position >= durable && found.position < bytes.len() as u64),
        None => {}
    }
    if end.is_some() {
        bytes.truncate(found.position as usize);
        assert_eq!(read(&bytes, 0), (found, Some(End::Clean)), "cut where it was torn");
    }
}

fn read(bytes: &[u8], durable: u64) -> (Found, Option<End>) {
    let dir = disk::with(NAME, bytes);
    let file: File = dir.open(NAME, Cause::Recovery).expect("the file is there");
    let mut reader = LogReader::open(&file, file.len(), HEADER).expect("the header is whole");
    let mut records = Vec::new();
    while let Some((offset, record)) = reader.next_record().expect("a disk in memory does not fail") {
        records.push((offset, record.kind, record.part, record.payload.to_vec()));
    }
    let (position, is_closed) = (reader.position(), reader.is_closed());
    assert!(reader.damage().is_some() || position == bytes.len() as u64);
    (Found { records, position, is_closed }, reader.end(durable).ok())
}

/// Whether the records are those of the bytes, in whole groups.
fn check(found: &Found, bytes: &[u8]) {
    let (mut at, mut is_in_group) = (HEADER_LEN, false);
    for (offset, kind, part, payload) in &found.records {
        assert!(*offset >= at && *kind != CLOSE);
        let record = frame::decode(&bytes[*offset as usize..], HEADER.salt(), *offset).expect("it was read");
        assert_eq!((record.kind, record.part, record.payload), (*kind, *part, &payload[..]));
        let begins = matches!(part, Part::Full | Part::First);
        // A `Close` is passed over, whatever group it stands in.
        assert!(begins != is_in_group || *offset > at, "{part:?} at {offset}");
        is_in_group = matches!(part, Part::First | Part::Middle);
        at = offset + record.len as u64;
    }
    assert!(at <= found.position && found.position <= bytes.len() as u64);
}

/// A log with all that logs hold.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let groups: [&[(u8, Part)]; 3] =
        [&[(1, Part::Full)], &[(1, Part::First), (2, Part::Middle), (1, Part::Last)], &[(CLOSE, Part::Full)]];
    let mut log = HEADER.encode().to_vec();
    let mut seeds = Vec::new();
    for (i, group) in groups.iter().cycle().take(7).enumerate() {
        for record in *group {
            let (at, synced) = (log.len() as u64, (i % 2 == 1).then_some(log.len() as u64 / 2));
            frame::encode(&mut log, HEADER.salt(), at, *record, synced, &[b"payload ", &[i as u8; 3]]);
        }
        for choice in [0, 1, 3] {
            seeds.push([&[choice, 40, 0][..], &log[HEADER_LEN as usize..]].concat());
        }
    }
    log.extend_from_slice(&[0; 40]);
    seeds.push([&[0, 0, 0][..], &log[HEADER_LEN as usize..]].concat());
    seeds.push([&[1, 0, 0][..], &log[HEADER_LEN as usize..log.len() - 43], &[9; 5]].concat());
    seeds
}
