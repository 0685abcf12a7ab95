//! What one sorted table costs: to build, to scan, to look up in.
//!
//! `cargo bench --bench tables` prints the figures: 1,000,000 keys of 16 bytes with values of 100
//! bytes, blocks of 4 KiB, ten bits of filter, everything in the page cache. Times are those of the
//! processor, the kernel's part included, so that neighbours on the machine disturb less.

#![expect(clippy::unwrap_used, reason = "a measurement that fails says so by panicking")]

use kvs::engine::lsm::iter::EntryCursor;
use kvs::engine::lsm::key::{Kind, MAX_SEQNO, internal, seek_trailer, trailer};
use kvs::engine::lsm::options::{Compression, Compressions, LsmOptions};
use kvs::engine::lsm::table::Lookup;
use kvs::engine::lsm::table::builder::TableBuilder;
use kvs::engine::lsm::table::cursor::{Access, TableCursor};
use kvs::engine::lsm::table::store::{TableSlot, TableStore};
use kvs::engine::lsm::version::edit::TableMeta;
use kvs::vfs::Cause;
use kvs::vfs::dir::Dir;
use kvs::vfs::os::OsDisk;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const KEYS: u64 = 1_000_000;
const LOOKUPS: u64 = 500_000;
const STORE: u64 = 42;

fn key(n: u64) -> Vec<u8> {
    format!("{n:016}").into_bytes()
}

/// A number below `below` for each step, in no order.
fn random(step: u64, below: u64) -> u64 {
    (step.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(29) >> 8) % below
}

/// A hundred bytes, of which half can be compressed away.
fn value(n: u64, out: &mut [u8; 100]) {
    for (i, chunk) in out[..48].chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&(n + i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
}

/// What the processor has done for this thread.
#[expect(unsafe_code, reason = "the clock of a thread has no safe wrapper in std")]
fn busy() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the one place that it is given.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn per_second(name: &str, count: u64, run: impl FnOnce()) {
    let start = busy();
    run();
    let seconds = (busy() - start).as_secs_f64();
    println!(
        "{name:<44} {:>10.0} k/s {:>9.1} ns",
        count as f64 / seconds / 1e3,
        seconds / count as f64 * 1e9
    );
}

fn build(dir: &Dir, number: u64, options: &LsmOptions) -> TableMeta {
    let mut out = [b'v'; 100];
    let mut internal = internal(&key(0), trailer(1, Kind::Set));
    let (start, begin) = (busy(), Instant::now());
    let mut builder = TableBuilder::create(dir, number, STORE, 1, options, Cause::Flush).unwrap();
    for n in 0..KEYS {
        let mut digits = 2 * n;
        for place in (0..16).rev() {
            internal[place] = b'0' + (digits % 10) as u8;
            digits /= 10;
        }
        value(n, &mut out);
        builder.add(&internal, &out).unwrap();
    }
    let meta = builder.finish().unwrap();
    let built = (busy() - start).as_secs_f64();
    let synced = begin.elapsed().as_secs_f64();
    let mb = meta.raw_bytes as f64 / 1e6;
    println!(
        "{:<44} {:>10.0} MB/s; on the disk at {:.0} MB/s; {:.1} MB",
        format!("build, {}", options.compression),
        mb / built,
        mb / synced,
        meta.len as f64 / 1e6
    );
    meta
}

fn scan(store: &TableStore, meta: &TableMeta, number: u64, access: Access, name: &str) {
    let table = Arc::new(store.open(number, meta, Cause::Log).unwrap());
    for _ in 0..2 {
        let mut cursor = TableCursor::new(table.clone(), access);
        per_second(name, KEYS, || {
            let mut bytes = 0;
            cursor.seek_to_first().unwrap();
            while cursor.valid() {
                bytes += black_box(cursor.key()).len() + black_box(cursor.value()).len();
                cursor.next().unwrap();
            }
            assert_eq!(bytes as u64, KEYS * 124);
        });
    }
}

fn gets(store: &TableStore, meta: &TableMeta, number: u64, below: u64, odd: u64, name: &str) {
    let slot = TableSlot::default();
    let keys: Vec<_> = (0..LOOKUPS).map(|step| key(2 * random(step, below) + odd)).collect();
    for round in 0..2 {
        let mut passed = 0;
        let mut run = || {
            for key in &keys {
                let table = store.find(number, meta, &slot).unwrap();
                match table.get(key, store.hash(key), MAX_SEQNO).unwrap() {
                    Lookup::Found { value, .. } => assert!(odd == 0 && black_box(value).len() == 100),
                    Lookup::Absent => passed += 1,
                    Lookup::Filtered => {}
                }
            }
        };
        if round == 0 {
            run()
        } else {
            per_second(name, LOOKUPS, run)
        }
        assert!(odd == 1 || passed == 0);
        if odd == 1 && round == 1 {
            println!("    {:.2} % of absent keys pass the filter", passed as f64 / LOOKUPS as f64 * 100.0);
        }
    }
}

fn short_scans(store: &TableStore, meta: &TableMeta, number: u64, name: &str) {
    let table = Arc::new(store.open(number, meta, Cause::Log).unwrap());
    for _ in 0..2 {
        per_second(name, LOOKUPS / 10, || {
            for step in 0..LOOKUPS / 10 {
                let mut cursor = TableCursor::new(table.clone(), Access::Point);
                cursor.seek(&internal(&key(2 * random(step, KEYS - 100)), seek_trailer(MAX_SEQNO))).unwrap();
                for _ in 0..50 {
                    black_box((cursor.key(), cursor.value()));
                    cursor.next().unwrap();
                }
            }
        });
    }
}

fn backward(store: &TableStore, meta: &TableMeta, number: u64) {
    let table = Arc::new(store.open(number, meta, Cause::Log).unwrap());
    let mut cursor = TableCursor::new(table, Access::Sequential);
    per_second("scan backward", KEYS, || {
        cursor.seek_to_last().unwrap();
        while cursor.valid() {
            black_box((cursor.key(), cursor.value()));
            cursor.prev().unwrap();
        }
    });
}

fn main() {
    let tmp = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = Dir::new(Arc::new(OsDisk), tmp.path());
    for (number, how) in [(1, Compression::None), (2, Compression::Lz4), (3, Compression::Zstd)] {
        let options = LsmOptions { compression: Compressions(vec![how]), ..LsmOptions::default() };
        let meta = build(&dir, number, &options);
        let store = |cache_bytes, mmap| {
            TableStore::new(dir.clone(), STORE, &LsmOptions { cache_bytes, mmap, ..options.clone() })
        };
        scan(&store(64 << 20, false), &meta, number, Access::Sequential, "scan, sequential");
        scan(&store(64 << 20, false), &meta, number, Access::Point, "scan, point");
        gets(&store(512 << 20, false), &meta, number, KEYS, 0, "get, all blocks cached");
        gets(&store(64 << 20, false), &meta, number, KEYS, 0, "get, 64 MiB of cache");
        gets(&store(0, false), &meta, number, KEYS, 0, "get, no cache");
        gets(&store(0, true), &meta, number, KEYS, 0, "get, no cache, mapped");
        gets(&store(64 << 20, false), &meta, number, KEYS / 100, 0, "get, one key in a hundred");
        gets(&store(64 << 20, false), &meta, number, KEYS, 1, "get, absent");
        short_scans(&store(64 << 20, false), &meta, number, "seek and 50 next, 64 MiB of cache");
        short_scans(&store(512 << 20, false), &meta, number, "seek and 50 next, all blocks cached");
        backward(&store(64 << 20, false), &meta, number);
        println!();
    }
}
