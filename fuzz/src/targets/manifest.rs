//! A whole manifest: all edits of a log, and going on with it.

use super::edit;
use super::input::Input;
use super::{disk, mend};
use kvs::engine::bitcask::segment::SegmentMeta;
use kvs::engine::filename::MANIFEST;
use kvs::engine::lsm::version::edit::LiveFile;
use kvs::engine::manifest::{self, EDIT, Edit, LOG_KIND, Manifest};
use kvs::record::frame::{self, HEADER_LEN, Header, Part};
use kvs::record::reader::End;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

const HEADER: Header = Header { store_id: disk::STORE, number: 1, kind: LOG_KIND };

/// `choice:u8 records`. A manifest that can be read can be gone on with; once it is closed it is read again
/// to the same files, and ends cleanly.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let mut bytes = HEADER.encode().to_vec();
    bytes.extend_from_slice(input.rest());
    if choice & 2 == 2 {
        mend::log(&mut bytes, HEADER);
    }
    match choice & 1 {
        0 => replay::<SegmentMeta>(&bytes),
        _ => replay::<LiveFile>(&bytes),
    }
}

fn replay<F: Serialize + DeserializeOwned + Clone + Debug + PartialEq>(bytes: &[u8]) {
    let dir = disk::with(MANIFEST, bytes);
    let Ok(read) = manifest::read::<F>(&dir, disk::STORE) else { return };
    assert!(read.end <= bytes.len() as u64);
    let (live, next) = (read.files.live.clone(), read.files.next_number);
    let mut going_on = Manifest::resume(&dir, read).expect("a disk in memory does not fail");
    going_on.close().expect("a disk in memory does not fail");
    let again = manifest::read::<F>(&dir, disk::STORE).expect("it was closed");
    assert_eq!((again.files.live, again.files.next_number, again.how), (live, next, End::Clean));
}

fn log<F: Serialize + DeserializeOwned>(edits: &[Edit<F>]) -> Vec<u8> {
    let mut log = HEADER.encode().to_vec();
    for edit in edits {
        let at = log.len() as u64;
        let synced = (at > HEADER_LEN).then_some(at);
        frame::encode(&mut log, HEADER.salt(), at, (EDIT, Part::Full), synced, &[&edit.encode()]);
    }
    log.split_off(HEADER_LEN as usize)
}

/// Manifests of both engines: whole, with a torn edit, and closed.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (engine, log) in [(0, log(&edit::segments())), (1, log(&edit::trees()))] {
        seeds.push([&[engine], &log[..]].concat());
        seeds.push([&[engine | 2], &log[..]].concat());
        seeds.push([&[engine], &log[..log.len() - 9]].concat());
        let mut closed = log;
        let at = HEADER_LEN + closed.len() as u64;
        frame::encode(&mut closed, HEADER.salt(), at, (frame::CLOSE, Part::Full), Some(at), &[]);
        seeds.push([&[engine], &closed[..]].concat());
    }
    seeds
}
