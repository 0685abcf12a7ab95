//! Damaged stores: every bit, every cut, every length. Rows K of the catalogue of faults.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[macro_use]
mod fault_support {
    pub(crate) mod alloc;
    pub(crate) mod child;
    #[macro_use]
    pub(crate) mod engine;
    pub(crate) mod forge;
    pub(crate) mod judge;
    pub(crate) mod real;
    pub(crate) mod store;
}

use fault_support::engine::{empty_disk, refusal};
use fault_support::judge::{self, Judge, Tally};
use fault_support::store::{DIR, Model, contents, open, open_options};
use fault_support::{child, forge};
use kvs::engine::KvsEngine;
use kvs::engine::batch::WriteBatch;
use kvs::engine::bitcask::keydir::SHARDS;
use kvs::engine::event::{Event, Listener};
use kvs::engine::identity::Identity;
use kvs::engine::kind::EngineKind;
use kvs::engine::options::{Access, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::error::Error;
use kvs::survive::engine::Engine;
use kvs::vfs::Vfs;
use kvs::vfs::fault::{Call, FaultDisk};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::worker::Schedule;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use xxhash_rust::xxh3::xxh3_128;

#[global_allocator]
static ALLOCATOR: fault_support::alloc::Capped = fault_support::alloc::Capped;

on_each_engine!([
    k01_every_bit_of_a_closed_store,
    k02_flip_in_the_middle_of_the_log,
    k02_damage_in_what_was_never_synced_leaves_a_prefix,
    k03_flip_or_cut_in_the_middle_of_the_manifest,
    k05_evil_lengths,
    k06_every_cut_of_every_file,
    k06_every_cut_of_the_active_log_leaves_a_prefix,
    k06_mapped_files,
    k11_any_bytes_are_a_key_and_a_value,
    k12_wrong_engine_and_unknown_formats,
    k12_data_without_an_identity_file,
    k12_foreign_files_are_left_alone,
]);

/// Keys that the small store held once, or never.
const ABSENT: [&[u8]; 5] = [b"merged-gone", b"gone", b"batch-gone", b"", b"never"];

/// A store with every kind of file in it, and little in each. Of Bitcask: a segment that a merge made,
/// two that were sealed by a rotation and hold sets, batches and tombstones, and an active one. Of the LSM
/// tree: a table at the bottom, two of level 0, and a log.
fn small_store(engine: &Engine) -> (Arc<dyn KvsEngine>, SimDisk) {
    let disk = empty_disk();
    // Nothing is merged but by `compact`.
    let open =
        OpenOptions { schedule: Schedule::Manual, ..open_options(Arc::new(disk.clone()), Access::Create) };
    let store = engine.open(Path::new(DIR), open).unwrap();
    for round in 0..2 {
        store.set(b"merged", format!("round {round}").as_bytes()).unwrap();
        store.set(b"merged-long", &[b'a' + round; 150]).unwrap();
        store.set(b"merged-gone", b"for now").unwrap();
        store.set(b"replaced", b"old").unwrap();
        store.compact().unwrap();
    }
    store.set(b"gone", b"for now").unwrap();
    store
        .write(batch(&[("b1", Some("one")), ("batch-gone", Some("x")), ("b2", Some(""))]), &durable())
        .unwrap();
    store.checkpoint(Path::new("/copy1")).unwrap();
    assert!(store.remove(b"merged-gone").unwrap());
    store.write(batch(&[("gone", None), ("batch-gone", None), ("b3", Some("three"))]), &durable()).unwrap();
    store.checkpoint(Path::new("/copy2")).unwrap();
    store.set(b"replaced", b"new").unwrap();
    store.write(batch(&[("active", Some("1")), ("active2", Some("2"))]), &durable()).unwrap();
    store.set(b"last", b"not synced").unwrap();
    (store, disk)
}

/// Opens the store such that nothing is merged but by `compact`.
fn open_manual(engine: &Engine, disk: Arc<dyn Vfs>) -> Arc<dyn KvsEngine> {
    let options = OpenOptions { schedule: Schedule::Manual, ..open_options(disk, Access::Write) };
    engine.open(Path::new(DIR), options).unwrap()
}

fn durable() -> WriteOptions {
    WriteOptions::durable()
}

fn batch(ops: &[(&str, Option<&str>)]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (key, value) in ops {
        match value {
            Some(value) => batch.set(key.as_bytes(), value.as_bytes()),
            None => batch.remove(key.as_bytes()),
        }
    }
    batch
}

/// Only the store's own directory.
fn image_of(disk: &SimDisk) -> Image {
    let mut image = disk.image();
    image.files.retain(|path, _| path.starts_with(DIR));
    image.dirs.retain(|path| path.starts_with(DIR));
    image
}

/// The small store, closed.
fn closed(engine: &Engine) -> (Image, Model) {
    let (store, disk) = small_store(engine);
    let model = contents(&*store).unwrap();
    drop(store);
    let image = image_of(&disk);
    let names: Vec<_> = image.files.keys().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    let count = |ending| names.iter().filter(|name| name.ends_with(ending)).count();
    match engine.kind {
        EngineKind::Bitcask => {
            let hints = if *engine == engine.plain() { 0 } else { 3 };
            assert_eq!((count(".seg"), count(".hint")), (4, hints), "{names:?}");
        }
        EngineKind::Lsm => assert_eq!((count(".sst"), count(".wal")), (3, 1), "{names:?}"),
        EngineKind::Memory => unreachable!("it has no files"),
    }
    assert_eq!(model.len(), 9);
    (image, model)
}

/// The tally of all damages, one line, and no silent one.
fn report(engine: &Engine, what: &str, tally: &Tally) {
    let without =
        if *engine == engine.plain() && engine.kind == EngineKind::Bitcask { ", without hints" } else { "" };
    println!("\ndamage: {}: {what}{without}: {tally}", engine.name());
    assert!(
        tally.silent.is_empty(),
        "{what}: {tally}\n{}",
        tally.silent[..tally.silent.len().min(20)].join("\n")
    );
    assert!(tally.detected > 0, "the damage never mattered: the test tests nothing");
}

// Row K1. One journal of fjall, one bit at a time: 95 of 300 flips gave wrong answers without an error,
// 17 panicked. Every bit of a closed store is vouched for: by its record's checksum, and that the record
// is there at all by the manifest. A Bitcask without hints reads every log from its beginning.
fn k01_every_bit_of_a_closed_store(engine: &Engine) {
    for engine in engine.variants() {
        let (image, model) = closed(&engine);
        let judge = Judge { engine: &engine, model: &model, absent: &ABSENT };
        assert_eq!(judge.look(&image), Ok(None));
        let mut tally = Tally::default();
        for (path, content) in &image.files {
            for bit in 0..8 * content.len() as u64 {
                let mut image = image.clone();
                image.flip_bit(path, bit);
                judge.count(&mut tally, &image, Some(path), || format!("{} bit {bit}", path.display()));
            }
        }
        report(&engine, "each bit of each file flipped", &tally);
    }
}

// Rows K2 and K3. badger#1049, pebble#453, #4331 and #4560: a log with damage in its middle was taken for
// one that ends there, and all that came later was dropped without a word. After a kill nothing but
// the log itself can tell: each record says how much was durable before it.
fn k02_flip_in_the_middle_of_the_log(engine: &Engine) {
    let (store, disk) = small_store(engine);
    let (whole, before_last) = (contents(&*store).unwrap(), {
        let mut model = contents(&*store).unwrap();
        model.remove(&b"last"[..]);
        model
    });
    let (image, path) = (image_of(&disk), engine.newest_log(&image_of(&disk)));
    drop(store);
    let log = image.get(&path).unwrap();
    let records = forge::records(log);
    let durable = records.iter().map(|record| record.synced).max().unwrap();
    assert_eq!(records.last().unwrap().offset as u64, durable, "all but the last record was synced");
    let (mut tried, mut torn) = (0, 0);
    for record in &records {
        for bit in 8 * record.offset..8 * (record.offset + record.len) {
            let mut image = image.clone();
            image.flip_bit(&path, bit as u64);
            tried += 1;
            for access in [Access::Read, Access::Write] {
                let disk = SimDisk::from_image(&image, Record::Off);
                match open(engine, Arc::new(disk.clone()), access) {
                    Err(error) => {
                        let name = path.file_name().unwrap().to_string_lossy().into_owned();
                        assert_eq!(judge::place(&error), Ok((name, record.offset as u64)), "bit {bit}");
                        assert_eq!(disk.image(), image, "what is damaged is kept as it is");
                    }
                    Ok(store) => {
                        assert!(record.offset as u64 >= durable, "bit {bit} was durable");
                        assert_eq!(contents(&*store).unwrap(), before_last);
                        torn += 1;
                    }
                }
            }
        }
    }
    assert_eq!(
        contents(&*open(engine, Arc::new(SimDisk::from_image(&image, Record::Off)), Access::Read).unwrap())
            .unwrap(),
        whole
    );
    println!(
        "bit flips in the active log of a killed store: {tried}, of these in its unsynced end {}",
        torn / 2
    );
}

// The limit of row K2, which the documentation states: what was never synced is vouched for by nobody.
// Damage there looks like the end of the log, and what is found is a prefix of what was written.
fn k02_damage_in_what_was_never_synced_leaves_a_prefix(engine: &Engine) {
    let disk = empty_disk();
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    let mut prefixes = vec![Model::new()];
    for i in 0..8u8 {
        store
            .write(
                batch(&[(&format!("k{}", i % 3), Some(&format!("v{i}"))), ("n", Some(&i.to_string()))]),
                &Default::default(),
            )
            .unwrap();
        prefixes.push(contents(&*store).unwrap());
    }
    let (image, path) = (image_of(&disk), engine.newest_log(&image_of(&disk)));
    for bit in 8 * 32..8 * image.get(&path).unwrap().len() as u64 {
        let mut image = image.clone();
        image.flip_bit(&path, bit);
        let store = open(engine, Arc::new(SimDisk::from_image(&image, Record::Off)), Access::Write).unwrap();
        let found = contents(&*store).unwrap();
        assert!(prefixes[..8].contains(&found), "bit {bit}: {found:?}");
    }
}

// Row K3, which Bitcask's manifest has to pass too: pebble#4560, a flip in the middle of the MANIFEST
// went unseen. In a killed store every edit but the last is vouched for by the next; that the last is
// gone shows in what it named.
fn k03_flip_or_cut_in_the_middle_of_the_manifest(engine: &Engine) {
    let (store, disk) = small_store(engine);
    let (image, model) = (image_of(&disk), contents(&*store).unwrap());
    drop(store);
    let judge = Judge { engine, model: &model, absent: &ABSENT };
    assert_eq!(judge.look(&image), Ok(None));
    let path = Path::new(DIR).join("MANIFEST");
    let bytes = image.get(&path).unwrap();
    let durable = forge::records(bytes).iter().map(|record| record.synced).max().unwrap();
    let mut tally = Tally::default();
    for bit in 0..8 * bytes.len() as u64 {
        let mut image = image.clone();
        image.flip_bit(&path, bit);
        let suspect = (bit < 8 * durable).then_some(&*path);
        judge.count(&mut tally, &image, suspect, || format!("manifest bit {bit}"));
    }
    assert_eq!(tally.harmless, 0, "a missing edit always shows");
    for len in 0..bytes.len() {
        let mut image = image.clone();
        image.cut(&path, len);
        judge.count(&mut tally, &image, None, || format!("manifest cut to {len}"));
    }
    report(engine, "the manifest of a killed store, flips and cuts", &tally);
}

/// The files of the hints that were refused, of all that was heard.
fn refused(heard: &Receiver<Event>) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let refused = |event| if let Event::HintRefused { path, .. } = event { Some(name(&path)) } else { None };
    heard.try_iter().filter_map(refused).collect()
}

