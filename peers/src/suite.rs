//! All stages on all stores, in turn: each store, stage and round in a process of its own.

use crate::options::Options;
use crate::stage::Stage;
use crate::stores::Store;
use kvs::bench::error::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Everything that was measured, and how.
#[derive(Debug, Serialize)]
pub struct Suite {
    /// The command that makes it again.
    pub command: String,
    /// What it was run with.
    pub conditions: Conditions,
    /// The stores, with their versions.
    pub stores: Vec<(&'static str, String)>,
    /// Each process, in the order in which they ran.
    pub runs: Vec<Run>,
}

/// What all stores had in common.
#[derive(Debug, Serialize)]
pub struct Conditions {
    pub keys: u64,
    pub calls: u64,
    pub key_bytes: String,
    pub value_bytes: String,
    pub buffer_bytes: u64,
    pub cache_bytes: u64,
    pub filter_bits: u32,
    pub seed: u64,
    pub rounds: usize,
    /// Cores of the machine.
    pub cores: usize,
    /// Processes that ran or wanted to, on average of the minute before, when it began and when it ended.
    pub load: [Option<f64>; 2],
}

/// One process.
#[derive(Debug, Serialize)]
pub struct Run {
    pub store: &'static str,
    pub round: usize,
    /// The number of the stage.
    pub stage: usize,
    pub threads: usize,
    pub workloads: String,
    /// A report a workload; empty if it failed.
    pub reports: Vec<Value>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

impl Conditions {
    fn of(options: &Options) -> Conditions {
        Conditions {
            keys: options.keys,
            calls: options.calls(),
            key_bytes: options.key.to_string(),
            value_bytes: options.value.to_string(),
            buffer_bytes: options.buffer,
            cache_bytes: options.cache,
            filter_bits: options.filter_bits,
            seed: options.seed,
            rounds: options.rounds,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load: [load(), None],
        }
    }
}

/// Runs everything. Stores that fail have no figures; the others go on.
pub fn run(options: &Options, stores: &[Store], stages: &[Stage]) -> Result<Suite> {
    let mut suite = Suite {
        command: std::env::args().collect::<Vec<_>>().join(" "),
        conditions: Conditions::of(options),
        stores: stores.iter().map(|store| (store.name, (store.version)())).collect(),
        runs: Vec::new(),
    };
    for round in 0..options.rounds {
        for (number, stage) in stages.iter().enumerate() {
            // In one order, and in the next round in the other: a machine that drifts favours nobody.
            let mut order: Vec<&Store> = stores.iter().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for store in order {
                eprintln!("round {} of {}: {}", round + 1, options.rounds, store.name);
                let began = Instant::now();
                let (reports, failure) = match child(options, store, stage) {
                    Ok(reports) => (reports, None),
                    Err(error) => (Vec::new(), Some(error.to_string())),
                };
                match &failure {
                    None => eprintln!("  {:.1} s", began.elapsed().as_secs_f64()),
                    Some(failure) => eprintln!("  {failure}"),
                }
                let (threads, workloads) = (stage.threads, stage.names());
                let store = store.name;
                suite.runs.push(Run { store, round, stage: number, threads, workloads, reports, failure });
            }
        }
    }
    suite.conditions.load[1] = load();
    Ok(suite)
}

/// Runs a stage on a store in a process of its own, below a directory that goes away.
fn child(options: &Options, store: &Store, stage: &Stage) -> Result<Vec<Value>> {
    let failed = |reason: String| Error::Peer { store: store.name, reason };
    let place = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new().prefix("kvs-peers-").tempdir_in(&place);
    let dir = dir.map_err(|error| failed(format!("{}: {error}", place.display())))?;
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(program);
    command.args(options.of_child(store.name, stage, dir.path()));
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("{} failed: {}", stage.names(), output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

/// What a child does: prints its records.
pub fn be_child(options: &Options, dir: &Path) -> Result<()> {
    let stores = options.stores()?;
    let stages = options.stages()?;
    let ([store], [stage]) = (&stores[..], &stages[..]) else {
        return Err(Error::plan("a child runs one stage on one store"));
    };
    let began = |name: &str| eprintln!("  {name}");
    let records = crate::one::run(*store, &options.plan(stage), options.terms(), dir, began)?;
    let text = serde_json::to_string(&records).map_err(|error| Error::plan(error.to_string()))?;
    println!("{text}");
    Ok(())
}
