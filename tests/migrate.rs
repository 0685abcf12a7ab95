//! Migrations that are stopped: whatever stops one, and whenever, there is all of it or no store, and the
//! same call again makes one. The source is as it was.
#![expect(clippy::unwrap_used, reason = "tests")]

use kvs::engine::kind::EngineKind;
use kvs::engine::migrate::{Destination, Migrated, migrate};
use kvs::engine::options::{Access, OpenOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{KvsEngine, KvsRead};
use kvs::error::Error;
use kvs::vfs::Vfs;
use kvs::vfs::crash::budget::Budget;
use kvs::vfs::crash::explore;
use kvs::vfs::crash::timeline::Crash;
use kvs::vfs::fault::{Errno, FaultDisk};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::recording::{Mark, Op};
use kvs::vfs::memory::{Record, SimDisk};
use kvs::worker::Schedule;
use std::path::Path;
use std::sync::Arc;

/// The engines that can be migrated from and to.
const ENGINES: [EngineKind; 2] = [EngineKind::Bitcask, EngineKind::Lsm];

const SOURCE: &str = "/source";
const DEST: &str = "/above/dest";

/// Several files' worth in the smallest files that an engine makes.
const PAIRS: u32 = 60;

type Contents = Vec<(Vec<u8>, Vec<u8>)>;

fn options(disk: Arc<dyn Vfs>, access: Access) -> OpenOptions {
    OpenOptions { disk, access, schedule: Schedule::Inline, store_id: Some(7), ..OpenOptions::default() }
}

fn settings(engine: EngineKind) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| vec![(name.to_string(), value.to_string())];
    match engine {
        EngineKind::Bitcask => pair("segment_bytes", "4KiB"),
        _ => pair("table_bytes", "1KiB"),
    }
}

fn open(disk: &SimDisk, engine: EngineKind, path: &str, access: Access) -> Result<Arc<dyn KvsEngine>, Error> {
    engine.open(path.as_ref(), options(Arc::new(disk.clone()), access), &settings(engine))
}

