//! Which disks are shown: small recordings whose every state is known, and random ones.

use crate::vfs::crash::budget::Budget;
use crate::vfs::crash::dice::Dice;
use crate::vfs::crash::state::Report;
use crate::vfs::crash::timeline::Crash;
use crate::vfs::crash::{explore, power_cut};
use crate::vfs::memory::image::Image;
use crate::vfs::memory::recording::{Forget, Mark, Recording};
use crate::vfs::memory::{Record, SimDisk};
use crate::vfs::{Cause, DiskFile, Vfs};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Files as `name=bytes`, directories as `name/`, in one line.
fn line(image: &Image) -> String {
    let dirs = image.dirs.iter().map(|dir| format!("{}/", dir.display()));
    let files = image.files.iter().map(|(path, bytes)| {
        format!("{}={}", path.display(), bytes.escape_ascii().to_string().replace("\\x00", "0"))
    });
    dirs.chain(files).collect::<Vec<_>>().join(" ")
}

/// All states of the last cut, one a line, sorted; those of earlier cuts too.
fn lines(recording: &Recording) -> Vec<String> {
    let mut lines = BTreeSet::new();
    let report = explore(recording, &Budget::default(), |state| {
        lines.insert(line(&state.image));
        Ok(())
    });
    assert_eq!(report.truncated, 0);
    lines.into_iter().collect()
}

fn create(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(name.as_ref(), Cause::Log).unwrap();
    file.append(bytes).unwrap();
    file
}

#[test]
fn a_file_that_was_never_synced() {
    let disk = SimDisk::new();
    create(&disk, "f", b"abcd");
    assert_eq!(lines(&disk.recording()), ["", "f=", "f=0000", "f=a", "f=ab", "f=abc", "f=abcd"]);
}

#[test]
fn a_synced_file_is_there_once_its_name_is() {
    let disk = SimDisk::new();
    create(&disk, "f", b"abcd").sync().unwrap();
    disk.record(Record::On);
    assert_eq!(lines(&disk.recording()), ["f=abcd"], "what a recording begins with is durable");

    let disk = SimDisk::new();
    create(&disk, "f", b"").append(b"").unwrap();
    disk.sync_dir("".as_ref()).unwrap();
    disk.mark(Mark::Ack(1));
    let file = disk.append("f".as_ref(), Cause::Log).unwrap();
    file.append(b"ab").unwrap();
    file.sync().unwrap();
    disk.mark(Mark::Ack(2));
    let mut by_floor = BTreeSet::new();
    explore(&disk.recording(), &Budget::default(), |state| {
        by_floor.insert((state.lo(), line(&state.image)));
        Ok(())
    });
    let expected = [(0, ""), (0, "f="), (1, "f="), (1, "f=00"), (1, "f=a"), (1, "f=ab"), (2, "f=ab")];
    assert!(by_floor.iter().map(|(lo, line)| (*lo, &line[..])).eq(expected), "{by_floor:?}");
}

/// Writes `m` anew through a temporary file, as `Dir::replace` does.
fn replaced() -> SimDisk {
    let mut image = Image::default();
    image.put("m", *b"old");
    let disk = SimDisk::from_image(&image, Record::On);
    disk.mark(Mark::Issue(1));
    create(&disk, "m.tmp", b"new").sync().unwrap();
    disk.rename("m.tmp".as_ref(), "m".as_ref()).unwrap();
    disk.sync_dir("".as_ref()).unwrap();
    disk.mark(Mark::Ack(1));
    disk
}

fn judge_replaced(recording: &Recording) -> Report {
    explore(recording, &Budget::default(), |state| match state.image.get("m") {
        Some(b"new") => Ok(()),
        Some(b"old") if state.lo() == 0 => Ok(()),
        other => Err(format!("m is {other:?} at {}", state.lo())),
    })
}

