//! Random histories with errors and crashes: short runs, bugs that are planted and must be found, and every
//! history that was ever saved.
//!
//! `KVS_TORTURE_OPS` is how many operations each run does, `KVS_TORTURE_SEED` where they come from. What is
//! found belongs into `tests/scripts/torture/`, under the name of what it found and with its story on top.

#![expect(clippy::disallowed_methods, reason = "saved scripts are read where they lie")]
#![expect(clippy::unwrap_used, reason = "a test may")]

#[macro_use]
mod common;

use common::buggy::{Around, Bug, Careless, Forgetful, Unsynced, Wrapped};
use kvs::engine::KvsEngine;
use kvs::engine::batch::WriteBatch;
use kvs::engine::event::{Event, Listener};
use kvs::engine::kind::EngineKind;
use kvs::engine::options::{OpenOptions, WriteOptions};
use kvs::error::{Error, Result};
use kvs::survive::linear::workload;
use kvs::survive::script::Settings;
use kvs::survive::script::file::Script;
use kvs::survive::torture::history::History;
use kvs::survive::torture::judge::{Difference, judge};
use kvs::survive::torture::report::Report;
use kvs::survive::torture::site::{Open, as_usual};
use kvs::survive::torture::{Limit, Plan, TRIES, run};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const ENGINES: [EngineKind; 2] = [EngineKind::Bitcask, EngineKind::Lsm];

fn plan(kind: EngineKind, operations: u64) -> Plan {
    let seed = number("KVS_TORTURE_SEED", 1);
    Plan { kind, seed, limit: Limit::Operations(operations), threads: 1, tries: TRIES }
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: a number")))
}

fn torture(plan: &Plan, open: Open<'_>) -> Report {
    run(plan, open, &mut |_| ControlFlow::Continue(()))
}

fn agrees_with_the_model(kind: EngineKind) {
    let report = torture(&plan(kind, number("KVS_TORTURE_OPS", 40_000)), &as_usual);
    println!("{report}");
    assert!(report.finding.is_none(), "{report}");
    let tally = report.tally;
    let all = [tally.kills, tally.power_cuts, tally.lost_changes, tally.errors_injected, tally.errors_met];
    assert!(all.iter().all(|count| *count > 50), "something hardly happened: {tally:?}");
    let all =
        [tally.walks, tally.loads, tally.snapshots, tally.compactions, tally.checkpoints, tally.reopens];
    assert!(all.iter().all(|count| *count > 50), "something hardly happened: {tally:?}");
}

#[test]
fn bitcask_keeps_its_promises() {
    agrees_with_the_model(EngineKind::Bitcask);
}

#[test]
fn lsm_keeps_its_promises() {
    agrees_with_the_model(EngineKind::Lsm);
}

#[test]
fn the_same_seed_does_the_same_with_any_number_of_threads() {
    for kind in ENGINES {
        let [one, three] = [1, 3].map(|threads| torture(&Plan { threads, ..plan(kind, 5_000) }, &as_usual));
        assert_eq!((one.tally, one.option_sets), (three.tally, three.option_sets));
    }
}

fn forgetful(kind: EngineKind, options: OpenOptions, settings: &Settings) -> Result<Arc<dyn KvsEngine>> {
    Ok(Arc::new(Wrapped(Forgetful(as_usual(kind, options, settings)?))))
}

/// The search must be able to find something, to say it in few words, and to say it again from the file.
#[test]
fn a_planted_bug_is_found_shrunk_and_replayed() {
    for kind in ENGINES {
        let report = torture(&plan(kind, 100_000), &forgetful);
        let finding = report.finding.expect("the bug is found");
        assert!(finding.commands <= 5, "{finding}");
        let script = Script::read(&finding.script).unwrap();
        assert_eq!(script.engines, [kind.name()], "{finding}");
        let history = History { kind, settings: script.options.clone(), commands: script.commands() };
        let (_, again) = judge(&history, &forgetful);
        assert_eq!(again, Some(finding.difference), "{}", finding.script);
        assert_eq!(judge(&history, &as_usual).1, None, "the engine itself is right");
    }
}

/// A store that says that a write is on the device, and it is not.
fn never_syncs(kind: EngineKind, options: OpenOptions, settings: &Settings) -> Result<Arc<dyn KvsEngine>> {
    Ok(Arc::new(Wrapped(Unsynced(as_usual(kind, options, settings)?))))
}

#[test]
fn a_store_that_forgets_to_sync_is_found() {
    for kind in ENGINES {
        let report = torture(&plan(kind, 100_000), &never_syncs);
        let finding = report.finding.expect("the bug is found");
        assert!(finding.commands <= 5 && finding.script.contains("crash power"), "{finding}");
    }
}

/// A store that tells of its own poisoning behind a write that went well, and goes on.
struct Deaf {
    inner: Arc<dyn KvsEngine>,
    listener: Listener,
}

