//! Several workloads, one after the other, on one store: the run of one configuration.

use crate::bench::error::Result;
use crate::bench::expected::Expected;
use crate::bench::keys::Data;
use crate::bench::plan::Plan;
use crate::bench::recording::Sink;
use crate::bench::report::{Amplification, Conditions, Memory, Prediction, Report, Sample, Shape};
use crate::bench::runner::run::Pace;
use crate::bench::runner::{self, Outcome};
use crate::bench::subject::{Configuration, Measured, Subject};
use crate::bench::theory;
use crate::bench::workload::{Work, Workload};
use crate::engine::options::OpenOptions;
use crate::vfs::counting::Ledger;
use crate::vfs::memory::SimDisk;
use crate::worker::Schedule;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A sample is taken whenever so much time has passed.
const EVERY: Duration = Duration::from_millis(100);

/// The identity of every store of a run in steps.
const STEPPED_ID: u64 = 1;

/// Told how a workload goes, by its name; breaks it off.
pub type Watch<'a> = dyn FnMut(&Workload, &Sample) -> ControlFlow<()> + Send + 'a;

/// A store to be measured, and how to make one anew.
pub trait Bench {
    /// What is measured.
    type Store: Subject;

    /// What it is called; the engine's name; when its writes are acknowledged.
    fn names(&self) -> [String; 3];

    /// What theory says a run should have cost.
    fn theory(&self, plan: &Plan, workload: &Workload, report: &Report) -> Vec<Prediction>;

    /// A new, empty store in place of the one there was, which is closed.
    fn make(&mut self, plan: &Plan) -> Result<Self::Store>;
}

/// A whole run, from the making of the first store to the closing of the last.
#[derive(Debug, Default)]
pub struct Run {
    /// Workload by workload.
    pub reports: Vec<Report>,
    /// What the disk did, with what was done when stores were made and closed.
    pub ledger: Option<Ledger>,
}

/// Runs all workloads of a plan on one store; a fill makes a new one.
pub fn run<B: Bench>(bench: &mut B, plan: &Plan, watch: &mut Watch<'_>) -> Result<Vec<Report>> {
    Ok(run_whole(bench, plan, watch)?.reports)
}

/// The same, and tells what making and closing stores cost.
pub fn run_whole<B: Bench>(bench: &mut B, plan: &Plan, watch: &mut Watch<'_>) -> Result<Run> {
    plan.validate()?;
    let data = Data::new(plan.key, plan.value, plan.seed)?;
    let pace = Pace {
        calls: plan.calls,
        limit: plan.limit,
        threads: plan.threads,
        every: (!plan.is_stepped).then_some(EVERY),
    };
    let mut expected = Expected::new(plan.capacity());
    let mut store: Option<B::Store> = None;
    let mut run = Run::default();
    for workload in &plan.workloads {
        if workload.makes_a_store() || store.is_none() {
            run.close(store.take());
            expected = Expected::new(plan.capacity());
        }
        let store = match &mut store {
            Some(store) => store,
            none => none.insert(bench.make(plan)?),
        };
        let (usage, ledger) = (store.usage(), store.ledger());
        let mut watch = |sample: &Sample| watch(workload, sample);
        let outcome = runner::run(store, &data, &expected, workload, plan.keys, &pace, &mut watch)?;
        let mut report = report(store, bench.names(), plan, workload, &data, &expected, outcome)?;
        report.usage = store.usage().zip(usage).map(|(now, before)| now.since(&before));
        report.ledger = store.ledger().zip(ledger).map(|(now, before)| now.since(&before));
        if let (Some(usage), Some(ledger)) = (&report.usage, &report.ledger) {
            let shape = &report.shape;
            report.amplification = Amplification::of(usage, ledger, shape.disk_bytes, shape.user_bytes);
        }
        report.theory = bench.theory(plan, workload, &report);
        run.reports.push(report);
    }
    run.close(store.take());
    Ok(run)
}