/// Each seed gives one of the disks that exploring shows, the same one every time; some keep, some lose.
#[test]
fn a_single_power_cut_is_one_of_those_that_exploring_shows() {
    let disk = SimDisk::new();
    let file = create(&disk, "f", b"ab");
    file.sync().unwrap();
    disk.sync_dir("".as_ref()).unwrap();
    file.append(b"cd").unwrap();
    let all = lines(&disk.recording());
    let cuts: Vec<_> = (0..50).map(|seed| line(&power_cut(&disk.recording(), seed))).collect();
    assert!(cuts.iter().all(|cut| all.contains(cut)), "{cuts:?} {all:?}");
    assert!(cuts.iter().all(|cut| cut.starts_with("f=ab")), "{cuts:?}");
    assert!(cuts.contains(&"f=ab".to_string()) && cuts.contains(&"f=abcd".to_string()), "{cuts:?}");
    assert_eq!(cuts[7], line(&power_cut(&disk.recording(), 7)));
}

#[test]
fn replacing_a_file_needs_both_syncs() {
    let recording = replaced().recording();
    let expected = [
        "m=new",
        "m=old",
        "m=old m.tmp=",
        "m=old m.tmp=000",
        "m=old m.tmp=n",
        "m=old m.tmp=ne",
        "m=old m.tmp=new",
    ];
    assert_eq!(lines(&recording), expected);
    assert!(judge_replaced(&recording).violations.is_empty());

    let mut no_file_sync = recording.clone();
    assert_eq!(no_file_sync.forget(&Forget::file_syncs("m.tmp")), 1);
    let report = judge_replaced(&no_file_sync);
    assert!(report.violations.iter().any(|v| v.image.get("m") == Some(b"")), "{report}");

    let mut no_dir_sync = recording.clone();
    assert_eq!(no_dir_sync.forget(&Forget::dir_syncs("")), 1);
    let report = judge_replaced(&no_dir_sync);
    assert!(report.violations.iter().all(|v| v.image.get("m") == Some(b"old")), "{report}");
    assert!(!report.violations.is_empty());
    let told = &report.violations[0].description;
    assert!(told.starts_with("power cut after #6 Ack(1): of 2 pending operations, "), "{told}");
}

#[test]
fn pending_operations_come_in_any_order() {
    let disk = SimDisk::new();
    let file = create(&disk, "f", b"");
    disk.sync_dir("".as_ref()).unwrap();
    file.append(b"a").unwrap();
    file.append(b"b").unwrap();
    assert_eq!(lines(&disk.recording()), ["", "f=", "f=0", "f=00", "f=0b", "f=a", "f=a0", "f=ab"]);
}

#[test]
fn what_was_cut_off_may_come_back() {
    let disk = SimDisk::new();
    let file = create(&disk, "f", b"abcd");
    disk.record(Record::On);
    file.truncate(1).unwrap();
    file.append(b"x").unwrap();
    assert_eq!(lines(&disk.recording()), ["f=a", "f=a0", "f=abcd", "f=ax", "f=axcd"]);
    file.sync().unwrap();
    file.reserve(2).unwrap();
    disk.mark(Mark::Ack(1));
    let mut last = BTreeSet::new();
    explore(&disk.recording(), &Budget::default(), |state| {
        last.extend((state.lo() == 1).then(|| line(&state.image)));
        Ok(())
    });
    assert!(last.iter().eq(["f=ax", "f=ax0", "f=ax00"]), "{last:?}");
}

#[test]
fn names_point_to_files() {
    let disk = SimDisk::new();
    create(&disk, "a", b"1").sync().unwrap();
    disk.rename("a".as_ref(), "b".as_ref()).unwrap();
    disk.link("b".as_ref(), "c".as_ref()).unwrap();
    disk.remove("b".as_ref()).unwrap();
    let all = lines(&disk.recording());
    // With the creation lost and the rename kept, the new name has the file.
    for state in ["", "a=1", "b=1", "c=1", "a=1 c=1", "b=1 c=1"] {
        assert!(all.iter().any(|line| line == state), "{state:?} is not in {all:?}");
    }
    assert!(!all.iter().any(|line| line.contains("a=1 b=1")), "a rename is one: {all:?}");
}