impl Around for Deaf {
    fn inner(&self) -> &dyn KvsEngine {
        &*self.inner
    }

    fn write(&self, batch: WriteBatch, options: &WriteOptions) -> Result<()> {
        self.inner.write(batch, options)?;
        self.listener.tell(Event::Poisoned { reason: "its manifest failed".into() });
        Ok(())
    }
}

fn deaf(kind: EngineKind, options: OpenOptions, settings: &Settings) -> Result<Arc<dyn KvsEngine>> {
    let listener = options.listener.clone();
    Ok(Arc::new(Wrapped(Deaf { inner: as_usual(kind, options, settings)?, listener })))
}

fn history(kind: EngineKind, text: &str) -> History {
    let script = Script::read(&format!("engines: {kind}\n\n{text}")).unwrap();
    History { kind, settings: script.options.clone(), commands: script.commands() }
}

/// That the store is poisoned was looked at only where a call failed; a flush that fails behind a write that went
/// well poisons it too.
#[test]
fn nothing_is_acknowledged_behind_a_poisoning_that_no_call_has_told() {
    for kind in ENGINES {
        let (_, difference) = judge(&history(kind, "set a 1\nget a\nset b 2\n"), &deaf);
        let difference = difference.expect("the second set should fail");
        assert_eq!((difference.at, &difference.said[..]), (2, "it was"), "{difference}");
        assert_eq!(judge(&history(kind, "set a 1\nreopen\nset b 2\n"), &deaf).1, None, "a new life");
    }
}

/// A store whose closing panics.
struct Bursting(Arc<dyn KvsEngine>);

impl Around for Bursting {
    fn inner(&self) -> &dyn KvsEngine {
        &*self.0
    }
}

impl Drop for Bursting {
    fn drop(&mut self) {
        panic!("it does not close");
    }
}

/// A panic while a store was opened or closed ended one thread of several, and the others waited for its history for
/// ever; of one thread it ended the tool.
#[test]
fn a_store_that_panics_when_it_is_opened_or_closed_is_a_finding() {
    for kind in ENGINES {
        let no_maps = |kind, options: OpenOptions, settings: &Settings| {
            assert!(settings.iter().all(|(name, _)| name != "mmap"), "no maps");
            as_usual(kind, options, settings)
        };
        let report = torture(&Plan { threads: 2, ..plan(kind, 100_000) }, &no_maps);
        let finding = report.finding.expect("it is found");
        assert_eq!((finding.commands, &finding.difference.said[..]), (0, "panicked: no maps"), "{finding}");

        // The last of the three stores of an empty history is closed when all is done.
        let opened = AtomicU64::new(0);
        let third_bursts = |kind, options: OpenOptions, settings: &Settings| {
            let store = as_usual(kind, options, settings)?;
            match opened.fetch_add(1, Ordering::Relaxed) {
                2 => Ok(Arc::new(Wrapped(Bursting(store))) as Arc<dyn KvsEngine>),
                _ => Ok(store),
            }
        };
        let difference = judge(&history(kind, "get a\n"), &third_bursts).1.expect("a panic is a difference");
        let Difference { command, said, .. } = &difference;
        assert_eq!((&command[..], &said[..]), ("closing the store", "panicked: it does not close"));
    }
}

/// Of a failure that did not come again, all that was told was that there had been one.
#[test]
fn what_does_not_come_again_is_told_as_it_was_seen() {
    for kind in ENGINES {
        let is_first = AtomicBool::new(true);
        let fails_once =
            |kind, options: OpenOptions, settings: &Settings| match is_first.swap(false, Ordering::Relaxed) {
                true => Err(Error::invalid("the moon is full")),
                false => as_usual(kind, options, settings),
            };
        let finding = torture(&plan(kind, 1_000), &fails_once).finding.expect("it was seen");
        let Difference { command, expected, said, .. } = &finding.difference;
        assert_eq!((&command[..], &expected[..]), ("opening a new store", "a store"), "{finding}");
        assert!(said.contains("the moon is full") && said.contains("did not come again"), "{finding}");
    }
}

/// A store that takes no writes, for no reason.
struct Stubborn(Arc<dyn KvsEngine>);

impl Around for Stubborn {
    fn inner(&self) -> &dyn KvsEngine {
        &*self.0
    }

    fn write(&self, _: WriteBatch, _: &WriteOptions) -> Result<()> {
        Err(Error::io("append", Path::new("/store/log"), std::io::ErrorKind::Other.into()))
    }
}