impl Run {
    /// Closes a store, and takes its ledger to the others'.
    fn close(&mut self, store: Option<impl Subject>) {
        let Some(ledger) = store.and_then(Subject::close) else { return };
        self.ledger = Some(self.ledger.take().map_or(ledger.clone(), |sum| sum.plus(&ledger)));
    }
}

fn report(
    store: &dyn Subject,
    [configuration, engine, durability]: [String; 3],
    plan: &Plan,
    workload: &Workload,
    data: &Data,
    expected: &Expected,
    outcome: Outcome,
) -> Result<Report> {
    let stats = store.stats()?;
    let (traced_keys, traced_bytes) = {
        let replay = expected.replay();
        (replay.keys(), replay.bytes())
    };
    let keys = expected.live_keys() + traced_keys;
    // Keys have their mean size: exactly so if they are all alike.
    let key_bytes = (expected.live_keys() as f64 * data.key_sizes().mean()) as u64;
    let user_bytes = key_bytes + expected.live_value_bytes() + traced_bytes;
    // A trace has keys and sizes of its own.
    let (planned_keys, key, value) = match &workload.work {
        Work::Load(trace) | Work::Replay(trace) => trace.pairs(),
        _ => (plan.keys, plan.key, plan.value),
    };
    let parts = stats.memory.iter().map(|part| (part.name.to_string(), part.value)).collect();
    Ok(Report {
        conditions: Conditions {
            configuration,
            engine,
            durability: if workload.is_durable { "always".into() } else { durability },
            workload: workload.name.clone(),
            keys: planned_keys,
            key_bytes: key.to_string(),
            value_bytes: value.to_string(),
            threads: plan.threads,
            seed: plan.seed,
            is_stepped: plan.is_stepped,
        },
        calls: outcome.calls,
        pairs: outcome.pairs,
        seconds: if plan.is_stepped { 0.0 } else { outcome.took.as_secs_f64() },
        cpu_seconds: if plan.is_stepped { 0.0 } else { outcome.cpu_seconds },
        latencies: outcome.latencies.summary(),
        usage: None,
        ledger: None,
        amplification: Amplification::default(),
        memory: Memory {
            engine_bytes: stats.memory_bytes,
            bytes_per_key: (keys > 0).then(|| stats.memory_bytes as f64 / keys as f64),
            parts,
            peak_resident_bytes: outcome.peak_resident_bytes,
        },
        shape: Shape::of(&stats, keys, user_bytes),
        theory: Vec::new(),
        samples: outcome.samples,
    })
}

/// An engine of this crate, in a directory of its own, or in memory for a run in steps.
#[derive(Debug)]
pub struct EngineBench {
    configuration: Configuration,
    dir: PathBuf,
    made: u64,
    sink: Option<Sink>,
}

impl EngineBench {
    /// Stores are made below `dir`, which is there.
    pub fn new(configuration: Configuration, dir: &Path) -> EngineBench {
        EngineBench { configuration, dir: dir.to_path_buf(), made: 0, sink: None }
    }

    /// Records all calls into a trace.
    pub fn recorded(self, sink: Sink) -> EngineBench {
        EngineBench { sink: Some(sink), ..self }
    }
}

impl Bench for EngineBench {
    type Store = Measured;

    fn names(&self) -> [String; 3] {
        let configuration = &self.configuration;
        [configuration.name(), configuration.engine.to_string(), configuration.durability.to_string()]
    }

    fn theory(&self, plan: &Plan, workload: &Workload, report: &Report) -> Vec<Prediction> {
        theory::of(&self.configuration, plan, workload, report)
    }

    fn make(&mut self, plan: &Plan) -> Result<Measured> {
        self.made += 1;
        let name = format!("store-{}", self.made);
        if !plan.is_stepped {
            return self.configuration.open(&self.dir.join(name), &OpenOptions::default(), self.sink.clone());
        }
        let options = OpenOptions {
            disk: Arc::new(SimDisk::new()),
            schedule: Schedule::Inline,
            store_id: Some(STEPPED_ID),
            ..OpenOptions::default()
        };
        self.configuration.open(&Path::new("/").join(name), &options, self.sink.clone())
    }
}
