//! Golden texts of a tiny fixed store, byte by byte.
//!
//! `UPDATE_GOLDEN=1 cargo test --test inspect` writes them anew. `notes/formats.md` shows them.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics")]

use kvs::engine::KvsEngine;
use kvs::engine::batch::WriteBatch;
use kvs::engine::bitcask::Bitcask;
use kvs::engine::bitcask::options::BitcaskOptions;
use kvs::engine::lsm::Lsm;
use kvs::engine::lsm::options::{Compression, Compressions, LsmOptions};
use kvs::engine::options::{Access, OpenOptions, WriteOptions};
use kvs::inspect::{View, inspect};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::worker::Schedule;
use std::path::Path;
use std::sync::Arc;

const VIEWS: [(View, &str); 5] = [
    (View::Summary, "summary"),
    (View::Explain, "explain"),
    (View::Layout, "layout"),
    (View::Entries, "entries"),
    (View::Props, "props"),
];

fn open(disk: &SimDisk, access: Access) -> Bitcask {
    let open = OpenOptions {
        disk: Arc::new(disk.clone()),
        access,
        schedule: Schedule::Inline,
        store_id: Some(42),
        ..OpenOptions::default()
    };
    Bitcask::open(Path::new("/db"), open, BitcaskOptions::tiny()).unwrap()
}

/// A store with a sealed segment, its hint, and an active segment that was closed in an orderly way:
///
/// - 000001.seg: apple, then a batch of two, then a value of 1000 bytes: the close seals it;
/// - 000002.seg: apple again, durably, and banana removed.
fn tiny_store() -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk, Access::Create);
    store.set(b"apple", b"red").unwrap();
    let mut batch = WriteBatch::new();
    batch.set(b"banana", b"yellow");
    batch.set(b"cherry", b"");
    store.write(batch, &WriteOptions::default()).unwrap();
    store.set(b"melon", &[b'm'; 1000]).unwrap();
    drop(store);
    let store = open(&disk, Access::Write);
    let mut batch = WriteBatch::new();
    batch.set(b"apple", b"green");
    store.write(batch, &WriteOptions::durable()).unwrap();
    assert!(store.remove(b"banana").unwrap());
    drop(store);
    disk
}

fn open_tree(disk: &SimDisk, access: Access) -> Lsm {
    let open = OpenOptions {
        disk: Arc::new(disk.clone()),
        access,
        schedule: Schedule::Inline,
        store_id: Some(42),
        ..OpenOptions::default()
    };
    let compression = Compressions(vec![Compression::Lz4]);
    Lsm::open(Path::new("/db"), open, LsmOptions { compression, ..LsmOptions::tiny() }).unwrap()
}

/// An LSM tree with a table in level 0 and a log that was closed in an orderly way:
///
/// - 000003.sst: apple, a batch of two, and in a compressed block a value of 1000 bytes;
/// - 000002.wal: apple again, durably, and a batch that removes banana and sets cherry.
fn tiny_tree() -> SimDisk {
    let disk = SimDisk::new();
    let store = open_tree(&disk, Access::Create);
    store.set(b"apple", b"red").unwrap();
    let mut batch = WriteBatch::new();
    batch.set(b"banana", b"yellow");
    batch.set(b"cherry", b"");
    store.write(batch, &WriteOptions::default()).unwrap();
    store.set(b"melon", &[b'm'; 1000]).unwrap();
    store.flush().unwrap();
    let mut batch = WriteBatch::new();
    batch.set(b"apple", b"green");
    store.write(batch, &WriteOptions::durable()).unwrap();
    let mut batch = WriteBatch::new();
    batch.remove(b"banana");
    batch.set(b"cherry", b"black");
    store.write(batch, &WriteOptions::default()).unwrap();
    drop(store);
    disk
}

fn text(disk: &SimDisk, target: &str, view: View) -> String {
    let mut out = Vec::new();
    inspect(Arc::new(disk.clone()), Path::new(target), view, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Compares with the golden file, or writes it.
#[expect(clippy::disallowed_methods, reason = "golden files are on the real disk")]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let wide: Vec<_> =
        text.lines().filter(|line| line.chars().count() > 100 || line.ends_with(' ')).collect();
    assert!(wide.is_empty(), "{name}: wider than 100 columns, or blanks at the end: {wide:#?}");
    assert!(text == expected, "{} differs; UPDATE_GOLDEN=1 writes it anew. Now:\n{text}", path.display());
}

fn damaged(disk: &SimDisk, damage: impl FnOnce(&mut Image)) -> SimDisk {
    let mut image = disk.image();
    damage(&mut image);
    SimDisk::from_image(&image, Record::Off)
}

#[test]
fn every_view_of_every_file() {
    let disk = tiny_store();
    for (file, name) in [
        ("ENGINE", "engine"),
        ("MANIFEST", "manifest"),
        ("000001.seg", "segment-sealed"),
        ("000002.seg", "segment-active"),
        ("000001.hint", "hint"),
    ] {
        for (view, word) in VIEWS {
            golden(&format!("{name}-{word}"), &text(&disk, &format!("/db/{file}"), view));
        }
    }
    golden("store-summary", &text(&disk, "/db", View::Summary));
    golden("store-props", &text(&disk, "/db", View::Props));
}

#[test]
fn every_view_of_every_file_of_a_tree() {
    let disk = tiny_tree();
    for (file, name) in [("MANIFEST", "tree-manifest"), ("000002.wal", "wal"), ("000003.sst", "table")] {
        for (view, word) in VIEWS {
            golden(&format!("{name}-{word}"), &text(&disk, &format!("/db/{file}"), view));
        }
    }
    golden("tree-summary", &text(&disk, "/db", View::Summary));
    golden("tree-props", &text(&disk, "/db", View::Props));
}

#[test]
fn damage_to_a_table_is_shown_as_far_as_it_makes_sense() {
    let disk = damaged(&tiny_tree(), |image| image.edit("/db/000003.sst")[20] ^= 1);
    for (view, word) in VIEWS {
        golden(&format!("table-damaged-{word}"), &text(&disk, "/db/000003.sst", view));
    }
}

/// Without footer and top index the parts are searched for, and found, each as what it is.
#[test]
fn the_parts_of_a_table_are_found_without_its_indexes() {
    let disk = tiny_tree();
    let whole = text(&disk, "/db/000003.sst", View::Entries);
    let len = disk.image().get("/db/000003.sst").unwrap().len();
    let disk = damaged(&disk, |image| image.edit("/db/000003.sst")[len - 10] ^= 1);
    assert_eq!(text(&disk, "/db/000003.sst", View::Entries), whole);
    let props = text(&disk, "/db/000003.sst", View::Props);
    for line in ["sound=false", "parts_data_block=2", "parts_filter=1", "parts_index=1", "parts_top_index=1"]
    {
        assert!(props.lines().any(|found| found == line), "{line}: {props}");
    }
}

#[test]
fn damage_is_shown_as_far_as_it_makes_sense() {
    let disk = damaged(&tiny_store(), |image| image.edit("/db/000001.seg")[60] ^= 1);
    for (view, word) in VIEWS {
        golden(&format!("segment-damaged-{word}"), &text(&disk, "/db/000001.seg", view));
    }
}
