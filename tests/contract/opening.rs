//! Opening: what was written is there again, one writer at a time, and never the wrong engine.

use crate::common::engines::Store;
use crate::common::words::Count;
use crate::common::words::{expect_many, fill, fill_many, get, key, pairs, some, text, value, write};
use kvs::engine::KvsEngine;
use kvs::engine::kind::EngineKind;
use kvs::engine::options::{Access, OpenOptions};
use kvs::engine::range::KeyRange;
use kvs::error::{Error, Result};
use std::sync::Arc;

on_every_kept_engine!([
    opening_again_keeps_sets_removals_and_overwrites,
    opening_many_times_changes_nothing,
    opening_writes_nothing_but_what_it_must,
    an_empty_store_opens_again,
    what_is_removed_stays_removed,
    new_writes_win_over_old_ones_after_opening,
    seqno_never_goes_back,
    every_kind_of_write_is_kept,
    each_operation_can_be_the_last_before_closing,
    a_second_writer_is_locked_out,
    a_second_reader_is_locked_out_by_a_writer,
    readers_share_and_lock_writers_out,
    the_lock_goes_with_the_engine,
    a_directory_is_known_by_its_engine,
    another_engine_is_refused_and_touches_nothing,
    a_missing_store_is_not_made_unless_asked,
    a_store_is_made_below_missing_directories,
    reading_only_changes_not_a_byte,
    reading_only_refuses_every_write,
    unknown_settings_are_refused_by_name,
    foreign_files_are_left_alone,
]);

fn opening_again_keeps_sets_removals_and_overwrites(store: &mut Store) {
    fill(&**store, "a=1 b=2 c=3 d=4");
    fill(&**store, "a=5 -c");
    store.reopen();
    assert_eq!(text(&**store), "a=5 b=2 d=4");
    assert_eq!(get(&**store, "c"), None);
}

fn opening_many_times_changes_nothing(store: &mut Store) {
    fill_many(&**store, 100, 100, 1);
    fill_many(&**store, 50, 100, 1);
    for _ in 0..10 {
        store.reopen();
        expect_many(&**store, 100, 100, 1);
    }
}

/// A store that is opened and closed a thousand times must not grow.
fn opening_writes_nothing_but_what_it_must(store: &mut Store) {
    fill_many(&**store, 100, 100, 1);
    for _ in 0..5 {
        store.reopen();
    }
    let (files, bytes) = (store.files().len(), store.disk_bytes());
    for _ in 0..30 {
        store.reopen();
    }
    assert!(store.files().len() <= files + 2, "{files} files, then {}", store.files().len());
    assert!(store.disk_bytes() <= bytes + 30 * 512, "{bytes} bytes, then {}", store.disk_bytes());
}

fn an_empty_store_opens_again(store: &mut Store) {
    for _ in 0..3 {
        store.reopen();
        assert_eq!(text(&**store), "");
    }
    fill(&**store, "a=1 -a");
    store.reopen();
    assert_eq!(text(&**store), "");
}

fn what_is_removed_stays_removed(store: &mut Store) {
    fill_many(&**store, 100, 100, 1);
    store.reopen();
    for i in 0..100 {
        assert!(store.remove(&key(i)).unwrap());
    }
    for _ in 0..3 {
        store.reopen();
        assert_eq!(text(&**store), "");
        store.compact().unwrap();
    }
}

fn new_writes_win_over_old_ones_after_opening(store: &mut Store) {
    for round in 0..8 {
        write(&**store, &format!("k={round} round{round}=x"));
        if round % 3 == 0 {
            store.compact().unwrap();
        }
        store.reopen();
        assert_eq!(get(&**store, "k"), some(round.to_string()));
    }
    store.compact().unwrap();
    store.reopen();
    assert_eq!(get(&**store, "k"), some("7"));
}

