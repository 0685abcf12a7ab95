//! Workloads: which calls are made, of which keys.

use crate::bench::distribution::Distribution;
use crate::bench::error::{Error, Result};
use crate::bench::trace::Trace;
use crate::engine::range::Direction;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One kind of call. A latency is kept for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Get a key that is there.
    Read,
    /// Get a key that is not there.
    Missing,
    /// Set a key that is there to another value.
    Update,
    /// Set a key that was never there.
    Insert,
    /// Get a key, then set it.
    ReadModifyWrite,
    /// Remove a key, without asking whether it is there.
    Delete,
    /// Seek a key and go on for some pairs.
    Scan,
    /// Set many keys in one atomic batch.
    Batch,
    /// Reclaim all that can be reclaimed.
    Compact,
}

impl Call {
    /// All kinds.
    pub const ALL: [Call; 9] = [
        Call::Read,
        Call::Missing,
        Call::Update,
        Call::Insert,
        Call::ReadModifyWrite,
        Call::Delete,
        Call::Scan,
        Call::Batch,
        Call::Compact,
    ];

    /// Its name, in reports and mixes.
    pub fn name(self) -> &'static str {
        match self {
            Call::Read => "read",
            Call::Missing => "missing",
            Call::Update => "update",
            Call::Insert => "insert",
            Call::ReadModifyWrite => "rmw",
            Call::Delete => "delete",
            Call::Scan => "scan",
            Call::Batch => "batch",
            Call::Compact => "compact",
        }
    }
}

/// Kinds of calls, and how many in a hundred each makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// The kinds, with their parts; these add up to 1.
    pub parts: Vec<(Call, f64)>,
}

impl Mix {
    /// Only one kind.
    pub fn only(call: Call) -> Mix {
        Mix { parts: vec![(call, 1.0)] }
    }

    /// The kind that a number from 0 to 1 stands for.
    pub fn pick(&self, part: f64) -> Call {
        let mut sum = 0.0;
        let found = self.parts.iter().find(|(_, weight)| {
            sum += weight;
            part < sum
        });
        found.or(self.parts.last()).map_or(Call::Read, |(call, _)| *call)
    }

    /// What part of the calls is of this kind.
    pub fn part(&self, call: Call) -> f64 {
        self.parts.iter().filter(|(other, _)| *other == call).map(|(_, part)| part).sum()
    }
}

impl FromStr for Mix {
    type Err = String;

    /// `read=50,update=50`: weights, whatever they add up to.
    fn from_str(text: &str) -> std::result::Result<Mix, String> {
        let mixed = [
            Call::Read,
            Call::Missing,
            Call::Update,
            Call::Insert,
            Call::ReadModifyWrite,
            Call::Delete,
            Call::Scan,
        ];
        let mut parts = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').ok_or(format!("{part}: write it as read=50"))?;
            let call = mixed.into_iter().find(|call| call.name() == name.trim()).ok_or_else(|| {
                let names: Vec<_> = mixed.iter().map(|call| call.name()).collect();
                format!("{name}: one of {}", names.join(", "))
            })?;
            match weight.trim().parse::<f64>() {
                Ok(weight) if weight > 0.0 && weight.is_finite() => parts.push((call, weight)),
                _ => return Err(format!("{part}: the weight is a number above 0")),
            }
        }
        let sum: f64 = parts.iter().map(|(_, weight)| weight).sum();
        parts.iter_mut().for_each(|(_, weight)| *weight /= sum);
        Ok(Mix { parts })
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts.iter().map(|(call, part)| format!("{}={}", call.name(), hundredths(*part)));
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

/// A part in hundredths, with as few digits as say which it is.
fn hundredths(part: f64) -> String {
    let is_it = |text: &String| text.parse::<f64>().is_ok_and(|read| read / 100.0 == part);
    let mut texts = (0..18).map(|digits| format!("{:.digits$}", part * 100.0));
    texts.find(is_it).unwrap_or_else(|| (part * 100.0).to_string())
}

/// The order in which something is done to each key once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// That of the keys.
    Ascending,
    /// As if by chance.
    Shuffled,
}