#[test]
fn a_lost_directory_takes_its_files_with_it() {
    let disk = SimDisk::new();
    disk.create_dir("/d".as_ref()).unwrap();
    disk.create_dir("/d/e".as_ref()).unwrap();
    create(&disk, "/d/e/f", b"x").sync().unwrap();
    disk.sync_dir("/d/e".as_ref()).unwrap();
    disk.mark(Mark::Ack(1));
    disk.sync_dir("/d".as_ref()).unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
    disk.mark(Mark::Ack(2));
    let mut by_floor = [(); 3].map(|()| BTreeSet::new());
    explore(&disk.recording(), &Budget::default(), |state| {
        by_floor[state.lo() as usize].insert(line(&state.image));
        Ok(())
    });
    assert!(by_floor[1].iter().eq(["", "/d/", "/d/ /d/e/ /d/e/f=x"]), "{by_floor:?}");
    assert!(by_floor[2].iter().eq(["/d/ /d/e/ /d/e/f=x"]), "{by_floor:?}");
}

#[test]
fn a_later_page_may_be_there_without_an_earlier_one() {
    let disk = SimDisk::new();
    let file = create(&disk, "f", b"");
    disk.sync_dir("".as_ref()).unwrap();
    file.append(&[b'x'; 10_000]).unwrap();
    let mut kinds = BTreeSet::new();
    explore(&disk.recording(), &Budget::default(), |state| {
        let Some(bytes) = state.image.get("f") else { return Ok(()) };
        let pages = bytes.chunks(4096).map(|page| if page.contains(&b'x') { 'x' } else { '0' });
        kinds.insert((bytes.len(), pages.collect::<String>()));
        Ok(())
    });
    for pages in ["xxx", "0xx", "x0x", "xx0", "x00", "000"] {
        assert!(kinds.contains(&(10_000, pages.to_owned())), "{pages}: {kinds:?}");
    }
    for len in [1, 4096, 5000, 8192, 9999] {
        assert!(kinds.iter().any(|(found, _)| *found == len), "{len}: {kinds:?}");
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_handed_over() {
    let disk = SimDisk::new();
    let file = create(&disk, "f", b"");
    disk.sync_dir("".as_ref()).unwrap();
    for n in 1..=3 {
        disk.mark(Mark::Issue(n));
        file.append(&[b'0' + n as u8]).unwrap();
        disk.mark(Mark::Handed(n));
    }
    let mut killed = Vec::new();
    explore(&disk.recording(), &Budget::default(), |state| {
        assert_eq!(state.marks().count() as u64, state.hi() + state.progress.handed);
        match state.crash {
            Crash::Kill => killed.push((state.lo(), state.hi(), line(&state.image))),
            Crash::PowerCut => assert_eq!(state.lo(), 0),
        }
        Ok(())
    });
    let expected = [
        (0, 0, ""),
        (0, 0, "f="),
        (0, 1, "f=1"),
        (1, 1, "f=1"),
        (1, 2, "f=12"),
        (2, 2, "f=12"),
        (2, 3, "f=123"),
        (3, 3, "f=123"),
    ];
    assert!(killed.iter().map(|(lo, hi, line)| (*lo, *hi, &line[..])).eq(expected), "{killed:?}");
}

#[test]
fn a_state_is_judged_once_for_each_measure() {
    let disk = SimDisk::new();
    let file = create(&disk, "f", b"ab");
    for n in 0..20_u8 {
        file.append(&[n]).unwrap();
    }
    let mut seen = BTreeSet::new();
    let report = explore(&disk.recording(), &Budget::default(), |state| {
        assert!(seen.insert((state.lo(), line(&state.image))), "judged twice: {}", state.describe());
        Ok(())
    });
    assert_eq!((report.distinct, report.cuts), (seen.len() as u64, 23), "{report}");
    assert!(report.states > report.distinct && report.violations.is_empty(), "{report}");
    let small = Budget { max_per_cut: 24, ..Budget::default() };
    let less = explore(&disk.recording(), &small, |_| Ok(()));
    assert!(less.truncated > 0 && less.states <= 23 * 24, "{less}");
}

/// What an earlier cut has shown is left out, but a sync makes all of it new.
#[test]
fn a_sync_of_one_file_shows_the_others_anew() {
    let disk = SimDisk::new();
    let (f, g) = (create(&disk, "f", b""), create(&disk, "g", b""));
    disk.record(Record::On);
    (b'a'..=b'g').for_each(|byte| f.append(&[byte]).unwrap());
    g.append(b"x").unwrap();
    g.sync().unwrap();
    let budget = Budget { random_per_cut: 0, exhaustive: 0, ..Budget::default() };
    let mut lines = BTreeSet::new();
    explore(&disk.recording(), &budget, |state| {
        lines.insert(line(&state.image));
        Ok(())
    });
    for len in 0..=7 {
        let prefix = format!("f={} g=x", &"abcdefg"[..len]);
        assert!(lines.contains(&prefix), "{prefix} is not in {lines:?}");
    }
    assert!(lines.contains("f=00c g=x") && lines.contains("f=abcd0fg g="), "{lines:?}");
}

/// A cut that had used up its budget passed for shown to the end: what it had left out was never tried, at no later
/// cut, and the report counted that one cut only. And it began with the oldest operations, where the newest are
/// promised.
#[test]
fn what_a_cut_has_no_room_for_is_left_for_the_next() {
    let disk = SimDisk::new();
    ('a'..='u').for_each(|name| drop(disk.create(name.to_string().as_ref(), Cause::Log).unwrap()));
    let budget = Budget { random_per_cut: 0, exhaustive: 0, max_per_cut: 30, from: 20, ..Budget::default() };
    let mut lines = BTreeSet::new();
    let report = explore(&disk.recording(), &budget, |state| {
        lines.insert(line(&state.image));
        Ok(())
    });
    assert_eq!((report.cuts, report.truncated), (2, 2), "20 operations, 21: {report}");
    for (name, is_shown) in [("u=", true), ("t=", true), ("p=", true), ("b=", false)] {
        assert_eq!(lines.contains(name), is_shown, "{name}: {lines:?}");
    }
    let enough = explore(&disk.recording(), &Budget { max_per_cut: 100, ..budget }, |_| Ok(()));
    assert_eq!((enough.cuts, enough.truncated), (2, 0), "{enough}");
}

#[test]
fn a_judge_that_panics_objects_and_enough_is_enough() {
    let disk = SimDisk::new();
    create(&disk, "f", b"abcd");
    let budget = Budget { max_violations: 2, ..Budget::default() };
    let report = explore(&disk.recording(), &budget, |state| {
        assert!(state.image.files.is_empty(), "a file");
        Ok(())
    });
    assert_eq!(report.violations.len(), 2);
    assert_eq!(report.violations[0].message, "panicked: a file");
    assert_eq!(report.violations[0].cut, 1);
}

/// Random histories of several files in two directories. Whatever was synced, bytes and name,
/// is in every state; and no state shows bytes that nobody wrote.
#[test]
fn what_was_synced_is_always_there() {
    let (mut distinct, dirs) = (0, ["/a", "/b"]);
    for seed in 0..30 {
        let mut random = Dice::new(seed, 0);
        let disk = SimDisk::new();
        for dir in dirs {
            disk.create_dir(dir.as_ref()).unwrap();
        }
        disk.sync_dir("/".as_ref()).unwrap();
        let mut open = Vec::new();
        for step in 0..40_u8 {
            match random.below(6) {
                0 => {
                    let path = format!("{}/{step}", dirs[random.below(2)]);
                    open.push((create(&disk, &path, b""), path, 0));
                }
                1 => disk.sync_dir(dirs[random.below(2)].as_ref()).unwrap(),
                _ if open.is_empty() => {}
                2 => {
                    let at = random.below(open.len());
                    open[at].0.sync().unwrap();
                    open[at].2 = open[at].0.len();
                    let path = Path::new(&open[at].1);
                    disk.sync_dir(path.parent().unwrap()).unwrap();
                    disk.mark(Mark::Note(format!("{} {}", open[at].1, open[at].2)));
                    // A claim changed, as by an acknowledgement: show everything again.
                    disk.mark(Mark::Ack(u64::from(step) + 1));
                }
                _ => {
                    let at = random.below(open.len());
                    open[at].0.append(&vec![step + 1; 1 + random.below(9)]).unwrap();
                }
            }
        }
        let whole = disk.image();
        let budget = Budget { seed, ..Budget::default() };
        let report = explore(&disk.recording(), &budget, |state| {
            for mark in state.marks() {
                let Mark::Note(note) = mark else { continue };
                let (path, len) = note.split_once(' ').unwrap();
                let len: usize = len.parse().unwrap();
                let found = state.image.get(path).ok_or(format!("{path} is gone"))?;
                assert_eq!(found.get(..len), Some(&whole.get(path).unwrap()[..len]), "{path}");
            }
            for (path, bytes) in &state.image.files {
                let all = whole.get(path).unwrap();
                assert!(bytes.iter().zip(all).all(|(found, wrote)| found == wrote || *found == 0));
                assert!(bytes.len() <= all.len());
            }
            Ok(())
        });
        assert!(report.violations.is_empty(), "seed {seed}: {report}");
        distinct += report.distinct;
    }
    assert!(distinct > 5_000, "{distinct}");
}

/// The crash of a recovery: each state's own recovery is recorded and cut in turn.
#[test]
fn a_recovery_can_crash_too() {
    fn recover(disk: &SimDisk) {
        if disk.open("m.tmp".as_ref(), Cause::Recovery).is_ok() {
            disk.remove("m.tmp".as_ref()).unwrap();
            disk.sync_dir("".as_ref()).unwrap();
        }
    }
    let mut inner = 0;
    let report = explore(&replaced().recording(), &Budget::default(), |state| {
        let disk = SimDisk::from_image(&state.image, Record::On);
        recover(&disk);
        let report = explore(&disk.recording(), &Budget::default(), |again| {
            let disk = SimDisk::from_image(&again.image, Record::Off);
            recover(&disk);
            let found = disk.image();
            let fine = found.files.len() == 1 && found.get("m") == state.image.get("m");
            if fine { Ok(()) } else { Err(line(&found)) }
        });
        inner += report.distinct;
        if report.violations.is_empty() { Ok(()) } else { Err(report.to_string()) }
    });
    assert!(report.violations.is_empty(), "{report}");
    assert!(inner > report.distinct);
}

#[test]
fn cuts_that_another_recording_has_shown_are_passed_over() {
    let disk = SimDisk::new();
    let file = create(&disk, "f", b"");
    (0..4_u8).for_each(|n| file.append(&[n]).unwrap());
    let whole = explore(&disk.recording(), &Budget::default(), |_| Ok(()));
    let mut cuts = BTreeSet::new();
    let rest = explore(&disk.recording(), &Budget { from: 3, ..Budget::default() }, |state| {
        cuts.insert(state.cut);
        Ok(())
    });
    assert!(cuts.into_iter().eq([3, 4, 5]) && (whole.cuts, rest.cuts) == (6, 3), "{rest}");
}

/// How fast states are made: `cargo test --release --lib states_a_second -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn states_a_second() {
    let disk = SimDisk::new();
    disk.create_dir("/store".as_ref()).unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
    for segment in 0..5 {
        let file = create(&disk, &format!("/store/{segment}.seg"), b"");
        disk.sync_dir("/store".as_ref()).unwrap();
        for n in 0..40_u64 {
            disk.mark(Mark::Issue(segment * 40 + n));
            file.append(&vec![n as u8; 30 + (n as usize * 7) % 200]).unwrap();
            disk.mark(Mark::Handed(segment * 40 + n));
        }
        file.sync().unwrap();
    }
    let start = std::time::Instant::now();
    let report = explore(&disk.recording(), &Budget::default(), |_| Ok(()));
    let seconds = start.elapsed().as_secs_f64();
    println!("{report}: {:.0} states a second", report.states as f64 / seconds);
}