/// The store that is opened on the healed disk after an opening that failed counted as one whose disk has failed: each
/// of its writes might fail, for the rest of its life.
#[test]
fn a_store_that_was_opened_on_a_sound_disk_has_no_excuse() {
    for kind in ENGINES {
        let opened = AtomicU64::new(0);
        let third_is_stubborn = |kind, options: OpenOptions, settings: &Settings| {
            let count = opened.fetch_add(1, Ordering::Relaxed);
            let store = as_usual(kind, options, settings)?;
            Ok(if count >= 2 { Arc::new(Wrapped(Stubborn(store))) } else { store })
        };
        let history = history(kind, "fail open 1 EIO\nreopen\nset a 1\n");
        let (_, difference) = judge(&history, &third_is_stubborn);
        let difference = difference.expect("nothing explains the error");
        assert_eq!(difference.at, 2, "{difference}");
        assert_eq!(judge(&history, &as_usual).1, None);
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/torture")
}

/// Every history that was saved, on the engines that it names.
#[test]
fn what_was_found_stays_mended() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let script = Script::read(&std::fs::read_to_string(&path).unwrap());
        let script = script.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!script.engines.is_empty() && !script.commands().is_empty(), "{}", path.display());
        for name in &script.engines {
            let kind = name.parse().unwrap();
            let history = History { kind, settings: script.options.clone(), commands: script.commands() };
            let (_, difference) = judge(&history, &as_usual);
            assert_eq!(difference, None, "{} on {name}", path.display());
            count += 1;
        }
    }
    assert!(count > 0, "there is nothing in {}", folder().display());
}

fn concurrent(kind: EngineKind, open: workload::Open<'_>) -> workload::report::Report {
    let scratch = tempfile::tempdir().unwrap();
    let limit = Limit::Operations(number("KVS_TORTURE_OPS", 40_000));
    run_plan(&workload::Plan { kind, seed: 1, limit, clients: 4, scratch: scratch.path() }, open)
}

fn run_plan(plan: &workload::Plan<'_>, open: workload::Open<'_>) -> workload::report::Report {
    let report = workload::run(plan, open, &mut |_| ControlFlow::Continue(())).unwrap();
    println!("{report}");
    report
}

/// One engine after the other in one directory, each until the middle of its second store, which is on the
/// real disk.
///
/// What the first left there had the name that the second wanted: after minutes of work `kvs torture
/// --concurrent` was told that the directory belongs to the other engine.
#[test]
fn a_life_that_is_cut_short_is_not_in_the_way_of_the_next() {
    let scratch = tempfile::tempdir().unwrap();
    for kind in ENGINES {
        let limit = Limit::Operations(13_000);
        let plan = workload::Plan { kind, seed: 1, limit, clients: 1, scratch: scratch.path() };
        let report = run_plan(&plan, &|path, options, settings| kind.open(path, options, settings));
        assert_eq!((report.stores, report.anomaly), (1, None));
    }
}

/// In the middle of its life a store is opened again. One that can not be was an error of the tool: nothing said which
/// options it had, and nothing was saved.
#[test]
fn a_store_that_can_not_be_opened_again_is_an_anomaly() {
    let scratch = tempfile::tempdir().unwrap();
    for kind in ENGINES {
        for panics in [false, true] {
            let opened = AtomicU64::new(0);
            let opens_once = |path: &Path, options: OpenOptions, settings: &Settings| match opened
                .fetch_add(1, Ordering::Relaxed)
            {
                0 => kind.open(path, options, settings),
                _ if panics => panic!("not again"),
                _ => Err(Error::invalid("not again")),
            };
            let limit = Limit::Operations(13_000);
            let plan = workload::Plan { kind, seed: 1, limit, clients: 1, scratch: scratch.path() };
            let anomaly = run_plan(&plan, &opens_once).anomaly.expect("a store has been lost");
            assert!(
                anomaly.what.contains("opened again") && anomaly.what.contains("not again"),
                "{anomaly:?}"
            );
            assert!(!anomaly.options.is_empty(), "{anomaly:?}");
        }
    }
}

fn is_linearizable(kind: EngineKind) {
    let report = concurrent(kind, &|path, options, settings| kind.open(path, options, settings));
    assert!(report.anomaly.is_none(), "{report}");
    let all = [report.gets, report.writes, report.batches, report.cuts, report.compactions, report.reopens];
    assert!(all.iter().all(|count| *count > 0), "{report}");
}

#[test]
fn bitcask_is_linearizable() {
    is_linearizable(EngineKind::Bitcask);
}

#[test]
fn lsm_is_linearizable() {
    is_linearizable(EngineKind::Lsm);
}

/// Bugs that only show when threads meet, and one that tears batches: each is found.
#[test]
fn planted_anomalies_are_found() {
    for kind in ENGINES {
        for bug in [Bug::StaleGet, Bug::SwapInTwoSteps, Bug::BatchInTwoSteps, Bug::OldSnapshot] {
            let open = |path: &Path, options: OpenOptions, settings: &Settings| {
                let store: Arc<dyn KvsEngine> =
                    Arc::new(Wrapped(Careless::new(kind.open(path, options, settings)?, bug)));
                Ok(store)
            };
            let report = concurrent(kind, &open);
            assert!(report.anomaly.is_some(), "{bug:?} was not found: {report}");
        }
    }
}
