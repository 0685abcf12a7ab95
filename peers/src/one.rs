//! One stage on one store, in this process.

use crate::peer::{Counted, Terms, WRITTEN};
use crate::stores::Store;
use kvs::bench::error::{Error, Result};
use kvs::bench::lab::{self, Bench, Plan};
use kvs::bench::measure::written_bytes;
use kvs::bench::report::Report;
use kvs::bench::theory::Prediction;
use kvs::bench::workload::Workload;
use serde::Serialize;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A report, and what the process wrote meanwhile.
#[derive(Debug, Serialize)]
pub struct Record {
    #[serde(flatten)]
    pub report: Report,
    /// Bytes that the process gave to write calls; `None` where the system does not tell.
    pub written_bytes: Option<u64>,
}

/// A store in a directory of its own.
struct One<'a> {
    store: Store,
    terms: Terms,
    dir: &'a Path,
    made: u64,
}

impl One<'_> {
    fn place(&self) -> PathBuf {
        self.dir.join(format!("store-{}", self.made))
    }
}

impl Bench for One<'_> {
    type Store = Counted;

    fn names(&self) -> [String; 3] {
        [self.store.name, self.store.name, "os"].map(String::from)
    }

    /// Theory speaks of engines whose structure is known to it.
    fn theory(&self, _: &Plan, _: &Workload, _: &Report) -> Vec<Prediction> {
        Vec::new()
    }

    fn make(&mut self, _: &Plan) -> Result<Counted> {
        let failed =
            |error: std::io::Error| Error::Peer { store: self.store.name, reason: error.to_string() };
        if self.made > 0 {
            fs::remove_dir_all(self.place()).map_err(failed)?;
        }
        self.made += 1;
        let place = self.place();
        fs::create_dir_all(&place).map_err(failed)?;
        let written = written_bytes();
        let peer = (self.store.open)(&place, &self.terms)?;
        Ok(Counted::new(self.store.name, peer, &place, written))
    }
}