/// Opens the store, and expects all that it held, with just this hint refused.
fn expect_fallback(engine: &Engine, image: &Image, model: &Model, hint: &str, what: &str) {
    for access in [Access::Read, Access::Write] {
        let disk = Arc::new(SimDisk::from_image(image, Record::Off));
        let (listener, heard) = Listener::channel();
        let options = OpenOptions { listener, ..open_options(disk.clone(), access) };
        let store = engine.open(Path::new(DIR), options).unwrap();
        assert_eq!(contents(&*store).unwrap(), *model, "{what}");
        for key in ABSENT {
            assert_eq!(store.get(key).unwrap(), None, "{what}: {key:?}");
        }
        assert_eq!(refused(&heard), [hint], "{what}");
        drop(store);
        if access == Access::Write {
            let (listener, heard) = Listener::channel();
            let options = OpenOptions { listener, ..open_options(disk, access) };
            let store = engine.open(Path::new(DIR), options).unwrap();
            assert_eq!(contents(&*store).unwrap(), *model, "{what}");
            assert!(refused(&heard).is_empty(), "{what}: closing has put a sound hint there");
        }
    }
}

/// Where the entries of a hint begin: behind its header, what it is bound to, and its parts' lengths.
const HINT_ENTRIES: usize = 32 + 8 + 4 + 8 + 4 * SHARDS;

