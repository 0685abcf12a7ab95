//! Bugs that were found, each with its story. A test here failed once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
mod common;

use common::engines::Store;
use common::words::{fill, get, some};
use kvs::engine::kind::EngineKind;
use kvs::engine::lsm::options::LsmOptions;
use kvs::engine::options::{Access, OpenOptions};
use kvs::error::Error;
use kvs::vfs::fault::{At, Call, Errno, Fault, FaultDisk, Lasting};
use std::sync::Arc;

on_every_kept_engine!([a_reader_can_be_synced]);

// Where files are not mapped, so that every read can be made to fail.
on_engine!(unmapped_bitcask, BITCASK, [a_swap_that_can_not_read_the_old_value_does_not_poison]);
on_engine!(unmapped_lsm, LSM, [a_swap_that_can_not_read_the_old_value_does_not_poison]);

on_engine!(inline_lsm, LSM, [a_flush_that_fills_level_0_is_followed_by_a_compaction]);

/// A swap reads the old value. When that read failed, the engine took it for a failed write and
/// refused all writes from then on, and every other writer of the same commit group got the error
/// too. But nothing was written, so nothing is in doubt: the caller's read failed, and that is all.
fn a_swap_that_can_not_read_the_old_value_does_not_poison(store: &mut Store) {
    fill(&**store, "a=1 b=2");
    store.flush().unwrap();
    store.close();
    let disk = FaultDisk::new(store.disk().clone());
    let options = OpenOptions { disk: Arc::new(disk.clone()), ..store.options() };
    let engine = store.open_with(&store.path(), options, &[]).unwrap();

    disk.rule(At::first(Call::Read, ""), Fault::Fail(Errno::Io), Lasting::Sticky);
    let error = engine.swap(b"a", Some(b"3")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(disk.faults(), 1);

    engine.set(b"c", b"4").unwrap();
    if store.kind() == EngineKind::Bitcask {
        assert!(engine.remove(b"b").unwrap(), "asks the keydir, not the disk");
    }
    assert_eq!(engine.stats().unwrap().poisoned, None);
    disk.heal();
    assert_eq!(get(&*engine, "a"), some("1"), "a swap that failed changes nothing");
    assert_eq!(engine.swap(b"a", Some(b"3")).unwrap().unwrap(), "1");
}

/// A reader has acknowledged nothing, so all of that is durable; it was told that it may not write.
/// Code that syncs every store before it lets go of it failed on readers.
fn a_reader_can_be_synced(store: &mut Store) {
    fill(&**store, "a=1");
    store.close();
    let image = store.image();
    let options = OpenOptions { access: Access::Read, ..store.options() };
    store.open_with(&store.path(), options, &[]).unwrap().sync().unwrap();
    assert_eq!(store.image(), image);
}

/// A flush asked for a compaction, and only a write looked whether one was asked for. A store that was
/// flushed and then only read kept a full level 0, which every get had to look through.
fn a_flush_that_fills_level_0_is_followed_by_a_compaction(store: &mut Store) {
    let level_0 = |store: &Store| {
        let stats = store.stats().unwrap();
        stats.files.iter().filter(|file| file.level == Some(0)).count()
    };
    let full = LsmOptions::default().level0_tables;
    for flushed in 1..full {
        fill(&**store, "a=1 b=2");
        store.flush().unwrap();
        assert_eq!(level_0(store), flushed);
    }
    fill(&**store, "a=1 b=2");
    store.flush().unwrap();
    assert_eq!(level_0(store), 0);
}