/// Runs all workloads of a plan on a store, below `dir`. `began` is told each workload that takes longer
/// than a moment.
pub fn run(
    store: Store,
    plan: &Plan,
    terms: Terms,
    dir: &Path,
    mut began: impl FnMut(&str) + Send,
) -> Result<Vec<Record>> {
    let mut last = None;
    let mut watch = |workload: &Workload, _: &_| {
        if last.as_ref() != Some(&workload.name) {
            began(&workload.name);
            last = Some(workload.name.clone());
        }
        ControlFlow::Continue(())
    };
    let reports = lab::run(&mut One { store, terms, dir, made: 0 }, plan, &mut watch)?;
    let mut before = 0;
    let record = |(mut report, workload): (Report, &Workload)| {
        // The counter begins with each store.
        before = if workload.makes_a_store() { 0 } else { before };
        let written = report.shape.counters.get(WRITTEN).copied();
        let written_bytes = written.map(|written| written - before);
        before = written.unwrap_or(0);
        let asked = report.usage.map_or(0, |usage| usage.bytes_written());
        let quotient = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
        report.amplification.write = written_bytes.and_then(|written| quotient(written, asked));
        report.amplification.space = quotient(report.shape.disk_bytes, report.shape.user_bytes);
        Record { report, written_bytes }
    };
    Ok(reports.into_iter().zip(&plan.workloads).map(record).collect())
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::peer::{Peer, Terms};
    use crate::stores::Store;
    use kvs::WriteBatch;
    use kvs::bench::error::{Error, Result};
    use kvs::bench::lab::Plan;
    use kvs::bench::workload::Workload;
    use kvs::engine::batch::Op;
    use kvs::engine::range::Direction;
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Mutex;

    const TERMS: Terms = Terms { buffer_bytes: 64 << 10, cache_bytes: 1 << 20, filter_bits: 10 };

    fn plan(names: &[&str], threads: usize) -> Plan {
        let workloads = names.iter().map(|name| Workload::named(name).unwrap()).collect();
        Plan { workloads, keys: 600, calls: 3000, threads, ..Plan::default() }
    }

    #[test]
    fn every_store_answers_every_workload() {
        let plan = plan(
            &[
                "fillseq",
                "readseq",
                "fillrandom",
                "settle",
                "readrandom",
                "readhot",
                "readmissing",
                "readseq",
                "readreverse",
                "seekrandom",
                "readwhilewriting",
                "updaterandom",
                "overwrite",
                "settle",
                "ycsb-d",
                "ycsb-e",
                "compact",
                "readseq",
                "deleterandom",
                "readreverse",
                "fillbatch",
                "fillsync",
                "readrandom",
            ],
            1,
        );
        for store in Store::all() {
            let dir = tempfile::tempdir().unwrap();
            let records = run(store, &plan, TERMS, dir.path(), |_| {});
            let records = records.unwrap_or_else(|error| panic!("{}: {error}", store.name));
            assert_eq!(records.len(), plan.workloads.len());
            let [fill, delete] = ["fillrandom", "deleterandom"]
                .map(|name| records.iter().find(|record| record.report.conditions.workload == name).unwrap());
            let usage = fill.report.usage.unwrap();
            assert_eq!((usage.sets, usage.bytes_written()), (600, 600 * 116), "{}", store.name);
            assert_eq!(delete.report.usage.unwrap().removes, delete.report.calls, "{}", store.name);
            assert_eq!(delete.report.shape.user_bytes, 0, "{}", store.name);
            assert!(fill.report.shape.disk_bytes > 0, "{}", store.name);
        }
    }

    #[test]
    fn every_store_answers_several_threads() {
        let names = ["fillrandom", "readrandom", "overwrite", "fillsync", "readwhilewriting", "deleterandom"];
        for store in Store::all() {
            let dir = tempfile::tempdir().unwrap();
            let records = run(store, &plan(&names, 4), TERMS, dir.path(), |_| {});
            records.unwrap_or_else(|error| panic!("{}: {error}", store.name));
        }
    }

    #[test]
    fn every_store_scans_from_everywhere() {
        let keys = ["b", "d", "f"];
        for store in Store::all() {
            let dir = tempfile::tempdir().unwrap();
            let peer = (store.open)(dir.path(), &TERMS).unwrap();
            let mut batch = WriteBatch::new();
            keys.iter().for_each(|key| batch.set(key.as_bytes(), b"value"));
            batch.set(b"g", b"value");
            batch.remove(b"g");
            peer.write(batch, true).unwrap();
            let scan = |from: Option<&str>, direction, limit| {
                let mut seen = Vec::new();
                let mut see = |key: &[u8], _: &[u8]| seen.push(String::from_utf8(key.to_vec()).unwrap());
                let count = peer.scan(from.map(str::as_bytes), direction, limit, &mut see).unwrap();
                assert_eq!(count, seen.len() as u64);
                seen.concat()
            };
            for (from, limit, up, down) in [
                (None, 9, "bdf", "fdb"),
                (None, 2, "bd", "fd"),
                (None, 0, "", ""),
                (Some("a"), 9, "bdf", ""),
                (Some("c"), 9, "df", "b"),
                (Some("d"), 9, "df", "b"),
                (Some("d"), 1, "d", "b"),
                (Some("f"), 1, "f", "d"),
                (Some("z"), 9, "", "fdb"),
            ] {
                let found = [Direction::Forward, Direction::Reverse].map(|to| scan(from, to, limit));
                assert_eq!(found, [up, down], "{} from {from:?}, at most {limit}", store.name);
            }
        }
    }

    /// A store that does not do what it is told.
    struct Broken {
        pairs: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
        fault: Fault,
    }

    #[derive(Clone, Copy)]
    enum Fault {
        None,
        LosesASet,
        KeepsTheRemoved,
        ScansBackwards,
    }

    impl Peer for Broken {
        fn write(&self, batch: WriteBatch, _: bool) -> Result<()> {
            let mut pairs = self.pairs.lock().unwrap();
            for op in batch.iter() {
                match (op, self.fault) {
                    (Op::Set(key, _), Fault::LosesASet) if key.ends_with(b"24") => {}
                    (Op::Set(key, value), _) => drop(pairs.insert(key.to_vec(), value.to_vec())),
                    (Op::Remove(_), Fault::KeepsTheRemoved) => {}
                    (Op::Remove(key), _) => drop(pairs.remove(key)),
                }
            }
            Ok(())
        }

        fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
            Ok(self.pairs.lock().unwrap().get(key).map(|value| see(value)).is_some())
        }

        fn scan(
            &self,
            from: Option<&[u8]>,
            direction: Direction,
            limit: u64,
            see: &mut dyn FnMut(&[u8], &[u8]),
        ) -> Result<u64> {
            let pairs = self.pairs.lock().unwrap();
            let from = from.unwrap_or_default().to_vec();
            let all: Vec<_> = match (direction, self.fault) {
                (Direction::Forward, Fault::ScansBackwards) => pairs.range(from..).rev().collect(),
                (Direction::Forward, _) => pairs.range(from..).collect(),
                (Direction::Reverse, _) => pairs.iter().rev().collect(),
            };
            let shown = all.iter().take(limit as usize).map(|(key, value)| see(key, value)).count();
            Ok(shown as u64)
        }

        fn settle(&self) -> Result<()> {
            Ok(())
        }

        fn compact(&self) -> Result<()> {
            Ok(())
        }
    }

    fn broken(fault: Fault) -> Box<dyn Peer> {
        Box::new(Broken { pairs: Mutex::default(), fault })
    }

    #[test]
    fn a_store_that_answers_wrongly_has_no_figures() {
        let plan = plan(&["fillrandom", "readrandom", "readseq", "deleterandom", "readseq"], 1);
        let whole: fn(&Path, &Terms) -> _ = |_, _| Ok(broken(Fault::None));
        let faulty: [fn(&Path, &Terms) -> _; 3] = [
            |_, _| Ok(broken(Fault::LosesASet)),
            |_, _| Ok(broken(Fault::KeepsTheRemoved)),
            |_, _| Ok(broken(Fault::ScansBackwards)),
        ];
        let run = |open| {
            let dir = tempfile::tempdir().unwrap();
            run(Store { name: "broken", version: String::new, open }, &plan, TERMS, dir.path(), |_| {})
        };
        run(whole).unwrap();
        for open in faulty {
            let error = run(open).unwrap_err();
            assert!(matches!(error, Error::Wrong { .. }), "{error}");
        }
    }
}