/// Offsets of a hint's entries.
fn hint_entries(hint: &[u8]) -> Vec<usize> {
    let mut entries = Vec::new();
    let mut at = HINT_ENTRIES;
    while at < hint.len() - 4 {
        entries.push(at);
        at += 10 + usize::from(u16::from_le_bytes([hint[at + 8], hint[at + 9]]));
    }
    assert!(!entries.is_empty() && at == hint.len() - 4, "the hint is laid out as described above");
    entries
}

// Row K4. bitcask#212, #185 and #186: hints that were cut, stale or of another file were believed, and
// keys were lost or came back. A hint is bound to its segment by that one's length and checksum, and
// whatever is wrong with it, the segment itself is read.
#[test]
fn k04_hint_that_is_wrong_is_passed_over() {
    let engine = &Engine::bitcask();
    let (image, model) = closed(engine);
    let hints: Vec<PathBuf> = image
        .files
        .keys()
        .filter(|path| path.extension().is_some_and(|end| end == "hint"))
        .map(|path| path.to_path_buf())
        .collect();
    for path in &hints {
        let hint = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = image.get(path).unwrap().to_vec();
        let with = |bytes: Vec<u8>, what: &str| {
            let mut image = image.clone();
            image.put(path, bytes);
            expect_fallback(engine, &image, &model, &hint, &format!("{hint} {what}"));
        };
        let mut missing = image.clone();
        missing.remove(path);
        expect_fallback(engine, &missing, &model, &hint, "missing");
        with(Vec::new(), "empty");
        with(vec![0; bytes.len()], "zeros");
        with([&bytes[..], b"more"].concat(), "longer");
        (1..bytes.len()).step_by(7).for_each(|len| with(bytes[..len].to_vec(), "cut"));
        for other in hints.iter().filter(|other| *other != path) {
            with(image.get(other).unwrap().to_vec(), "of another segment");
        }
        for at in hint_entries(&bytes) {
            // From here on with a right checksum.
            let forged = |change: &dyn Fn(&mut Vec<u8>)| {
                let mut bytes = bytes.clone();
                change(&mut bytes);
                forge::reseal_whole(&mut bytes);
                bytes
            };
            with(forged(&|bytes| bytes[at + 7] ^= 0x80), "a tombstone flag turned over");
            with(forged(&|bytes| bytes[at..at + 4].fill(0xff)), "an offset behind the data");
            with(forged(&|bytes| bytes[at..at + 4].fill(0)), "an offset in the header");
            with(forged(&|bytes| bytes[at + 4..at + 7].fill(0xff)), "a length beyond the data");
        }
    }
}