/// What a workload does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Makes a new store, and sets each key once; with more than one key a batch, in atomic batches.
    Fill {
        /// In which order.
        order: Order,
        /// Keys of a batch.
        batch: u64,
    },
    /// Removes each key once.
    Empty(Order),
    /// Reads all pairs, once.
    Sweep(Direction),
    /// Calls of several kinds, of keys that are drawn.
    Mixed {
        /// Which calls.
        mix: Mix,
        /// Which keys.
        distribution: Distribution,
        /// Pairs of a scan, at most; each scan draws its own number if `scan_is_drawn`.
        scan_pairs: u64,
        /// Whether a scan has from 1 to `scan_pairs` pairs, all numbers alike.
        scan_is_drawn: bool,
        /// What one more thread does for as long as the others work.
        beside: Option<Mix>,
    },
    /// Reclaims all that can be reclaimed.
    Compact,
    /// Waits for the background.
    Settle,
    /// Makes a new store, and writes what was there when a trace began.
    Load(Arc<Trace>),
    /// Makes the calls of a trace.
    Replay(Arc<Trace>),
}

/// A workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// What it does, in words.
    pub about: &'static str,
    /// What it does.
    pub work: Work,
    /// Whether each write is durable before it returns.
    pub is_durable: bool,
    /// It makes one call for so many of those that are asked for: a sync takes a hundred times as long
    /// as a write.
    pub divisor: u64,
}

/// Pairs that `seekrandom` reads behind a key.
const SEEK_PAIRS: u64 = 50;

/// Pairs of a batch of `fillbatch`, as in `db_bench`.
const BATCH: u64 = 1000;

fn mixed(mix: &str, distribution: &str) -> Work {
    let (mix, distribution) = (mix.parse(), distribution.parse());
    Work::Mixed {
        mix: mix.unwrap_or_else(|_| Mix::only(Call::Read)),
        distribution: distribution.unwrap_or(Distribution::Uniform),
        scan_pairs: 100,
        scan_is_drawn: true,
        beside: None,
    }
}

/// What `beside` is done, and how many pairs a scan has.
fn with(work: Work, pairs: u64, other: Option<Call>) -> Work {
    match work {
        Work::Mixed { mix, distribution, .. } => Work::Mixed {
            mix,
            distribution,
            scan_pairs: pairs,
            scan_is_drawn: false,
            beside: other.map(Mix::only),
        },
        other => other,
    }
}

impl Workload {
    fn new(name: &str, about: &'static str, work: Work) -> Workload {
        Workload { name: name.to_string(), about, work, is_durable: false, divisor: 1 }
    }

    /// A mix that the user made.
    pub fn custom(mix: Mix, distribution: Distribution) -> Workload {
        let work = Work::Mixed { mix, distribution, scan_pairs: 100, scan_is_drawn: true, beside: None };
        Workload::new("mix", "calls as given", work)
    }

    /// What makes the calls of a trace again: the store that it began with, and the calls.
    pub fn replay(trace: Trace) -> [Workload; 2] {
        let trace = Arc::new(trace);
        let load = Workload::new(
            "load",
            "new store; what was there when the trace began",
            Work::Load(trace.clone()),
        );
        [load, Workload::new("replay", "the calls of the trace", Work::Replay(trace))]
    }

    /// All that have names.
    pub fn all() -> Vec<Workload> {
        use Order::{Ascending, Shuffled};
        let fill = |order, batch| Work::Fill { order, batch };
        let new = Workload::new;
        vec![
            new("fillseq", "new store; set each key once, in order", fill(Ascending, 1)),
            new("fillrandom", "new store; set each key once, in random order", fill(Shuffled, 1)),
            new("fillbatch", "new store; batches of 1,000 keys, in order", fill(Ascending, BATCH)),
            Workload {
                is_durable: true,
                divisor: 1000,
                ..new(
                    "fillsync",
                    "set random keys, each durable; one call in 1,000",
                    mixed("update=1", "uniform"),
                )
            },
            new("overwrite", "set random keys that are there", mixed("update=1", "uniform")),
            new("updaterandom", "get a random key, then set it", mixed("rmw=1", "uniform")),
            new("readrandom", "get random keys that are there", mixed("read=1", "uniform")),
            new("readmissing", "get random keys that are not there", mixed("missing=1", "uniform")),
            new("readhot", "get random keys of the first 1 %", mixed("read=1", "hot:0.01:1")),
            new("readseq", "read all pairs in order", Work::Sweep(Direction::Forward)),
            new("readreverse", "read all pairs from the end", Work::Sweep(Direction::Reverse)),
            Workload {
                divisor: 10,
                ..new(
                    "seekrandom",
                    "seek a random key and read 50 pairs; one call in 10",
                    with(mixed("scan=1", "uniform"), SEEK_PAIRS, None),
                )
            },
            new(
                "readwhilewriting",
                "get random keys, while one more thread sets some",
                with(mixed("read=1", "uniform"), SEEK_PAIRS, Some(Call::Update)),
            ),
            new("deleteseq", "remove each key once, in order", Work::Empty(Ascending)),
            new("deleterandom", "remove each key once, in random order", Work::Empty(Shuffled)),
            new("compact", "reclaim all that can be reclaimed", Work::Compact),
            new("settle", "wait for the background", Work::Settle),
            new(
                "ycsb-a",
                "YCSB A, session store: half reads, half updates",
                mixed("read=50,update=50", "zipfian"),
            ),
            new(
                "ycsb-b",
                "YCSB B, photo tags: 95 % reads, 5 % updates",
                mixed("read=95,update=5", "zipfian"),
            ),
            new("ycsb-c", "YCSB C, profile cache: only reads", mixed("read=1", "zipfian")),
            new(
                "ycsb-d",
                "YCSB D, status updates: 95 % reads of the newest, 5 % inserts",
                mixed("read=95,insert=5", "latest"),
            ),
            Workload {
                divisor: 10,
                ..new(
                    "ycsb-e",
                    "YCSB E, threads: 95 % scans of up to 100 pairs, 5 % inserts; one call in 10",
                    mixed("scan=95,insert=5", "zipfian"),
                )
            },
            new(
                "ycsb-f",
                "YCSB F, user database: half reads, half read-modify-writes",
                mixed("read=50,rmw=50", "zipfian"),
            ),
        ]
    }

