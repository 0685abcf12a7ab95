//! Ten million keys in an LSM tree: written, overwritten, removed, opened again, and every one looked at.
//!
//! Fills a store in a temporary directory with random keys of 16 bytes and values of 100, overwrites half
//! of them, removes a tenth, and closes it. Then proves the files whole, opens the store, and holds a scan
//! of everything against what must be there. Prints times, memory, levels, and what each user's byte cost.
//!
//! The first argument is how many keys, the others are options of the engine:
//!
//! ```sh
//! cargo run --release --example ten_million
//! cargo run --release --example ten_million -- 300000 memtable=1MiB table_bytes=512KiB level_bytes=4MiB
//! ```

mod shared;

use kvs::engine::batch::WriteBatch;
use kvs::engine::lsm::Lsm;
use kvs::engine::range::KeyRange;
use kvs::engine::{Cursor, KvsEngine, KvsRead};
use kvs::inspect::verify::verify;
use kvs::vfs::os::OsDisk;
use kvs::{Error, Result};
use shared::{Failure, Shown, peak_mib, print_amplification, print_levels};
use std::sync::Arc;

const KEY_BYTES: u64 = 16;
const VALUE_BYTES: u64 = 100;

/// Spreads numbers over all of 64 bits, each to another place (SplitMix64's last step).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The key of a number: where it stands is random; which one it is can be read from it.
fn key(n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mix(n).to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

/// The value of a number in a version: bytes that cannot be compressed.
fn value(n: u64, version: u64, value: &mut [u8; 100]) {
    let seed = mix(n ^ version << 56);
    for (i, chunk) in value.chunks_mut(8).enumerate() {
        chunk.copy_from_slice(&mix(seed ^ i as u64).to_le_bytes()[..chunk.len()]);
    }
}

/// The model: what a number's key holds in the end follows from the number, so it takes no memory.
#[derive(Clone, Copy)]
struct Model {
    keys: u64,
}

impl Model {
    /// Half of the keys.
    fn is_overwritten(n: u64) -> bool {
        n.is_multiple_of(2)
    }

    /// A tenth of the keys, as many of those that were overwritten as of the others.
    fn is_removed(n: u64) -> bool {
        matches!(n % 20, 4 | 9)
    }

    /// The version that is there; `None`: nothing.
    fn version(self, n: u64) -> Option<u64> {
        let is_there = n < self.keys && !Model::is_removed(n);
        is_there.then(|| 1 + u64::from(Model::is_overwritten(n)))
    }

    fn overwritten(self) -> u64 {
        self.keys.div_ceil(2)
    }

    fn removed(self) -> u64 {
        (0..self.keys).filter(|n| Model::is_removed(*n)).count() as u64
    }

    /// Whether this is what a key holds.
    fn check(self, n: u64, found: Option<&[u8]>) -> Result<()> {
        let expected = self.version(n).map(|version| {
            let mut bytes = [0; 100];
            value(n, version, &mut bytes);
            bytes
        });
        match found == expected.as_ref().map(|value| &value[..]) {
            true => Ok(()),
            false => Err(wrong(format!("key number {n} holds {found:?}"))),
        }
    }
}

fn wrong(what: String) -> Error {
    Error::InvalidArgument(format!("WRONG: {what}"))
}

fn set(store: &Lsm, n: u64, version: u64) -> Result<()> {
    let mut bytes = [0; 100];
    value(n, version, &mut bytes);
    store.set(&key(n), &bytes)
}

fn remove(store: &Lsm, n: u64) -> Result<()> {
    let mut batch = WriteBatch::new();
    batch.remove(&key(n));
    store.write(batch, &Default::default())
}

/// Every key that is there, once and in order, with its value: so, with the right count, nothing is
/// missing.
fn scan(store: &Lsm, model: Model) -> Result<u64> {
    let mut cursor = store.cursor(KeyRange::all())?;
    let (mut count, mut last) = (0, None);
    cursor.seek_to_first()?;
    while cursor.valid() {
        let found: [u8; 16] = cursor.key().try_into().map_err(|_| wrong("a key of another length".into()))?;
        let n = u64::from_be_bytes(found[8..].try_into().expect("eight of sixteen bytes"));
        if found != key(n) || last.is_some_and(|last| last >= found) {
            return Err(wrong(format!("{found:?} is no key, or not in order")));
        }
        model.check(n, Some(cursor.value()?))?;
        (count, last) = (count + 1, Some(found));
        cursor.next()?;
    }
    match model.keys - model.removed() == count {
        true => Ok(count),
        false => Err(wrong(format!("{count} keys, not {}", model.keys - model.removed()))),
    }
}

fn main() -> std::result::Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let model = Model { keys: args.next().map_or(Ok(10_000_000), |keys| keys.parse())? };
    let shown = Shown::new(args)?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    let keys = 0..model.keys;
    println!(
        "{} keys of {KEY_BYTES} bytes, values of {VALUE_BYTES}; peak before: {} MiB",
        model.keys,
        peak_mib()
    );

    let store = shown.open(&path)?;
    shown.phase("fill", model.keys, || keys.clone().try_for_each(|n| set(&store, n, 1)))?;
    print_levels(&store)?;
    shown.phase("overwrite half", model.overwritten(), || {
        keys.clone().filter(|n| Model::is_overwritten(*n)).try_for_each(|n| set(&store, n, 2))
    })?;
    shown.phase("remove a tenth", model.removed(), || {
        keys.clone().filter(|n| Model::is_removed(*n)).try_for_each(|n| remove(&store, n))
    })?;
    print_levels(&store)?;
    let user_bytes =
        (model.keys + model.overwritten()) * (KEY_BYTES + VALUE_BYTES) + model.removed() * KEY_BYTES;
    print_amplification(&shown.disk.ledger(), user_bytes);
    println!("  {}", counters(&store)?);
    shown.phase("close", 0, || {
        drop(store);
        Ok(())
    })?;

    let report = shown.phase("verify every byte", 0, || verify(Arc::new(OsDisk), &path))?;
    println!("  {}", report.to_string().lines().last().unwrap_or_default());
    let store = shown.phase("open", 0, || shown.open(&path))?;
    let count = shown.phase("scan, held against the model", model.keys, || scan(&store, model))?;
    println!("  {count} keys, every one as it must be");
    let gets = model.keys.min(1_000_000);
    shown.phase("random gets, held against the model", gets, || {
        (0..gets).try_for_each(|i| {
            let n = mix(!i) % model.keys;
            model.check(n, store.get(&key(n))?.as_deref())
        })
    })?;
    shown.phase("settle", 0, || store.settle())?;
    print_levels(&store)?;
    print_amplification(&shown.disk.ledger(), user_bytes);
    let live = (model.keys - model.removed()) * (KEY_BYTES + VALUE_BYTES);
    let on_disk = store.stats()?.disk_bytes;
    println!("  space {:.3}: {on_disk} bytes for {live}", on_disk as f64 / live as f64);
    shown.phase("scan, held against the model", model.keys, || scan(&store, model))?;
    println!("peak memory: {} MiB", peak_mib());
    if !report.is_sound() {
        return Err(report.to_string().into());
    }
    Ok(())
}

fn counters(store: &Lsm) -> Result<String> {
    let stats = store.stats()?;
    let counters = stats.counters.iter().map(|counter| format!("{} {}", counter.value, counter.name));
    Ok(counters.collect::<Vec<_>>().join(", "))
}
