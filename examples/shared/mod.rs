//! What the examples at ten million keys share: where they work, what they print.

use kvs::engine::lsm::Lsm;
use kvs::engine::lsm::options::LsmOptions;
use kvs::vfs::counting::{CountingDisk, Ledger};
use kvs::vfs::os::OsDisk;
use kvs::{KvsEngine, OpenOptions, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an example fails with.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// A store whose bytes are counted.
pub(crate) struct Shown {
    pub(crate) disk: CountingDisk,
    pub(crate) options: LsmOptions,
    began: Instant,
}

impl Shown {
    /// With the options that the arguments behind the first give, as `memtable=1MiB`.
    pub(crate) fn new(settings: impl Iterator<Item = String>) -> std::result::Result<Shown, Failure> {
        let mut options =
            LsmOptions { memtable_bytes: 64 << 20, cache_bytes: 64 << 20, ..LsmOptions::default() };
        for setting in settings {
            let (name, value) = setting.split_once('=').ok_or("a setting is name=value")?;
            options.set(name, value)?;
        }
        Ok(Shown { disk: CountingDisk::new(Arc::new(OsDisk)), options, began: Instant::now() })
    }

    pub(crate) fn open(&self, path: &Path) -> Result<Lsm> {
        let open = OpenOptions { disk: Arc::new(self.disk.clone()), ..OpenOptions::default() };
        Lsm::open(path, open, self.options.clone())
    }

    /// Does one thing of which there are `count`, and prints what it took.
    pub(crate) fn phase<T>(&self, what: &str, count: u64, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let (began, before) = (Instant::now(), self.disk.ledger());
        let done = run()?;
        let (took, written) = (began.elapsed(), self.disk.ledger().since(&before).total.written_bytes);
        let rate = if count > 0 { format!("{:.0} a second", per_second(count, took)) } else { String::new() };
        println!(
            "{:6.1} s  {what:44} {:7.1} s  {rate:>18}  {:>9.1} MB written  peak {} MiB",
            self.began.elapsed().as_secs_f64(),
            took.as_secs_f64(),
            written as f64 / 1e6,
            peak_mib(),
        );
        Ok(done)
    }
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// The most memory that this process has had so far, in MiB, as the system counts it; 0 where it does
/// not say.
pub(crate) fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) >> 10
}

/// Prints the levels: their tables, bytes, entries, and how many times as large each is as the one above.
pub(crate) fn print_levels(store: &dyn KvsEngine) -> Result<()> {
    let stats = store.stats()?;
    println!("  level  tables        bytes     entries  times the one above");
    let mut above = 0;
    for level in 0..7 {
        let tables: Vec<_> = stats.files.iter().filter(|file| file.level == Some(level)).collect();
        let bytes: u64 = tables.iter().map(|table| table.bytes).sum();
        let entries: u64 = tables.iter().filter_map(|table| table.entries).sum();
        if bytes == 0 {
            continue;
        }
        let ratio = if above > 0 { format!("{:.2}", bytes as f64 / above as f64) } else { "-".into() };
        println!("  {level:>5}  {:>6} {bytes:>12} {entries:>11}  {ratio:>19}", tables.len());
        above = bytes;
    }
    println!("  in memory by its own count: {} MiB", stats.memory_bytes >> 20);
    Ok(())
}

/// Prints what was written, by kind of file and cause, and how many times that is the user's bytes.
pub(crate) fn print_amplification(ledger: &Ledger, user_bytes: u64) {
    for row in ledger.rows.iter().filter(|row| row.counts.written_bytes > 0) {
        let bytes = row.counts.written_bytes;
        let times = bytes as f64 / user_bytes as f64;
        println!("  {:8} {:14} {bytes:>13} bytes  {times:>6.3}", row.file, row.cause);
    }
    let total = ledger.total.written_bytes;
    let times = total as f64 / user_bytes as f64;
    println!("  written  {total:>28} bytes  {times:>6.3} times the {user_bytes} bytes of the user");
}