// Row K4, stale after a merge: a hint of the same number, from another history of the same store.
#[test]
fn k04_stale_hint_of_the_same_number() {
    let engine = &Engine::bitcask();
    let make = |value: &str| {
        let disk = empty_disk();
        let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
        store.set(b"a", value.as_bytes()).unwrap();
        store.set(b"b", b"same").unwrap();
        store.compact().unwrap();
        let model = contents(&*store).unwrap();
        drop(store);
        (image_of(&disk), model)
    };
    let ((first, _), (mut second, model)) = (make("111"), make("222"));
    let path = Path::new(DIR).join("000001.hint");
    assert_ne!(first.get(&path), second.get(&path));
    second.put(&path, first.get(&path).unwrap());
    expect_fallback(engine, &second, &model, "000001.hint", "stale");
}

// The story: a hint whose checksum was right, but one of whose places was not. The merge copied what
// the keydir pointed to, found nothing at that place, and let the segment go; from then on a get of the
// key looked for its segment for ever. Found by row K5. Now the merge counts what it must find.
#[test]
fn k04_a_forged_place_is_an_error_and_not_an_endless_search() {
    let engine = &Engine::bitcask();
    let (image, model) = closed(engine);
    let mut tried = 0;
    for path in image.files.keys().filter(|path| path.extension().is_some_and(|end| end == "hint")) {
        let bytes = image.get(path).unwrap().to_vec();
        let sets: Vec<_> = hint_entries(&bytes).into_iter().filter(|at| bytes[at + 7] & 0x80 == 0).collect();
        let key_of = |at: usize| &bytes[at + 10..at + 10 + usize::from(bytes[at + 8])];
        for &at in sets.iter().filter(|_| sets.len() > 1) {
            let mut forged = bytes.clone();
            forged[at] += 1;
            forge::reseal_whole(&mut forged);
            let mut image = image.clone();
            image.put(path, forged);
            let disk = Arc::new(SimDisk::from_image(&image, Record::Off));
            let store = open_manual(engine, disk.clone());
            let is_right =
                |error: &Error| path.with_extension("seg").ends_with(judge::place(error).unwrap().0);
            let Err(error) = store.get(key_of(at)) else {
                // It was the last record: the hint was refused, for pointing behind the segment.
                assert_eq!(store.get(key_of(at)).unwrap().unwrap(), model[key_of(at)]);
                continue;
            };
            assert!(is_right(&error));
            // Garbage, so that a merge wants the segment.
            sets.iter()
                .filter(|other| **other != at)
                .for_each(|other| _ = store.remove(key_of(*other)).unwrap());
            assert!(is_right(&store.compact().unwrap_err()));
            assert!(is_right(&store.get(key_of(at)).unwrap_err()));
            drop(store);
            // The segment is still there: without the hint, so is the value.
            let mut image = disk.image();
            image.remove(path);
            let store =
                open(engine, Arc::new(SimDisk::from_image(&image, Record::Off)), Access::Write).unwrap();
            assert_eq!(store.get(key_of(at)).unwrap().unwrap(), model[key_of(at)]);
            tried += 1;
        }
    }
    assert!(tried > 0);
}

