//! Checkpoints: a second store, equal at one moment and independent from then on.

use crate::common::engines::Store;
use crate::common::words::Count;
use crate::common::words::{expect_many, fill, fill_many, pairs, text};
use kvs::engine::range::KeyRange;
use kvs::error::Error;

on_every_kept_engine!([
    a_checkpoint_equals_its_source,
    a_checkpoint_of_an_empty_store_is_an_empty_store,
    a_checkpoint_and_its_source_do_not_touch_each_other,
    a_checkpoint_survives_the_compaction_of_its_source,
    a_checkpoint_makes_missing_directories,
    a_checkpoint_does_not_go_where_something_is,
    a_checkpoint_can_be_checkpointed,
    a_checkpoint_opens_beside_its_open_source,
]);

/// The state of the store at `path`.
fn at(store: &Store, path: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs(&*store.open_at(&store.beside(path)).unwrap(), KeyRange::all())
}

fn a_checkpoint_equals_its_source(store: &mut Store) {
    fill_many(&**store, 300, 100, 1);
    fill_many(&**store, 150, 100, 2);
    store.remove(b"key0007").unwrap();
    store.checkpoint(&store.beside("copy")).unwrap();
    assert_eq!(at(store, "copy"), pairs(&**store, KeyRange::all()));
    let copy = store.open_at(&store.beside("copy")).unwrap();
    assert_eq!(copy.key_count(), 299);
    assert!(copy.stats().unwrap().seqno >= 299);
}

fn a_checkpoint_of_an_empty_store_is_an_empty_store(store: &mut Store) {
    store.checkpoint(&store.beside("copy")).unwrap();
    let copy = store.open_at(&store.beside("copy")).unwrap();
    assert_eq!(text(&*copy), "");
    fill(&*copy, "a=1");
    assert_eq!((text(&*copy), text(&**store)), ("a=1".into(), "".into()));
}

fn a_checkpoint_and_its_source_do_not_touch_each_other(store: &mut Store) {
    fill(&**store, "a=1 b=1");
    store.checkpoint(&store.beside("copy")).unwrap();
    fill(&**store, "a=source c=source");
    let copy = store.open_at(&store.beside("copy")).unwrap();
    assert_eq!(text(&*copy), "a=1 b=1");
    fill(&*copy, "a=copy -b d=copy");
    drop(copy);
    store.reopen();
    assert_eq!(text(&**store), "a=source b=1 c=source");
    let copy = store.open_at(&store.beside("copy")).unwrap();
    assert_eq!(text(&*copy), "a=copy d=copy");
}

fn a_checkpoint_survives_the_compaction_of_its_source(store: &mut Store) {
    fill_many(&**store, 200, 200, 1);
    store.checkpoint(&store.beside("copy")).unwrap();
    fill_many(&**store, 200, 200, 2);
    store.compact().unwrap();
    let copy = store.open_at(&store.beside("copy")).unwrap();
    expect_many(&*copy, 200, 200, 1);
    copy.compact().unwrap();
    expect_many(&*copy, 200, 200, 1);
    store.reopen();
    expect_many(&**store, 200, 200, 2);
}

fn a_checkpoint_makes_missing_directories(store: &mut Store) {
    fill(&**store, "a=1");
    store.checkpoint(&store.beside("backups").join("monday").join("early")).unwrap();
    let copy = store.open_at(&store.beside("backups").join("monday").join("early")).unwrap();
    assert_eq!(text(&*copy), "a=1");
}

fn a_checkpoint_does_not_go_where_something_is(store: &mut Store) {
    fill(&**store, "a=1");
    store.checkpoint(&store.beside("copy")).unwrap();
    let before = store.disk().list(&store.beside("copy")).unwrap();
    fill(&**store, "a=2");
    let error = store.checkpoint(&store.beside("copy")).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert_eq!(store.disk().list(&store.beside("copy")).unwrap(), before);
    store.checkpoint(&store.path()).unwrap_err();
    assert_eq!(text(&*store.open_at(&store.beside("copy")).unwrap()), "a=1");
    fill(&**store, "a=3");
    assert_eq!(text(&**store), "a=3", "a refused checkpoint is no failure of the store");
}

fn a_checkpoint_can_be_checkpointed(store: &mut Store) {
    fill(&**store, "a=1");
    store.checkpoint(&store.beside("child")).unwrap();
    let child = store.open_at(&store.beside("child")).unwrap();
    fill(&*child, "b=2");
    child.checkpoint(&store.beside("grandchild")).unwrap();
    drop(child);
    assert_eq!(text(&*store.open_at(&store.beside("grandchild")).unwrap()), "a=1 b=2");
}

fn a_checkpoint_opens_beside_its_open_source(store: &mut Store) {
    let past = store.snapshot().unwrap();
    fill(&**store, "a=1");
    store.checkpoint(&store.beside("copy")).unwrap();
    let copy = store.open_at(&store.beside("copy")).unwrap();
    fill(&**store, "a=2");
    assert_eq!((text(&past), text(&*copy), text(&**store)), ("".into(), "a=1".into(), "a=2".into()));
}