fn seqno_never_goes_back(store: &mut Store) {
    let mut last = 0;
    for words in ["a=1", "b=2", "-a", "-b", "c=3 -c", "d=4"] {
        write(&**store, words);
        let written = store.stats().unwrap().seqno;
        assert!(written > last, "{words}: {last} -> {written}");
        store.compact().unwrap();
        store.reopen();
        let opened = store.stats().unwrap().seqno;
        assert!(opened >= written, "{words}: {written}, opened again {opened}");
        last = opened;
    }
}

fn every_kind_of_write_is_kept(store: &mut Store) {
    store.set(b"set", b"1").unwrap();
    store.swap(b"swap", Some(b"2")).unwrap();
    write(&**store, "batch=3 gone=4 lost=5 left=6");
    store.remove(b"gone").unwrap();
    store.swap(b"lost", None).unwrap();
    write(&**store, "-left");
    store.reopen();
    assert_eq!(text(&**store), "batch=3 set=1 swap=2");
}

fn each_operation_can_be_the_last_before_closing(store: &mut Store) {
    type Operation = fn(&dyn KvsEngine) -> Result<()>;
    let operations: [Operation; 9] = [
        |store| store.set(b"k", b"v"),
        |store| store.swap(b"k", None).map(|_| ()),
        |store| store.remove(b"missing").map(|_| ()),
        |store| store.compact(),
        |store| store.sync(),
        |store| store.snapshot().map(|_| ()),
        |store| store.stats().map(|_| ()),
        |store| store.get(b"k").map(|_| ()),
        |store| store.scan(KeyRange::all()).map(|_| ()),
    ];
    fill_many(&**store, 50, 300, 1);
    for operation in operations.iter().chain(operations.iter().rev()) {
        store.reopen();
        operation(&**store).unwrap();
        store.remove(b"k").unwrap();
        operation(&**store).unwrap();
        store.reopen();
        store.remove(b"k").unwrap();
        expect_many(&**store, 50, 300, 1);
    }
}

fn with(store: &Store, access: Access) -> OpenOptions {
    OpenOptions { access, ..store.options() }
}

fn open(store: &Store, access: Access) -> Result<Arc<dyn KvsEngine>> {
    store.open_with(&store.path(), with(store, access), &[])
}

/// The error of an opening that must fail.
fn refusal(opened: Result<Arc<dyn KvsEngine>>) -> Error {
    opened.err().expect("the store must not open")
}

fn a_second_writer_is_locked_out(store: &mut Store) {
    fill(&**store, "a=1");
    let image = store.image();
    for access in [Access::Create, Access::Write] {
        let error = refusal(open(store, access));
        assert!(matches!(error, Error::Locked { .. }), "{error}");
    }
    assert_eq!(store.image(), image, "who loses writes nothing");
    fill(&**store, "b=2");
    assert_eq!(text(&**store), "a=1 b=2");
}

fn a_second_reader_is_locked_out_by_a_writer(store: &mut Store) {
    let error = refusal(open(store, Access::Read));
    assert!(matches!(error, Error::Locked { .. }), "{error}");
}

fn readers_share_and_lock_writers_out(store: &mut Store) {
    fill(&**store, "a=1");
    store.close();
    let one = open(store, Access::Read).unwrap();
    let two = open(store, Access::Read).unwrap();
    assert_eq!((text(&*one), text(&*two)), ("a=1".into(), "a=1".into()));
    assert!(matches!(refusal(open(store, Access::Write)), Error::Locked { .. }));
    drop(one);
    assert!(matches!(refusal(open(store, Access::Write)), Error::Locked { .. }));
    drop(two);
    assert_eq!(text(&*open(store, Access::Write).unwrap()), "a=1");
}

fn the_lock_goes_with_the_engine(store: &mut Store) {
    for i in 0..5 {
        store.set(&key(i), b"x").unwrap();
        store.close();
        let other = open(store, Access::Write).unwrap();
        assert!(other.remove(&key(i)).unwrap());
        drop(other);
        store.reopen();
    }
    assert_eq!(text(&**store), "");
}

fn a_directory_is_known_by_its_engine(store: &mut Store) {
    let detect = |name: &str| EngineKind::detect(store.disk().clone(), &store.beside(name)).unwrap();
    assert_eq!(detect("store"), Some(store.kind()));
    assert_eq!(detect("elsewhere"), None);
}