// Row K5. badger#154, arcadedb#6932, memtrace#80 (192 GiB asked for), mini-lsm and toydb: a length from the
// disk was believed and so much memory asked for. Here each field of each file in turn gets the worst
// lengths, with the checksum made right again, so that nothing but the check of the length itself stands
// in the way; in a process that may have 2 GiB of address space.
fn k05_evil_lengths(engine: &Engine) {
    if let Some(half) = child::part() {
        limit_address_space(2 << 30);
        forge_every_length(engine, half.parse().unwrap());
        return;
    }
    let halves = ["0", "1"]
        .map(|half| child::command(engine, "k05_evil_lengths", half).stdin(Stdio::null()).spawn().unwrap());
    for child in halves {
        let child = child.wait_with_output().unwrap();
        print!("{}", String::from_utf8_lossy(&child.stdout));
        assert!(child.status.success(), "{}", child.status);
    }
}

#[expect(unsafe_code, reason = "setrlimit has no safe wrapper in std")]
fn limit_address_space(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the pointer is to a live value of the right type, and is not kept.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

/// Puts every evil length where one may stand; of all that comes of it, every second file.
fn forge_every_length(engine: &Engine, half: usize) {
    let variants = engine.variants();
    let (mut tried, mut failed) = (0, Vec::new());
    for (nth, engine) in variants.iter().enumerate() {
        let (image, model) = closed(engine);
        let judge = Judge { engine, model: &model, absent: &ABSENT };
        for (path, content) in &image.files {
            let mut forged = HashSet::new();
            for part in forge::Part::of(path, content) {
                // What a log says is not looked at where there is a hint.
                let at_its_turn = match part {
                    forge::Part::Record(_) => nth + 1 == variants.len(),
                    _ => nth == 0,
                };
                for at in part.range(content).filter(|_| at_its_turn) {
                    for form in forge::evil_lengths((part.end(content) - at) as u64) {
                        let mut bytes = content.to_vec();
                        put(&mut bytes, at, &form);
                        part.reseal(&mut bytes);
                        let is_new = forged.insert(xxh3_128(&bytes));
                        if !is_new || forged.len() % 2 != half {
                            continue;
                        }
                        let mut image = image.clone();
                        image.put(path, bytes);
                        tried += 1;
                        if let Err(reason) = judge.survives(&image) {
                            failed.push(format!("{} {form:?} at {at}: {reason}", path.display()));
                        }
                    }
                }
            }
        }
    }
    println!("forged lengths: {tried}, failed {}", failed.len());
    assert!(failed.is_empty(), "{}", failed[..failed.len().min(20)].join("\n"));
}

/// Overwrites bytes, as far as there are any.
fn put(bytes: &mut [u8], at: usize, form: &[u8]) {
    let len = form.len().min(bytes.len() - at);
    bytes[at..at + len].copy_from_slice(&form[..len]);
}

// Row K6. Every file cut at every length. Only the tail of the active log may be missing, and of a
// closed store not even that.
fn k06_every_cut_of_every_file(engine: &Engine) {
    let mut tally = Tally::default();
    for engine in engine.variants() {
        let (image, model) = closed(&engine);
        let judge = Judge { engine: &engine, model: &model, absent: &ABSENT };
        for (path, content) in &image.files {
            for len in 0..content.len() {
                let mut image = image.clone();
                image.cut(path, len);
                judge.count(&mut tally, &image, None, || format!("{} cut to {len}", path.display()));
            }
        }
    }
    report(engine, "each file cut at each length", &tally);
}

// Row K6, the tail rule: the active log of a killed store, cut anywhere, leaves a prefix of the batches
// that were written to it, whole.
fn k06_every_cut_of_the_active_log_leaves_a_prefix(engine: &Engine) {
    let disk = empty_disk();
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    let mut prefixes = vec![Model::new()];
    for i in 0..6 {
        let options = if i % 2 == 0 { durable() } else { WriteOptions::default() };
        let value = format!("v{i}");
        store.write(batch(&[("a", Some(&value)), (&value, Some(&value)), ("b", None)]), &options).unwrap();
        prefixes.push(contents(&*store).unwrap());
    }
    let (image, path) = (image_of(&disk), engine.newest_log(&image_of(&disk)));
    let mut last = 0;
    for len in 32..=image.get(&path).unwrap().len() {
        let mut image = image.clone();
        image.cut(&path, len);
        let disk = Arc::new(SimDisk::from_image(&image, Record::Off));
        let found = contents(&*open(engine, disk.clone(), Access::Read).unwrap()).unwrap();
        let count = prefixes.iter().position(|model| *model == found).unwrap();
        assert!(count >= last, "more bytes, and less of them read");
        last = count;
        let store = open(engine, disk.clone(), Access::Write).unwrap();
        assert_eq!(contents(&*store).unwrap(), found);
        store.set(b"behind the cut", b"1").unwrap();
        drop(store);
        assert_eq!(contents(&*open(engine, disk, Access::Write).unwrap()).unwrap().len(), found.len() + 1);
    }
    assert_eq!(last, 6);
}

// Rows K1 and K6 on the real disk, where segments are mapped into memory: a read behind the end of a
// file that was cut would end the process, and what is not checked before it is mapped is not checked.
fn k06_mapped_files(engine: &Engine) {
    let (image, model) = closed(engine);
    let judge = Judge { engine, model: &model, absent: &ABSENT };
    let mut tally = Tally::default();
    for (path, content) in &image.files {
        for len in (0..content.len()).step_by(9) {
            let mut image = image.clone();
            image.cut(path, len);
            judge.count_mapped(&mut tally, &image, || format!("{} cut to {len}", path.display()));
        }
        for bit in (0..8 * content.len() as u64).step_by(89) {
            let mut image = image.clone();
            image.flip_bit(path, bit);
            judge.count_mapped(&mut tally, &image, || format!("{} bit {bit}", path.display()));
        }
    }
    report(engine, "mapped files, cuts and flips", &tally);
}

/// Flips the first bit of the value that the record of `key` ends with; says in which segment.
fn damage_value(image: &mut Image, value: &[u8]) -> PathBuf {
    let holds = |content: &[u8]| content.windows(value.len()).position(|window| window == value);
    let mut found = image.files.iter().filter_map(|(path, content)| Some((path.clone(), holds(content)?)));
    let (path, at) = found.next().expect("the value is somewhere");
    assert!(found.next().is_none(), "and only there");
    image.flip_bit(&path, 8 * at as u64);
    path.to_path_buf()
}

// Row K10. The original Bitcask's merge skips a damaged file and goes on; others have written an output
// without the bad block and removed the input. A merge that meets damage ends, says so, and leaves all
// that it read; what is damaged is not tried again and again.
#[test]
fn k10_merge_meets_a_bad_record() {
    let engine = &Engine::bitcask();
    let (mut image, model) = closed(engine);
    let damaged = damage_value(&mut image, &[b'b'; 150]);
    let sim = SimDisk::from_image(&image, Record::Off);
    let disk = FaultDisk::new(Arc::new(sim.clone()));
    let store = open_manual(engine, Arc::new(disk.clone()));
    // Garbage in the damaged segment, so that a merge wants it.
    assert!(store.remove(b"merged").unwrap());
    let name = damaged.file_name().unwrap().to_string_lossy().into_owned();
    let error = store.compact().unwrap_err();
    assert_eq!(judge::place(&error).unwrap().0, name);
    let bytes_of_inputs = |image: &Image| {
        let inputs = image.files.clone().into_iter();
        inputs.filter(|(path, _)| path.extension().is_some_and(|end| end == "seg")).collect::<Vec<_>>()
    };
    let after = bytes_of_inputs(&sim.image());
    for (path, content) in bytes_of_inputs(&image) {
        let kept = after.iter().find(|(other, _)| *other == path).unwrap();
        assert!(kept.1.starts_with(&content), "{} is as it was", path.display());
    }
    // Not again and again.
    let opened = || disk.trace().iter().filter(|op| op.call == Call::Open && *op.path == *damaged).count();
    let before = opened();
    for _ in 0..3 {
        store.compact().unwrap();
    }
    assert_eq!(opened(), before, "the damaged segment is left alone");
    // Everything else is readable, writable, and there after opening again.
    let check = |store: &dyn KvsEngine| {
        for (key, value) in model.iter().filter(|(key, _)| *key != b"merged") {
            match store.get(key) {
                Ok(found) => assert_eq!(found.as_deref(), Some(&value[..]), "{key:?}"),
                Err(error) => {
                    assert_eq!(key, b"merged-long");
                    assert_eq!(judge::place(&error).unwrap().0, name);
                }
            }
        }
        assert!(store.get(b"merged-long").is_err());
        assert_eq!(store.get(b"merged").unwrap(), None);
    };
    check(&*store);
    store.set(b"writes", b"go on").unwrap();
    assert_eq!(store.stats().unwrap().poisoned, None);
    drop(store);
    let store = open(engine, Arc::new(sim), Access::Write).unwrap();
    check(&*store);
    assert_eq!(store.get(b"writes").unwrap().unwrap(), b"go on");
}

// Row K10, in the background: told once, and the store goes on.
#[test]
fn k10_background_merge_meets_a_bad_record() {
    let engine = &Engine::bitcask();
    let sim = empty_disk();
    let store = open(engine, Arc::new(sim.clone()), Access::Create).unwrap();
    store.set(b"victim", b"the only copy of this").unwrap();
    for i in 0..40u32 {
        store.set(&i.to_le_bytes(), &[1; 90]).unwrap();
    }
    drop(store);
    let mut image = sim.image();
    damage_value(&mut image, b"the only copy of this");
    let (listener, heard) = Listener::channel();
    let disk = Arc::new(SimDisk::from_image(&image, Record::Off));
    let options = OpenOptions { listener, ..open_options(disk, Access::Write) };
    let store = engine.open(Path::new(DIR), options).unwrap();
    for round in 0..20u8 {
        for i in 0..40u32 {
            store.set(&i.to_le_bytes(), &[round; 90]).unwrap();
        }
    }
    let failure = |event| if let Event::BackgroundFailed { reason } = event { Some(reason) } else { None };
    let failures: Vec<_> = heard.try_iter().filter_map(failure).collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].contains("damaged at offset"), "{failures:?}");
    let counters = store.stats().unwrap().counters;
    let merges = counters.iter().find(|counter| counter.name == "merges").unwrap();
    assert!(merges.value > 3, "what is sound is merged: {counters:?}");
    assert!(store.get(b"victim").unwrap_err().is_corruption());
    assert_eq!(store.get(&7u32.to_le_bytes()).unwrap().unwrap(), [19; 90]);
}

