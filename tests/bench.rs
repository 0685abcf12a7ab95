//! The laboratory: every workload on every engine, held against what it should answer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kvs::EngineKind;
use kvs::bench::error::Error;
use kvs::bench::lab::{self, EngineBench};
use kvs::bench::plan::Plan;
use kvs::bench::report::Report;
use kvs::bench::subject::Configuration;
use kvs::bench::workload::Workload;
use kvs::engine::options::Durability;
use std::ops::ControlFlow;
use std::time::Duration;

fn configuration(text: &str) -> Configuration {
    let (engine, settings) = text.split_once(':').unwrap_or((text, ""));
    let settings = settings.split(';').filter_map(|setting| setting.split_once('='));
    Configuration {
        engine: engine.parse().unwrap(),
        settings: settings.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        durability: Durability::Os,
    }
}

/// A store small enough that a short run flushes, compacts and merges.
const SMALL: [&str; 3] = [
    "bitcask:segment_bytes=64KiB",
    "lsm:memtable_bytes=32KiB;table_bytes=32KiB;level_bytes=128KiB;cache_bytes=64KiB",
    "memory",
];

fn plan(workloads: &str) -> Plan {
    let workloads = workloads.split(' ').map(|name| Workload::named(name).unwrap()).collect();
    Plan { workloads, keys: 3000, calls: 2000, ..Plan::default() }
}

fn run(configuration_of: &str, plan: &Plan) -> Result<Vec<Report>, Error> {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = EngineBench::new(configuration(configuration_of), dir.path());
    lab::run(&mut bench, plan, &mut |_, _| ControlFlow::Continue(()))
}

#[test]
fn every_workload_runs_on_every_engine() {
    let all: Vec<Workload> = Workload::all();
    for engine in SMALL {
        for (is_stepped, threads) in [(true, 1), (false, 1), (false, 3)] {
            for workload in &all {
                let plan = Plan { workloads: vec![workload.clone()], is_stepped, threads, ..plan("settle") };
                let plan = plan.with_fill().unwrap();
                let reports = run(engine, &plan);
                let name =
                    format!("{} on {engine}, {threads} threads, in steps: {is_stepped}", workload.name);
                let report = reports.unwrap_or_else(|error| panic!("{name}: {error}")).pop().unwrap();
                assert_eq!(report.conditions.workload, workload.name);
                assert!(report.calls > 0, "{name}");
                assert_eq!(report.seconds > 0.0, !is_stepped, "{name}");
                assert!(!report.samples.is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn runs_in_steps_are_equal_and_other_seeds_are_not() {
    let plan = plan("fillrandom overwrite deleterandom fillseq ycsb-a ycsb-d ycsb-e settle readseq compact");
    let plan = Plan { is_stepped: true, ..plan };
    for engine in SMALL {
        let tell = |plan: &Plan| serde_json::to_string_pretty(&run(engine, plan).unwrap()).unwrap();
        let (one, same, other) = (tell(&plan), tell(&plan), tell(&Plan { seed: 2, ..plan.clone() }));
        assert_eq!(one, same, "{engine}");
        assert_ne!(one, other, "{engine}");
    }
}

#[test]
fn what_the_meters_say_fits_what_was_done() {
    let plan =
        Plan { is_stepped: true, ..plan("fillrandom overwrite settle readrandom readmissing readseq") };
    for engine in SMALL {
        let reports = run(engine, &plan).unwrap();
        let [fill, overwrite, _, read, missing, sweep] = &reports[..] else { panic!() };
        let user = |report: &Report| report.usage.unwrap().bytes_written();
        assert_eq!([user(fill), user(overwrite)], [3000 * 116, 2000 * 116]);
        assert_eq!((fill.shape.keys, fill.shape.user_bytes), (3000, 3000 * 116));
        assert_eq!(read.usage.unwrap().bytes_read(), 2000 * 116);
        assert_eq!((missing.usage.unwrap().misses, missing.amplification.read), (2000, None));
        assert_eq!((sweep.pairs, sweep.usage.unwrap().steps), (3000, 3000));
        if engine != "memory" {
            let written = |report: &Report| report.amplification.write.unwrap();
            assert!(written(fill) > 1.0 && written(fill) < 10.0, "{engine}: {}", written(fill));
            assert!(written(overwrite) > written(fill), "{engine}: merges and compactions run");
            assert!(overwrite.amplification.space.unwrap() > 1.0);
            assert!(read.amplification.read.unwrap() >= 0.1);
        }
        assert!(fill.memory.bytes_per_key.unwrap() > 1.0);
    }
}

/// The end of a run was what somebody saw who looked every 5 ms: 200 gets of 0.3 us each and 200 sets of 2 us
/// each had the same throughput, 39 thousand a second, and of two equal configurations one was "6.77 times as
/// fast". Here the calls of one run in fifty, at least, must make up a part of its time worth speaking of;
/// they were a fiftieth at most.
#[test]
fn a_short_run_takes_as_long_as_its_calls() {
    let plan = Plan { keys: 200, ..plan("fillseq") };
    let part_of_the_calls = |_| {
        let report = run("memory", &plan).unwrap().remove(0);
        let calls: f64 = report.latencies.iter().map(|l| l.mean_us * l.calls as f64 / 1e6).sum();
        calls / report.seconds
    };
    let parts: Vec<f64> = (0..50).map(part_of_the_calls).collect();
    assert!(parts.iter().any(|part| *part > 0.1), "{parts:?}");
}

/// A fill in random order that ended after its time left few keys, and the highest of them passed for how many there
/// are: of 5,000 gets 4,899 were misses, and the report told of 5,000 reads of a store of 5,000,000 keys.
#[test]
fn a_fill_goes_on_to_its_end() {
    let limit = Some(Duration::from_millis(1));
    for threads in [1, 2] {
        let plan = Plan { limit, threads, ..plan("fillrandom readrandom fillbatch readrandom") };
        for engine in SMALL {
            for report in run(engine, &plan).unwrap() {
                let (usage, name) = (report.usage.unwrap(), report.conditions.workload);
                assert_eq!((usage.misses, report.shape.keys), (0, plan.keys), "{name} on {engine}");
            }
        }
    }
}

#[test]
fn what_can_not_be_run_is_refused() {
    let refused = |plan: Plan| plan.validate().unwrap_err().to_string();
    assert!(refused(Plan::default()).contains("no workload"));
    assert!(refused(Plan { keys: 0, ..plan("fillseq") }).contains("0 keys"));
    assert!(refused(Plan { threads: 2, is_stepped: true, ..plan("fillseq") }).contains("one thread"));
    let error = run("lsm", &plan("readrandom")).unwrap_err().to_string();
    assert!(error.contains("begin with a fill"), "{error}");
    let filled = plan("readrandom").with_fill().unwrap();
    assert_eq!(filled.workloads[0].name, "fillrandom");
    assert_eq!(EngineKind::ALL.len(), SMALL.len());
}

#[test]
fn a_run_can_be_broken_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = EngineBench::new(configuration("bitcask"), dir.path());
    let plan = Plan { keys: 10_000_000, ..plan("fillrandom") };
    let error = lab::run(&mut bench, &plan, &mut |_, _| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
}