fn contents(store: &dyn KvsRead) -> Contents {
    let pairs = store.scan(KeyRange::all()).unwrap().map(|pair| pair.unwrap());
    pairs.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// A disk with a source on it, durably; and what is in that.
fn filled(engine: EngineKind) -> (SimDisk, Contents) {
    let disk = SimDisk::new();
    let store = open(&disk, engine, SOURCE, Access::Create).unwrap();
    for i in 0..PAIRS + 9 {
        store.set(format!("key{i:03}").as_bytes(), &[i as u8; 150]).unwrap();
    }
    for i in PAIRS..PAIRS + 9 {
        store.remove(format!("key{i:03}").as_bytes()).unwrap();
    }
    store.set(b"key000", b"").unwrap();
    store.sync().unwrap();
    let held = contents(&*store);
    assert_eq!(held.len(), PAIRS as usize);
    drop(store);
    (SimDisk::from_image(&disk.image(), Record::On), held)
}

fn run(
    disk: &SimDisk,
    through: Arc<dyn Vfs>,
    (from, to): (EngineKind, EngineKind),
    watch: &mut dyn FnMut(Migrated) -> Result<(), Error>,
) -> Result<Migrated, Error> {
    let source = open(disk, from, SOURCE, Access::Read)?;
    let options = options(through, Access::Create);
    let dest = Destination { path: DEST.as_ref(), engine: to, options, settings: &settings(to) };
    migrate(&*source, &dest, watch)
}

fn finish(disk: &SimDisk, way: (EngineKind, EngineKind)) -> Result<Migrated, Error> {
    run(disk, Arc::new(disk.clone()), way, &mut |_| Ok(()))
}

fn each_way(test: impl Fn(EngineKind, EngineKind)) {
    ENGINES.iter().for_each(|from| ENGINES.iter().for_each(|to| test(*from, *to)));
}

/// All of it, or nothing that opens; and then all of it.
fn judge(image: &Image, (from, to): (EngineKind, EngineKind), held: &Contents) -> Result<bool, String> {
    let disk = SimDisk::from_image(image, Record::Off);
    let is_there = match open(&disk, to, DEST, Access::Read) {
        Ok(store) if contents(&*store) == *held => true,
        Ok(_) => return Err("a part of it passes for a store".into()),
        Err(Error::NoStore { .. } | Error::Unfinished { .. }) => false,
        Err(other) => return Err(format!("opening it: {other}")),
    };
    let source = open(&disk, from, SOURCE, Access::Read).map_err(|e| format!("the source: {e}"))?;
    if contents(&*source) != *held {
        return Err("the source has changed".into());
    }
    drop(source);
    match finish(&disk, (from, to)) {
        Ok(_) if is_there => Err("the new store was cleared".into()),
        Err(Error::InvalidArgument(_)) if is_there => Ok(true),
        Ok(_) if contents(&*open(&disk, to, DEST, Access::Write).unwrap()) == *held => Ok(false),
        Ok(_) => Err("the second attempt made another store".into()),
        Err(error) => Err(format!("the second attempt: {error}")),
    }
}

/// Judges all that crashes of this recording could leave; a migration that was acknowledged is there.
fn no_crash_breaks(disk: &SimDisk, way: (EngineKind, EngineKind), held: &Contents) -> u64 {
    let budget = Budget { max_per_cut: 60, exhaustive: 3, tears_per_write: 2, ..Budget::default() };
    let report = explore(&disk.recording(), &budget, |state| match judge(&state.image, way, held)? {
        false if state.progress.acked > 0 => Err("it was there, and is gone".into()),
        _ if state.crash == Crash::Kill || state.lo() <= 1 => Ok(()),
        _ => Err("a mark that nobody made".into()),
    });
    assert!(report.violations.is_empty(), "{report}");
    report.distinct
}

/// A tree in reverse order could not be migrated at all: its order had to be named, and could not be; and whatever
/// is made in the order of bytes takes no keys that descend.
#[test]
fn a_tree_in_reverse_order_goes_anywhere_and_comes_back() {
    let with = |engine, pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        settings(engine).into_iter().chain(pairs).collect::<Vec<_>>()
    };
    let reverse = with(EngineKind::Lsm, &[("comparator", "reverse")]);
    for (engine, settings) in [
        (EngineKind::Bitcask, with(EngineKind::Bitcask, &[])),
        (EngineKind::Lsm, with(EngineKind::Lsm, &[])),
        (EngineKind::Lsm, reverse.clone()),
    ] {
        let disk: Arc<dyn Vfs> = Arc::new(SimDisk::new());
        let source = EngineKind::Lsm
            .open("/reverse".as_ref(), options(disk.clone(), Access::Create), &reverse)
            .unwrap();
        (0..PAIRS).for_each(|i| source.set(format!("key{i:03}").as_bytes(), &[i as u8; 90]).unwrap());
        let mut held = contents(&*source);
        assert!(held[0].0 > held[1].0, "the greatest key is the first");
        drop(source);
        let paths = ["/reverse", "/there", "/back"];
        let ways = [(EngineKind::Lsm, engine, &settings), (engine, EngineKind::Lsm, &reverse)];
        for (way, (from, to, settings)) in ways.into_iter().enumerate() {
            // What order it is in, the store knows.
            let source = from.open(paths[way].as_ref(), options(disk.clone(), Access::Read), &[]).unwrap();
            let path = paths[way + 1].as_ref();
            let dest =
                Destination { path, engine: to, options: options(disk.clone(), Access::Create), settings };
            let migrated = migrate(&*source, &dest, &mut |_| Ok(())).unwrap();
            assert_eq!(migrated.pairs, u64::from(PAIRS));
        }
        let back =
            EngineKind::Lsm.open(paths[2].as_ref(), options(disk.clone(), Access::Write), &[]).unwrap();
        assert_eq!(contents(&*back), held);
        let there = engine.open(paths[1].as_ref(), options(disk, Access::Write), &[]).unwrap();
        if engine.is_descending(&settings).unwrap() {
            held.reverse();
        }
        held.reverse();
        assert_eq!(contents(&*there), held);
    }
}

#[test]
fn after_a_crash_there_is_all_of_it_or_no_store() {
    each_way(|from, to| {
        let (disk, held) = filled(from);
        disk.mark(Mark::Issue(1));
        let migrated = finish(&disk, (from, to)).unwrap();
        disk.mark(Mark::Ack(1));
        assert_eq!(migrated.pairs, u64::from(PAIRS));
        assert_eq!(judge(&disk.image(), (from, to), &held), Ok(true));
        let distinct = no_crash_breaks(&disk, (from, to), &held);
        assert!(distinct > 80, "{distinct}");
    });
}

