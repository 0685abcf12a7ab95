//! What a run tells: one value, from which every output is made.

use crate::bench::measure::Latency;
use crate::engine::metered::Usage;
use crate::engine::stats::Stats;
use crate::vfs::counting::Ledger;
use serde::Serialize;
use std::collections::BTreeMap;

/// How a run was made: what one needs to make it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Conditions {
    /// The engine with its options, `lsm:compression=lz4`; or a peer's name.
    pub configuration: String,
    /// The engine's name.
    pub engine: String,
    /// When writes are acknowledged.
    pub durability: String,
    /// The workload.
    pub workload: String,
    /// Keys that a fill sets.
    pub keys: u64,
    /// Bytes of a key.
    pub key_bytes: String,
    /// Bytes of a value.
    pub value_bytes: String,
    /// Threads that make calls.
    pub threads: usize,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Whether it was a run in steps: no threads, a disk in memory, no times.
    pub is_stepped: bool,
}

/// One workload on one store.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// How it was made.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Calls that were made.
    pub calls: u64,
    /// Pairs that they wrote, read or removed.
    pub pairs: u64,
    /// How long it took; 0 in steps.
    pub seconds: f64,
    /// Seconds of the processor, of all threads of the process, background included; 0 in steps.
    pub cpu_seconds: f64,
    /// How long calls took, by kind.
    pub latencies: Vec<Latency>,
    /// What was asked for.
    pub usage: Option<Usage>,
    /// What the disk did.
    pub ledger: Option<Ledger>,
    /// The quotients of the two.
    pub amplification: Amplification,
    /// What is kept in memory.
    pub memory: Memory,
    /// The store at the end.
    pub shape: Shape,
    /// What theory says it should have cost.
    pub theory: Vec<Prediction>,
    /// The run over time.
    pub samples: Vec<Sample>,
}

impl Report {
    /// Pairs a second: for a batch of 100, 100. 0 in steps.
    pub fn pairs_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.pairs as f64 / self.seconds } else { 0.0 }
    }

    /// Whether it wrote, or reclaimed what was written.
    pub fn writes(&self) -> bool {
        let asked = |usage: &Usage| usage.bytes_written() + usage.compactions + usage.settles > 0;
        self.usage.as_ref().is_some_and(asked)
    }
}

/// How many bytes the disk saw for one of the user's; see [`crate::bench`] for the words. `None` where
/// the user did nothing of the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Amplification {
    /// Bytes written for a byte that was set or removed.
    pub write: Option<f64>,
    /// Bytes read for a byte that was got.
    pub read: Option<f64>,
    /// Bytes of files for a byte that is there, at the end.
    pub space: Option<f64>,
}

impl Amplification {
    /// From the two meters, and from what is there in the end.
    pub fn of(usage: &Usage, ledger: &Ledger, disk_bytes: u64, live_bytes: u64) -> Amplification {
        let quotient = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
        Amplification {
            write: quotient(ledger.total.written_bytes, usage.bytes_written()),
            read: quotient(ledger.total.read_bytes + ledger.total.mapped_bytes, usage.bytes_read()),
            space: quotient(disk_bytes, live_bytes),
        }
    }
}

/// What is kept in memory at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Bytes that the engine says it keeps.
    pub engine_bytes: u64,
    /// The same for each key that is there.
    pub bytes_per_key: Option<f64>,
    /// Of what these bytes are.
    pub parts: Vec<(String, u64)>,
    /// The most that the whole process held while it ran; `None` where the system does not tell, and in
    /// steps.
    pub peak_resident_bytes: Option<u64>,
}

/// What a store is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shape {
    /// Keys that are there, as the run knows it.
    pub keys: u64,
    /// Bytes of their keys and values.
    pub user_bytes: u64,
    /// Bytes of all files.
    pub disk_bytes: u64,
    /// Of these, bytes of records that a get can still reach, as the engine estimates it.
    pub live_bytes: u64,
    /// Files and bytes of each level; of the segments of Bitcask, which have none, together.
    pub levels: Vec<Level>,
    /// What the engine counted since it was opened.
    pub counters: BTreeMap<&'static str, u64>,
}

/// Files that lie side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Level {
    /// The level; `None` in an engine that has none.
    pub level: Option<u8>,
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, bytes that a get can still reach, where the engine knows it.
    pub live_bytes: u64,
}

impl Shape {
    /// What an engine tells of itself, and what the run knows is there.
    pub fn of(stats: &Stats, keys: u64, user_bytes: u64) -> Shape {
        let mut levels: BTreeMap<Option<u8>, Level> = BTreeMap::new();
        for file in &stats.files {
            let empty = Level { level: file.level, files: 0, bytes: 0, live_bytes: 0 };
            let level = levels.entry(file.level).or_insert(empty);
            level.files += 1;
            level.bytes += file.bytes;
            level.live_bytes += file.live_bytes;
        }
        Shape {
            keys,
            user_bytes,
            disk_bytes: stats.disk_bytes,
            live_bytes: stats.live_bytes,
            levels: levels.into_values().collect(),
            counters: stats.counters.iter().map(|counter| (counter.name, counter.value)).collect(),
        }
    }
}

/// A run at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since it began; in steps, nothing.
    pub seconds: f64,
    /// Pairs so far.
    pub pairs: u64,
    /// Pairs a second since the last sample.
    pub pairs_per_second: f64,
    /// Half of the calls since the last sample took at most this.
    pub p50_us: f64,
    /// 99 in a hundred did.
    pub p99_us: f64,
    /// Bytes that the user wrote so far.
    pub user_written_bytes: u64,
    /// Bytes that the disk was given so far.
    pub written_bytes: u64,
    /// Bytes that the user read so far.
    pub user_read_bytes: u64,
    /// Bytes that the disk was asked for so far.
    pub read_bytes: u64,
    /// Bytes of all files.
    pub disk_bytes: u64,
    /// Bytes of them that a get can still reach.
    pub live_bytes: u64,
    /// Bytes that the engine keeps in memory.
    pub memory_bytes: u64,
    /// The levels.
    pub levels: Vec<Level>,
}

/// A prediction, and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Of what.
    pub what: &'static str,
    /// In what it is counted.
    pub unit: &'static str,
    /// What theory says.
    pub predicted: f64,
    /// What was measured.
    pub measured: f64,
    /// Why the two differ, where they do.
    pub reason: &'static str,
}

impl Prediction {
    /// How far the measurement is from the theory, as a part of it: 0.1 is ten in a hundred more.
    pub fn deviation(&self) -> f64 {
        self.measured / self.predicted - 1.0
    }
}