    /// The workload with a name.
    pub fn named(name: &str) -> Result<Workload> {
        let all = Workload::all();
        let found = all.iter().find(|workload| workload.name == name.to_ascii_lowercase());
        found.cloned().ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|workload| workload.name.as_str()).collect();
            Error::plan(format!("{name}: no such workload; there are {}", names.join(", ")))
        })
    }

    /// Whether it begins with a store of its own.
    pub fn makes_a_store(&self) -> bool {
        matches!(self.work, Work::Fill { .. } | Work::Load(_))
    }

    /// Calls that it makes of `calls` that were asked for. What is done once a key is done for each of
    /// the `keys`.
    pub fn calls(&self, keys: u64, calls: u64) -> u64 {
        match &self.work {
            Work::Fill { batch, .. } => keys.div_ceil(*batch),
            Work::Empty(_) => keys,
            Work::Sweep(_) | Work::Compact | Work::Settle => 1,
            Work::Load(trace) => trace.loads(),
            Work::Replay(trace) => trace.calls.len() as u64,
            Work::Mixed { .. } => (calls / self.divisor).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Mix, Work, Workload};

    #[test]
    fn all_workloads_have_names_of_their_own_and_are_what_they_say() {
        let all = Workload::all();
        for workload in &all {
            assert_eq!(&Workload::named(&workload.name).unwrap(), workload);
            assert_eq!(all.iter().filter(|other| other.name == workload.name).count(), 1);
        }
        assert!(Workload::named("fill").unwrap_err().to_string().contains("fillrandom"));
        let Work::Mixed { mix, distribution, .. } = Workload::named("YCSB-B").unwrap().work else { panic!() };
        assert_eq!(
            (mix.to_string(), distribution.to_string()),
            ("read=95,update=5".into(), "zipfian:0.99".into())
        );
    }

    #[test]
    fn mixes_are_read_and_picked_from() {
        let mix: Mix = "read=3, update=1".parse().unwrap();
        assert_eq!((mix.part(Call::Read), mix.part(Call::Update)), (0.75, 0.25));
        assert_eq!(
            [0.0, 0.74, 0.75, 0.999, 1.0].map(|part| mix.pick(part)),
            [Call::Read, Call::Read, Call::Update, Call::Update, Call::Update]
        );
        for (text, told) in [
            ("read=995,update=5", "read=99.5,update=0.5"),
            ("read=0.93,missing=0.07", "read=93,missing=7"),
            ("scan=1", "scan=100"),
        ] {
            let mix: Mix = text.parse().unwrap();
            assert_eq!(mix.to_string(), told);
            assert_eq!(told.parse::<Mix>().unwrap(), mix, "{text}");
        }
        // A third has no end.
        let thirds: Mix = "read=2,update=1".parse().unwrap();
        let again: Mix = thirds.to_string().parse().unwrap();
        assert!((again.part(Call::Read) - 2.0 / 3.0).abs() < 1e-15, "{thirds}");
        for text in ["", "read", "read=0", "read=-1", "read=nan", "batch=1", "eat=1"] {
            assert!(text.parse::<Mix>().is_err(), "{text}");
        }
    }
}