#[test]
fn so_it_is_when_the_second_attempt_is_killed_too() {
    each_way(|from, to| {
        let (disk, held) = filled(from);
        finish(&disk, (from, to)).unwrap();
        // Killed at its last moment, when everything is there but the name.
        let recording = disk.recording();
        let is_named = |op: &Op| matches!(op, Op::Rename { to, .. } if to.ends_with("ENGINE"));
        let named = recording.ops().iter().position(is_named).unwrap();
        let mut killed = None;
        let _ = explore(&recording, &Budget { from: named, ..Budget::default() }, |state| {
            if state.cut == named && state.crash == Crash::Kill {
                killed.get_or_insert(state.image.clone());
            }
            Ok(())
        });
        let killed = killed.unwrap();
        assert_eq!(judge(&killed, (from, to), &held), Ok(false));
        let disk = SimDisk::from_image(&killed, Record::On);
        disk.mark(Mark::Issue(1));
        finish(&disk, (from, to)).unwrap();
        disk.mark(Mark::Ack(1));
        no_crash_breaks(&disk, (from, to), &held);
    });
}

#[test]
fn a_disk_that_fails_at_any_moment_leaves_all_of_it_or_no_store() {
    each_way(|from, to| {
        let mut failures = 0;
        for index in 0.. {
            let (disk, held) = filled(from);
            let failing = FaultDisk::new(Arc::new(disk.clone()));
            failing.fail_at(index, Errno::Io);
            let result = run(&disk, Arc::new(failing.clone()), (from, to), &mut |_| Ok(()));
            if failing.faults() == 0 {
                assert!(result.is_ok(), "{result:?}");
                break;
            }
            let is_there = judge(&disk.image(), (from, to), &held);
            let is_there = is_there.unwrap_or_else(|why| panic!("{:?}: {why}", failing.trace().last()));
            assert!(is_there || result.is_err(), "operation {index}: acknowledged, and not there");
            failures += u32::from(result.is_err());
        }
        assert!(failures > 20, "{failures}");
    });
}

#[test]
fn who_watches_can_stop_it_and_nothing_is_left() {
    each_way(|from, to| {
        for stop_at in [1, 30, PAIRS] {
            let (disk, held) = filled(from);
            let mut told = Vec::new();
            let stopped = run(&disk, Arc::new(disk.clone()), (from, to), &mut |so_far| {
                told.push(so_far.pairs);
                match so_far.pairs == u64::from(stop_at) {
                    true => Err(Error::invalid("enough")),
                    false => Ok(()),
                }
            });
            assert!(matches!(stopped, Err(Error::InvalidArgument(reason)) if reason == "enough"));
            assert_eq!(told, (1..=u64::from(stop_at)).collect::<Vec<_>>());
            assert_eq!(disk.list(DEST.as_ref()).unwrap(), [], "stopped at {stop_at}");
            assert_eq!(judge(&disk.image(), (from, to), &held), Ok(false));
        }
    });
}

#[test]
fn what_is_not_its_own_it_does_not_touch() {
    each_way(|from, to| {
        for name in ["notes.txt", "ENGINE", "000001.seg", "000002.seg", "ENGINE.unfinished.bak"] {
            let (disk, _) = filled(from);
            for dir in ["/above", DEST] {
                disk.create_dir(dir.as_ref()).unwrap();
            }
            let file = disk.create(&Path::new(DEST).join(name), kvs::vfs::Cause::Log).unwrap();
            file.append(&[b'x'; 100]).unwrap();
            let before = disk.image();
            let error = finish(&disk, (from, to)).unwrap_err();
            assert!(error.to_string().contains("not empty"), "{name}: {error}");
            assert!(disk.image() == before, "{name}");
        }
        let (disk, _) = filled(from);
        let error = finish(&disk, (from, EngineKind::Memory)).unwrap_err();
        assert!(error.to_string().contains("keeps nothing"), "{error}");
        disk.list("/above".as_ref()).unwrap_err();
    });
}

#[test]
fn while_it_is_filled_nobody_else_gets_in() {
    each_way(|from, to| {
        let (disk, _) = filled(from);
        let mut tried = 0;
        run(&disk, Arc::new(disk.clone()), (from, to), &mut |_| {
            for access in [Access::Read, Access::Write, Access::Create] {
                match open(&disk, to, DEST, access) {
                    Err(Error::Unfinished { .. } | Error::Locked { .. }) => tried += 1,
                    other => panic!("{:?}", other.err()),
                }
            }
            let second = finish(&disk, (from, to));
            assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
            Ok(())
        })
        .unwrap();
        assert!(tried > PAIRS);
    });
}
