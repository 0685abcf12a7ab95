//! What a held snapshot costs: memory and files, beside overwrites, in both engines.
//!
//! ```sh
//! cargo run --release --example snapshot_cost
//! ```
//!
//! `notes/13-snapshots.md` explains it. No threads, so the counts come out the same each time, but for
//! a few bytes.

#![expect(unsafe_code, reason = "an allocator that counts can only be made so")]

use kvs::worker::Schedule;
use kvs::{EngineKind, KvsEngine, OpenOptions, Result, WriteBatch};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, and how many bytes it has given out.
struct Counting;

static GIVEN: AtomicU64 = AtomicU64::new(0);

// SAFETY: both calls are handed on as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        GIVEN.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        GIVEN.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const KEYS: u64 = 10_000;
const ROUNDS: u64 = 4;

fn open(engine: EngineKind, path: &Path) -> Result<Arc<dyn KvsEngine>> {
    let options = OpenOptions { schedule: Schedule::Inline, ..OpenOptions::default() };
    let own: &[(&str, &str)] = match engine {
        // Sizes are compared, so nothing is compressed.
        EngineKind::Lsm => &[("memtable_bytes", "256KiB"), ("compression", "none")],
        _ => &[("segment_bytes", "256KiB")],
    };
    let own: Vec<_> = own.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    engine.open(path, options, &own)
}

/// Sets every key, in batches.
fn set_all(store: &dyn KvsEngine, round: u64) -> Result<()> {
    for first in (0..KEYS).step_by(100) {
        let mut batch = WriteBatch::new();
        for key in first..first + 100 {
            batch.set(format!("key{key:013}").as_bytes(), &[round as u8; 100]);
        }
        store.write(batch, &Default::default())?;
    }
    Ok(())
}

/// Bytes of memory, and bytes of files for each byte that is live, once the store is compacted.
fn cost(store: &dyn KvsEngine) -> Result<(u64, f64)> {
    store.compact()?;
    let given = GIVEN.load(Ordering::Relaxed);
    Ok((given, store.stats()?.disk_bytes as f64 / (KEYS * 116) as f64))
}

fn main() -> Result<()> {
    println!("         overwrites  snapshots   while held          let go");
    println!("engine   of all keys      held   files / live        files / live   memory of holding, a key");
    for engine in [EngineKind::Bitcask, EngineKind::Lsm] {
        for held in [0, 1, 2, ROUNDS] {
            let dir = tempfile::tempdir().map_err(|error| kvs::Error::InvalidArgument(error.to_string()))?;
            let store = open(engine, dir.path())?;
            let mut snapshots = Vec::new();
            set_all(&*store, 0)?;
            for round in 1..=ROUNDS {
                if round <= held {
                    snapshots.push(store.snapshot()?);
                }
                set_all(&*store, round)?;
            }
            let (memory, files) = cost(&*store)?;
            drop(snapshots);
            let (less, fewer) = cost(&*store)?;
            let for_each = (memory as f64 - less as f64) / KEYS as f64;
            println!(
                "{:<8} {ROUNDS:>11} {held:>10} {files:>14.2} {fewer:>19.2} {for_each:>26.1}",
                engine.name()
            );
        }
    }
    Ok(())
}