fn another_engine_is_refused_and_touches_nothing(store: &mut Store) {
    use kvs::engine::identity::Identity;
    use kvs::vfs::dir::Dir;
    fill(&**store, "a=1");
    store.close();
    let dir = Dir::new(store.disk().clone(), &store.path());
    Identity::new("another", Some(1)).install(&dir).unwrap();
    let image = store.image();
    for access in [Access::Create, Access::Write, Access::Read] {
        match refusal(open(store, access)) {
            Error::WrongEngine { found, wanted, .. } => {
                assert_eq!((found.as_str(), wanted.as_str()), ("another", store.kind().name()));
            }
            error => panic!("{error}"),
        }
    }
    assert_eq!(store.image(), image);
}

fn a_missing_store_is_not_made_unless_asked(store: &mut Store) {
    let missing = store.beside("missing");
    for access in [Access::Write, Access::Read] {
        let error = refusal(store.open_with(&missing, with(store, access), &[]));
        assert!(matches!(error, Error::NoStore { .. }), "{error}");
        assert!(store.disk().list(&missing).is_err(), "nothing was made");
    }
}

fn a_store_is_made_below_missing_directories(store: &mut Store) {
    let deep = store.beside("one").join("two").join("three");
    let made = store.open_at(&deep).unwrap();
    fill(&*made, "a=1");
    drop(made);
    assert_eq!(text(&*store.open_at(&deep).unwrap()), "a=1");
}

fn reading_only_changes_not_a_byte(store: &mut Store) {
    fill_many(&**store, 100, 100, 1);
    fill_many(&**store, 100, 100, 2);
    store.close();
    let image = store.image();
    let reader = open(store, Access::Read).unwrap();
    expect_many(&*reader, 100, 100, 2);
    expect_many(&reader.snapshot().unwrap(), 100, 100, 2);
    assert_eq!(reader.key_count(), 100);
    drop(reader);
    assert_eq!(store.image(), image);
}

fn reading_only_refuses_every_write(store: &mut Store) {
    fill(&**store, "a=1");
    store.close();
    let image = store.image();
    let reader = open(store, Access::Read).unwrap();
    let refused = [
        reader.set(b"a", b"2").unwrap_err(),
        reader.swap(b"a", Some(b"2")).unwrap_err(),
        reader.swap(b"a", None).unwrap_err(),
        reader.remove(b"a").unwrap_err(),
        reader.write(crate::common::words::batch("b=1 -a"), &Default::default()).unwrap_err(),
        reader.compact().unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, Error::ReadOnly), "{error}");
    }
    reader.sync().unwrap();
    assert_eq!(text(&*reader), "a=1");
    drop(reader);
    assert_eq!(store.image(), image);
}

fn unknown_settings_are_refused_by_name(store: &mut Store) {
    let settings = [("no_such_option".to_string(), "1".to_string())];
    let path = store.beside("missing");
    let error = refusal(store.open_with(&path, store.options(), &settings));
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert!(error.to_string().contains("no_such_option"), "{error}");
    assert!(store.disk().list(&path).is_err(), "nothing was made");
}

fn foreign_files_are_left_alone(store: &mut Store) {
    use kvs::vfs::Cause;
    let foreign = ["notes.md", "7.seg", "MANIFEST.old", "000007.seg.bak", "a.tmp"];
    for name in foreign {
        let file = store.disk().create(&store.path().join(name), Cause::Inspect).unwrap();
        file.append(b"not ours").unwrap();
    }
    fill_many(&**store, 100, 100, 1);
    fill_many(&**store, 100, 100, 2);
    for _ in 0..2 {
        store.compact().unwrap();
        store.reopen();
    }
    for name in foreign {
        assert_eq!(store.read_file(name).unwrap(), b"not ours", "{name}");
    }
    assert_eq!(pairs(&**store, KeyRange::of(..=key(0))), [(key(0), value(0, 100, 2))]);
}