// Row K11. Bitcask took any value that begins with `bitcask_tombstone` for a removal, and Riak's empty
// key looped for ever. Here what a record means is said in its head, never in a key or value.
fn k11_any_bytes_are_a_key_and_a_value(engine: &Engine) {
    let disk = empty_disk();
    let store = open(engine, Arc::new(disk.clone()), Access::Create).unwrap();
    let (other, _) = closed(engine);
    let mut strange: Vec<Vec<u8>> = [
        &b""[..],
        b"bitcask_tombstone",
        b"bitcask_tombstone2\0\0\0\x01",
        b"\r\n",
        b"a\rb",
        b"a\nb",
        b"\0",
        b"\0\0",
        b"a\0",
        b"a",
        b"\xff\xfe",
        b"\xc3\x28",
        b"\xff",
        b"KVSLOG\0\x01",
        b"KVSSTORE",
        b"None",
        b"\x01\x02",
    ]
    .iter()
    .map(|bytes| bytes.to_vec())
    .collect();
    let keys = strange.clone();
    // Whole files of a store as values, and one of this very log.
    strange.extend(other.files.values().map(|content| content.to_vec()));
    strange.push(disk.image().get(engine.newest_log(&image_of(&disk))).unwrap().to_vec());
    let mut model = Model::new();
    for (i, key) in keys.iter().enumerate() {
        for value in [&strange[i], &strange[strange.len() - 1 - i]] {
            store.set(key, value).unwrap();
            model.insert(key.clone(), value.clone());
            assert_eq!(store.get(key).unwrap().unwrap(), *value);
        }
    }
    let mut all = WriteBatch::new();
    for (i, value) in strange.iter().enumerate() {
        let key = [&[0, i as u8], &value[..value.len().min(1000)]].concat();
        all.set(&key, value);
        model.insert(key, value.clone());
    }
    store.write(all, &durable()).unwrap();
    let check = |store: &dyn KvsEngine, model: &Model, when: &str| {
        assert_eq!(contents(store).unwrap(), *model, "{when}");
        let backwards = store.scan(KeyRange::all().reverse()).unwrap();
        let backwards: Vec<_> = backwards.map(|pair| pair.unwrap().0.to_vec()).collect();
        assert!(backwards.iter().eq(model.keys().rev()), "{when}");
    };
    check(&*store, &model, "written");
    drop(store);
    for engine in [engine.clone(), engine.plain()] {
        let store = open(&engine, Arc::new(disk.clone()), Access::Write).unwrap();
        check(&*store, &model, "opened again");
        // Half of it goes, and a merge copies the rest.
        let gone: Vec<_> = model.keys().step_by(3).cloned().collect();
        for key in gone {
            assert_eq!(store.swap(&key, None).unwrap().unwrap(), model.remove(&key).unwrap());
            assert_eq!(store.get(&key).unwrap(), None);
        }
        store.compact().unwrap();
        check(&*store, &model, "merged");
    }
    check(&*open(engine, Arc::new(disk), Access::Read).unwrap(), &model, "at the end");
}

