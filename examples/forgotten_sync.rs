//! Which syncs does a store need? Leave one kind out, and look for a crash that shows it.
//!
//! Records one short life of a store on a simulated disk, forgets some of its syncs, and shows a
//! judge every disk that a crash could then have left. `notes/07-the-simulated-disk.md` explains it.
//!
//! ```sh
//! cargo run --release --example forgotten_sync            # of a Bitcask
//! cargo run --release --example forgotten_sync lsm
//! ```

use kvs::engine::bitcask::Bitcask;
use kvs::engine::bitcask::options::BitcaskOptions;
use kvs::engine::lsm::Lsm;
use kvs::engine::lsm::options::LsmOptions;
use kvs::vfs::crash::budget::Budget;
use kvs::vfs::crash::explore;
use kvs::vfs::crash::state::{Report, State};
use kvs::vfs::memory::recording::{Forget, Mark, Recording};
use kvs::vfs::memory::{Record, SimDisk};
use kvs::worker::Schedule;
use kvs::{Durability, EngineKind, KvsEngine, OpenOptions, Result};
use std::path::Path;
use std::sync::Arc;

/// Writes that the life has. Number `n` sets the key `n` to a value of 1,000 bytes, and `last` to `n`.
const WRITES: u64 = 8;

/// How an objection begins where the store opened and said nothing.
const SILENT: &str = "silent: ";

fn open(engine: EngineKind, disk: &SimDisk) -> Result<Arc<dyn KvsEngine>> {
    let options = OpenOptions {
        disk: Arc::new(disk.clone()),
        durability: Durability::Always,
        // No threads, and always the same store id: every run does the same.
        schedule: Schedule::Inline,
        store_id: Some(7),
        ..OpenOptions::default()
    };
    let path = Path::new("/store");
    // Segments and memtables of 4 KiB: eight writes rotate twice.
    Ok(match engine {
        EngineKind::Lsm => Arc::new(Lsm::open(path, options, LsmOptions::tiny())?),
        _ => Arc::new(Bitcask::open(path, options, BitcaskOptions::tiny())?),
    })
}

fn write(store: &dyn KvsEngine, n: u64) -> Result<()> {
    let mut batch = kvs::WriteBatch::new();
    batch.set(&n.to_le_bytes(), &[n as u8; 1000]);
    batch.set(b"last", &n.to_le_bytes());
    store.write(batch, &Default::default())
}

/// A life with marks: what was asked for, and what was acknowledged as durable.
fn record(engine: EngineKind) -> Result<Recording> {
    let disk = SimDisk::new();
    let store = open(engine, &disk)?;
    for n in 1..=WRITES {
        disk.mark(Mark::Issue(n));
        write(&*store, n)?;
        disk.mark(Mark::Ack(n));
        if n == WRITES / 2 {
            store.compact()?;
        }
    }
    drop(store);
    Ok(disk.recording())
}

/// Opens the store that a crash left: what it holds must be a prefix of the writes, no shorter than
/// what was acknowledged.
fn judge(engine: EngineKind, state: &State<'_>) -> std::result::Result<(), String> {
    let disk = SimDisk::from_image(&state.image, Record::Off);
    let last = look(engine, &disk).map_err(|error| error.to_string())?;
    match (state.lo()..=state.hi()).contains(&last) {
        true => Ok(()),
        false => Err(format!("{SILENT}{} writes were acknowledged, {last} are there", state.lo())),
    }
}

fn look(engine: EngineKind, disk: &SimDisk) -> Result<u64> {
    let store = open(engine, disk)?;
    let last =
        store.get(b"last")?.map_or(0, |value| value.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)));
    for n in 1..=WRITES {
        let is_there = store.get(&n.to_le_bytes())?.is_some_and(|value| *value == [n as u8; 1000]);
        if is_there != (n <= last) {
            let hole = format!("{SILENT}{last} writes, but write {n} is wrong");
            return Err(kvs::Error::InvalidArgument(hole));
        }
    }
    Ok(last)
}

fn main() -> Result<()> {
    let engine = std::env::args().nth(1).map_or(Ok(EngineKind::Bitcask), |name| name.parse())?;
    let whole = record(engine)?;
    let data: &[&str] = if engine == EngineKind::Lsm { &[".wal", ".sst"] } else { &[".seg"] };
    let files = data.iter().chain(&["MANIFEST", "MANIFEST.tmp", "ENGINE.tmp"]);
    let files = files.map(|name| (format!("file syncs of {name}"), Some(Forget::file_syncs(name))));
    let directories = [
        ("directory syncs of /store".to_string(), Some(Forget::dir_syncs("store"))),
        ("directory syncs of /".to_string(), Some(Forget::DirSync { ends_with: "/".into(), nth: None })),
    ];
    let forgets = [("nothing".to_string(), None)].into_iter().chain(files).chain(directories);
    let (name, syncs, judged, bad, silent) = ("forgotten", "syncs", "judged", "violations", "silent");
    println!("{name:28} {syncs:>5} {judged:>6} {bad:>10} {silent:>6}  first objection");
    for (name, forget) in forgets {
        let mut recording = whole.clone();
        let forgotten = forget.map_or(0, |forget| recording.forget(&forget));
        let budget = Budget { max_violations: usize::MAX, ..Budget::default() };
        let Report { distinct, violations, .. } = explore(&recording, &budget, |state| judge(engine, state));
        let first = violations.first().map_or("", |violation| &violation.message);
        let silent = violations.iter().filter(|violation| violation.message.starts_with(SILENT)).count();
        let bad = violations.len();
        println!("{name:28} {forgotten:>5} {distinct:>6} {bad:>10} {silent:>6}  {first}");
    }
    Ok(())
}
