//! Golden texts of a tiny fixed store, byte by byte.
//!
//! `UPDATE_GOLDEN=1 cargo test --test inspect` writes them anew. `notes/formats.md` shows them.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics")]

use kvs::engine::KvsEngine;
use kvs::engine::batch::WriteBatch;
use kvs::engine::bitcask::Bitcask;
use kvs::engine::bitcask::options::BitcaskOptions;
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
fn damage_is_shown_as_far_as_it_makes_sense() {
    let disk = damaged(&tiny_store(), |image| image.edit("/db/000001.seg")[60] ^= 1);
    for (view, word) in VIEWS {
        golden(&format!("segment-damaged-{word}"), &text(&disk, "/db/000001.seg", view));
    }
}