/// A directory that no way of opening accepts, each time with such an error, and without a change.
fn expect_refused(engine: &Engine, image: &Image, what: &str, is_right: impl Fn(Access, &Error) -> bool) {
    for access in [Access::Create, Access::Write, Access::Read] {
        let disk = SimDisk::from_image(image, Record::On);
        let error = refusal(open(engine, Arc::new(disk.clone()), access));
        assert!(is_right(access, &error), "{what}, {access:?}: {error:?}");
        assert_eq!(disk.image(), *image, "{what}, {access:?}: the directory was changed");
        let writes = disk.recording();
        let changes =
            writes.ops().iter().filter(|op| op.data_of().is_some() || op.names_of().is_some()).count();
        assert_eq!(changes, 0, "{what}, {access:?}: written, and taken back");
    }
}

// Row K12. vibesql#5807 showed a snapshot that it could not read as an empty database, and wrote over
// it. What is not known to be a store of ours is refused, and not a byte of it changes.
fn k12_wrong_engine_and_unknown_formats(engine: &Engine) {
    let (image, _) = closed(engine);
    let path = Path::new(DIR).join("ENGINE");
    let identity = image.get(&path).unwrap().to_vec();
    let with = |bytes: &[u8]| {
        let mut image = image.clone();
        image.put(&path, bytes);
        image
    };
    let others = ["bitcask", "lsm", "memory", "bitcask2", "Bitcask", ""];
    for other in others.into_iter().filter(|other| *other != engine.name()) {
        let image = with(&Identity::new(other, Some(7)).encode());
        let wanted = engine.name();
        let is_right = |_, error: &Error| matches!(error, Error::WrongEngine { found, wanted: by, .. } if found == other && by == wanted);
        expect_refused(engine, &image, other, is_right);
    }
    for version in [0u32, 2, 3, 1 << 8, u32::MAX] {
        let mut later = identity.clone();
        later[8..12].copy_from_slice(&version.to_le_bytes());
        forge::reseal_whole(&mut later);
        let is_right = |_, error: &Error| matches!(error, Error::UnknownFormat { found, known: 1, .. } if *found == version);
        expect_refused(engine, &with(&later), "another version", is_right);
        // A later format may have more to say.
        expect_refused(engine, &with(&[&later[..], &[1; 60]].concat()), "another version, longer", is_right);
    }
    let mut magic = identity.clone();
    magic[0] = b'X';
    forge::reseal_whole(&mut magic);
    let longer = [&identity[..], b"?"].concat();
    let texts: [&[u8]; 6] = [&magic, &longer, b"", b"K", b"bitcask\n", &[0; 40]];
    for bytes in texts {
        let is_right = |_, error: &Error| judge::place(error).is_ok_and(|(file, _)| file == "ENGINE");
        expect_refused(engine, &with(bytes), "no identity", is_right);
    }
    let mut large = vec![b'x'; 1 << 20];
    large[..8].copy_from_slice(b"KVSSTORE");
    expect_refused(engine, &with(&large), "a large file", |_, error| error.is_corruption());
}

