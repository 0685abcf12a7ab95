//! Two lives of a store on one disk: a process is killed, another goes on, and then the power goes.
//!
//! What the first had written and not synced is seen by the second, but is not durable yet. So whoever
//! opens a store may build on nothing that was only read, before it is synced.

use crate::crash_support::history::{History, Life, Model, Setting, Step};
use crate::crash_support::oracle::{Known, Oracle, digest};
use kvs::vfs::crash::state::{Report, Violation};
use kvs::vfs::crash::{Budget, explore};
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::recording::{FileId, Mark, Op, Recording};
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::{Cause, DiskFile, Vfs};
use std::collections::HashMap;
use std::sync::Arc;

/// Lets the process of `history` be killed after each of its operations, and in the middle of each
/// write (or one in `every` of these); does `steps` in a second process; and shows what a power cut could leave of that.
/// `forget` takes syncs out of what was recorded; it is told where the second life begins.
pub(crate) fn second_lives(
    history: &History,
    steps: &[Step],
    every: usize,
    budget: &Budget,
    mut forget: impl FnMut(&mut History, usize),
) -> (Report, Known) {
    let (mut total, mut known) = (Report::default(), Known::default());
    for killed in kills(&history.recording).into_iter().step_by(every) {
        let begins = killed.len();
        let disk = replay(&history.recording, &killed);
        let image = disk.image();
        let mut second = match second_life(history, disk, &killed, steps) {
            Ok(second) => second,
            Err(message) => {
                let description = format!("a second life after {begins} operations of {}", history.name);
                total.violations.push(Violation { description, cut: begins, message, image });
                continue;
            }
        };
        forget(&mut second, begins);
        let mut oracle = Oracle::new(&second, &mut known);
        let budget = Budget { from: begins + 1, ..budget.clone() };
        let mut report = explore(&second.recording, &budget, |state| oracle.judge(state));
        for violation in &mut report.violations {
            violation.description += &format!("; the second life begins at #{begins}");
        }
        add(&mut total, report);
        if total.violations.len() >= budget.max_violations {
            break;
        }
    }
    (total, known)
}

/// Lets a recovery crash, and another one mend that: both must find the same. Of the disks that a
/// crash of `history` could have left, one in `every` is recovered so.
pub(crate) fn recoveries(history: &History, every: u128, budget: &Budget) -> (Report, Known) {
    let (mut total, mut known) = (Report::default(), Known::default());
    explore(&history.recording, budget, |state| {
        if !state.image.hash().is_multiple_of(every) {
            return Ok(());
        }
        let disk = SimDisk::from_image(&state.image, Record::On);
        let store = history.setting.open(Arc::new(disk.clone())).map_err(|e| e.to_string())?;
        let found = [digest(&*store).map_err(|e| e.to_string())?.digest128()];
        drop(store);
        let mut oracle = Oracle::exactly(&found, &history.setting, &mut known);
        let mut report = explore(&disk.recording(), budget, |again| oracle.judge(again));
        for violation in &mut report.violations {
            violation.description += &format!("; it recovers from: {}", state.describe());
        }
        add(&mut total, report);
        Ok(())
    });
    (total, known)
}

/// Sums up.
pub(crate) fn add(total: &mut Report, part: Report) {
    total.states += part.states;
    total.distinct += part.distinct;
    total.cuts += part.cuts;
    total.truncated += part.truncated;
    total.violations.extend(part.violations);
}

/// What a process had done when it was killed: everything up to some operation, or that and half of a
/// write.
fn kills(recording: &Recording) -> Vec<Vec<Op>> {
    let ops = recording.ops();
    let mut kills = Vec::new();
    for (index, op) in ops.iter().enumerate().filter(|(_, op)| !matches!(op, Op::Mark(_))) {
        if let Op::Append { file, offset, bytes } = op {
            let half = Op::Append { file: *file, offset: *offset, bytes: bytes[..bytes.len() / 2].into() };
            kills.push([&ops[..index], &[half]].concat());
        }
        kills.push(ops[..=index].to_vec());
    }
    kills
}

fn second_life(history: &History, disk: SimDisk, killed: &[Op], steps: &[Step]) -> Result<History, String> {
    let told = |error: kvs::error::Error| format!("second life: {error}");
    // If there is no store yet, it makes one of its own, on the ruins of the first.
    let setting = Setting { store_id: history.setting.store_id + 1, ..history.setting.clone() };
    let mut life = Life::begin(&setting, disk, Model::default()).map_err(told)?;
    let found = digest(life.store()).map_err(told)?.digest128();
    let (lo, hi) = marks(killed);
    let range = lo..=hi.min(history.prefixes.len() as u64 - 1);
    let count = range.into_iter().rev().find(|&k| history.prefixes[k as usize] == found);
    let count = count.ok_or(format!("PREFIX: the second life does not find {lo} to {hi} changes"))?;
    life.model = Model::after(life.store(), &history.prefixes, count);
    life.play(steps).map_err(told)?;
    Ok(life.end(&history.name))
}

/// The last change that must survive a kill, and the last that may be there.
fn marks(ops: &[Op]) -> (u64, u64) {
    let (mut lo, mut hi) = (0, 0);
    for op in ops {
        match op {
            Op::Mark(Mark::Issue(n)) => hi = *n,
            Op::Mark(Mark::Handed(n) | Mark::Ack(n)) => lo = *n,
            _ => {}
        }
    }
    (lo, hi)
}

/// A disk to which these operations of a recording were done, and that has recorded them.
pub(crate) fn replay(recording: &Recording, ops: &[Op]) -> SimDisk {
    let base = recording.base();
    let mut image = Image { dirs: base.dirs.clone(), ..Image::default() };
    image.files.extend(base.names.iter().map(|(path, file)| (path.clone(), base.files[file].clone())));
    let disk = SimDisk::from_image(&image, Record::On);
    let open = |path| disk.append(path, Cause::Log).unwrap();
    let mut files: HashMap<FileId, Arc<dyn DiskFile>> =
        base.names.iter().map(|(path, file)| (*file, open(path))).collect();
    for op in ops {
        match op {
            Op::CreateDir { dir } => disk.create_dir(dir).unwrap(),
            Op::Create { path, file } => drop(files.insert(*file, disk.create(path, Cause::Log).unwrap())),
            Op::Remove { path, .. } => disk.remove(path).unwrap(),
            Op::Rename { from, to, .. } => disk.rename(from, to).unwrap(),
            Op::Link { from, to, .. } => disk.link(from, to).unwrap(),
            Op::SyncDir { dir } => disk.sync_dir(dir).unwrap(),
            Op::Append { file, offset, bytes } => {
                assert_eq!(files[file].len(), *offset, "one handle a file");
                files[file].append(bytes).unwrap();
            }
            Op::Reserve { file, len, .. } => files[file].reserve(*len).unwrap(),
            Op::Truncate { file, len } => files[file].truncate(*len).unwrap(),
            Op::Sync { file } => files[file].sync().unwrap(),
            Op::Mark(mark) => disk.mark(mark.clone()),
        }
    }
    disk
}
