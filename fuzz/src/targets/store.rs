//! A whole store in which one file has other bytes: opened, read, written to, verified, repaired.

use super::disk::{self, DB, Pairs};
use super::input::Input;
use super::inspect::changed;
use super::stores::{self, Small};
use kvs::engine::KvsEngine;
use kvs::engine::options::Access;
use kvs::engine::range::KeyRange;
use kvs::error::{Error, Result};
use kvs::inspect::repair::repair;
use kvs::inspect::verify::verify;
use kvs::vfs::memory::image::Image;
use kvs::worker::Schedule;
use std::path::Path;
use std::sync::Arc;

/// `choice:u8 file:u8 rest`: the file has the bytes of the rest; the same with right checksums; up to three
/// of its bits are turned over; or it is cut.
///
/// What `verify` calls sound can be read; it reads the same forward, backward and key by key; it can be
/// written to, and opened again. What `repair` makes is sound, whatever the bytes are. Bits that were turned
/// over and cuts are noticed, or change nothing: a checksum misses no three bits.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let small = stores::small(usize::from(choice & 1));
    let path = &small.files[input.below(small.files.len())];
    let mut image = small.image.clone();
    let is_loud = match choice >> 1 & 3 {
        0 => flip(&mut image, path, &mut input),
        1 => cut(&mut image, path, &mut input),
        how => {
            let bytes = changed(small, path, how == 2, input.rest());
            image.put(path, bytes);
            false
        }
    };
    let read = read(small, &image);
    if let (true, Ok(pairs)) = (is_loud, &read) {
        assert!(*pairs == small.pairs, "{}: damage, and other answers: {pairs:?}", path.display());
    }
    let report = verify(Arc::new(disk::of(&image)), Path::new(DB));
    let written = go_on(small, &image);
    if report.is_ok_and(|report| report.is_sound()) {
        let mut pairs = read.unwrap_or_else(|error| panic!("{}: sound, but {error}", path.display()));
        pairs.retain(|(key, _)| *key != KEY);
        pairs.push((KEY.to_vec(), b"value".to_vec()));
        pairs.sort();
        assert!(written.is_ok_and(|written| written == pairs), "{}: written to, {pairs:?}", path.display());
    }
    save(&image);
}

fn flip(image: &mut Image, path: &Path, input: &mut Input<'_>) -> bool {
    let bits = image.get(path).unwrap_or_default().len() as u64 * 8;
    for _ in 0..3 {
        if bits > 0 && !input.is_empty() {
            image.flip_bit(path, u64::from(input.number()) % bits);
        }
    }
    true
}

fn cut(image: &mut Image, path: &Path, input: &mut Input<'_>) -> bool {
    let len = image.get(path).unwrap_or_default().len();
    image.cut(path, usize::from(input.number()) % (len + 1));
    true
}

fn read(small: &Small, image: &Image) -> Result<Pairs> {
    let store = stores::open(small.kind, &disk::of(image), Path::new(DB), Access::Read, Schedule::Manual)?;
    all(&*store)
}

/// All pairs, read in every way. What is inconsistent is an error.
fn all(store: &dyn KvsEngine) -> Result<Pairs> {
    let forward = disk::pairs(store, KeyRange::all())?;
    let mut backward = disk::pairs(store, KeyRange::all().reverse())?;
    backward.reverse();
    let differs = |what: &str| Error::invalid(format!("{what}: {forward:?}"));
    if forward != backward {
        return Err(differs("the same read backward is not the same"));
    }
    if !forward.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return Err(differs("out of order"));
    }
    for (key, value) in &forward {
        if store.get(key)?.as_deref() != Some(value) {
            return Err(differs("a get finds something else"));
        }
    }
    Ok(forward)
}

const KEY: &[u8] = b"new";

/// Goes on with the store, closes it, opens it again, and reads it.
fn go_on(small: &Small, image: &Image) -> Result<Pairs> {
    let disk = disk::of(image);
    let open = || stores::open(small.kind, &disk, Path::new(DB), Access::Write, Schedule::Manual);
    let store = open()?;
    store.set(KEY, b"value")?;
    store.sync()?;
    store.flush()?;
    store.compact()?;
    drop(store);
    all(&*open()?)
}

fn save(image: &Image) {
    let disk = disk::of(image);
    let fresh = Path::new("/fresh");
    let Ok(report) = repair(Arc::new(disk.clone()), Path::new(DB), fresh) else { return };
    let verified = verify(Arc::new(disk.clone()), fresh).expect("repair has made a store");
    assert!(verified.is_sound(), "{verified:?}");
    let kind = report.engine.parse().expect("an engine's name");
    let store =
        stores::open(kind, &disk, fresh, Access::Write, Schedule::Manual).expect("repair has made a store");
    let pairs = all(&*store).expect("repair has made a store");
    assert_eq!(pairs.len() as u64, report.saved.keys);
}

/// Every file of both stores, in every way.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for engine in 0..2u8 {
        let small = stores::small(usize::from(engine));
        for (i, path) in small.files.iter().enumerate() {
            let bytes = small.image.get(path).unwrap_or_default();
            seeds.push(vec![engine, i as u8, 100, 1, 200, 0]);
            seeds.push(vec![engine | 2, i as u8, 70, 0]);
            seeds.push([&[engine | 4, i as u8], bytes].concat());
            seeds.push([&[engine | 6, i as u8], bytes].concat());
        }
    }
    seeds
}