// Row K12, without an identity file: data is never taken for an empty directory.
fn k12_data_without_an_identity_file(engine: &Engine) {
    let (image, _) = closed(engine);
    let not_a_store = |access: Access, error: &Error| match access {
        Access::Create => judge::place(error).is_ok(),
        Access::Write | Access::Read => matches!(error, Error::NoStore { .. }),
    };
    let mut lost = image.clone();
    lost.remove(Path::new(DIR).join("ENGINE"));
    expect_refused(engine, &lost, "the identity file is lost", not_a_store);
    // Any one file of a store, alone; an identity file alone is a store that lacks its manifest.
    for (path, content) in &image.files {
        let mut alone = Image { dirs: image.dirs.clone(), ..Image::default() };
        alone.put(path, content.to_vec());
        if path.ends_with("ENGINE") {
            expect_refused(engine, &alone, "an identity file alone", |_, _| true);
        } else if !path.ends_with("MANIFEST") {
            expect_refused(engine, &alone, &path.display().to_string(), not_a_store);
        }
    }
    // Files of other engines, ours to come and those of strangers.
    for name in ["000004.sst", "000003.wal", "000009.hint", "000002.seg", "MANIFEST"] {
        let mut foreign = Image { dirs: image.dirs.clone(), ..Image::default() };
        foreign.put(Path::new(DIR).join(name), *b"something of somebody");
        expect_refused(engine, &foreign, name, not_a_store);
    }
}

// Row K12, foreign files beside a store: theirs, and left alone, whatever happens to the store.
fn k12_foreign_files_are_left_alone(engine: &Engine) {
    let (mut image, model) = closed(engine);
    let names =
        ["notes.txt", "LOCK", "CURRENT", "7.seg", "+00007.seg", "000007.seg.bak", "MANIFEST-000005", "a.tmp"];
    for name in names {
        image.put(Path::new(DIR).join(name), name.as_bytes());
    }
    let disk = SimDisk::from_image(&image, Record::Off);
    let store = open(engine, Arc::new(disk.clone()), Access::Write).unwrap();
    assert_eq!(contents(&*store).unwrap(), model);
    store.set(b"k", b"v").unwrap();
    store.compact().unwrap();
    drop(store);
    open(engine, Arc::new(disk.clone()), Access::Write).unwrap();
    // The same beside a new store.
    let mut foreign = Image { dirs: image.dirs.clone(), ..Image::default() };
    names.iter().for_each(|name| foreign.put(Path::new(DIR).join(name), name.as_bytes()));
    let fresh = SimDisk::from_image(&foreign, Record::Off);
    open(engine, Arc::new(fresh.clone()), Access::Create).unwrap().set(b"k", b"v").unwrap();
    for name in names {
        for disk in [&disk, &fresh] {
            assert_eq!(disk.image().get(Path::new(DIR).join(name)), Some(name.as_bytes()), "{name}");
        }
    }
}
