//! The ledger against the operating system: what the meter of the disk says was written is what the
//! process handed to the system, to within a thousandth.
//!
//! One test, for the system counts for the whole process: what other tests write would be counted too.

#![cfg(target_os = "linux")]

use kvs::bench::lab::{self, EngineBench};
use kvs::bench::measure::written_bytes;
use kvs::bench::plan::Plan;
use kvs::bench::subject::Configuration;
use kvs::bench::workload::Workload;
use kvs::engine::options::Durability;
use std::ops::ControlFlow;

const CONFIGURATIONS: [(&str, &[(&str, &str)]); 2] = [
    ("bitcask", &[("segment_bytes", "256KiB")]),
    ("lsm", &[("memtable_bytes", "128KiB"), ("table_bytes", "64KiB"), ("level_bytes", "512KiB")]),
];

#[test]
fn the_ledger_is_what_the_system_counted() {
    for (engine, settings) in CONFIGURATIONS {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let configuration = Configuration {
            engine: engine.parse().unwrap(),
            settings: settings.collect(),
            durability: Durability::Os,
        };
        for workload in Workload::all() {
            let name = workload.name.clone();
            let plan = Plan { workloads: vec![workload], keys: 10_000, calls: 10_000, ..Plan::default() };
            let plan = plan.with_fill().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let mut bench = EngineBench::new(configuration.clone(), dir.path());
            let before = written_bytes().unwrap();
            let run = lab::run_whole(&mut bench, &plan, &mut |_, _| ControlFlow::Continue(())).unwrap();
            let system = written_bytes().unwrap() - before;
            // What was reserved ahead of appends was written too, as zeros.
            let total = run.ledger.unwrap().total;
            let ledger = total.written_bytes + total.reserved_bytes;
            let part = (ledger as f64 - system as f64).abs() / system as f64;
            assert!(part < 0.001, "{name} on {engine}: the ledger says {ledger}, the system {system}");
            println!("{engine:8} {name:18} ledger {ledger:>12}  system {system:>12}  off by {part:.6}");
        }
    }
}
