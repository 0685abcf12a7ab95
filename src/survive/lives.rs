//! Two lives of a store on one disk: a process is killed, another goes on, and then the power goes.
//!
//! What the first had written and not synced is seen by the second, but is not durable yet. So whoever
//! opens a store may build on nothing that was only read, before it is synced.

use crate::survive::caught::caught;
use crate::survive::history::{CLOSING, History, Life, OPENING, Setting};
use crate::survive::model::{Model, digest};
use crate::survive::oracle::{Known, Oracle};
use crate::survive::step::Step;
use crate::vfs::crash::budget::Budget;
use crate::vfs::crash::explore;
use crate::vfs::crash::state::{Report, Violation};
use crate::vfs::crash::timeline::Timeline;
use crate::vfs::memory::image::Image;
use crate::vfs::memory::recording::{FileId, Mark, Op, Recording};
use crate::vfs::memory::{Record, SimDisk};
use crate::vfs::{Cause, DiskFile, Vfs};
use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A second process on a disk that a killed one has left, and then a power cut.
pub struct SecondLife<'a> {
    /// What it does.
    pub steps: &'a [Step],
    /// Of the moments at which the first is killed, one in so many.
    pub every: usize,
    /// So many moments are passed over before the first of them.
    pub skipped: usize,
    /// Which of these moments, counted from 0.
    pub kills: Range<usize>,
}

/// Lets the process of `history` be killed after each of its operations, and in the middle of each
/// write; does the steps in a second process; and shows what a power cut could leave of that. `forget`
/// takes syncs out of what was recorded; it is told where the second life begins.
pub fn second_lives(
    history: &History,
    second: &SecondLife<'_>,
    budget: &Budget,
    mut forget: impl FnMut(&mut History, usize),
) -> (Report, Known) {
    let (mut total, mut known) = (Report::default(), Known::default());
    let kills = kills(history);
    let range = second.kills.start.min(kills.len())..second.kills.end.min(kills.len());
    for kill in kills[range].iter().skip(second.skipped).step_by(second.every) {
        let killed = kill.ops(&history.recording);
        let begins = killed.len();
        let Ok(disk) = replay(&history.recording, &killed) else { continue };
        let image = disk.image();
        let lived = caught(|| second_life(history, disk, &killed, second.steps));
        let mut second = match lived.unwrap_or_else(Err) {
            Ok(second) => second,
            Err(message) => {
                let description = format!("a second life after {begins} operations of {}", history.name);
                total.violations.push(Violation {
                    description,
                    cut: begins,
                    message,
                    image,
                    timeline: Timeline::default(),
                });
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
/// `forget` takes syncs out of what was recorded, of the history and of each recovery.
pub fn recoveries(
    history: &History,
    every: u128,
    budget: &Budget,
    mut forget: impl FnMut(&mut History),
) -> (Report, Known) {
    let mut history = history.clone();
    forget(&mut history);
    let history = &history;
    let (mut total, mut known) = (Report::default(), Known::default());
    let outer = explore(&history.recording, budget, |state| {
        if !state.image.hash().is_multiple_of(every) {
            return Ok(());
        }
        let disk = SimDisk::from_image(&state.image, Record::On);
        disk.mark(Mark::Note(OPENING.into()));
        let store = history.setting.open(Arc::new(disk.clone())).map_err(|e| e.to_string())?;
        let found = [digest(&*store).map_err(|e| e.to_string())?.digest128()];
        disk.mark(Mark::Note(CLOSING.into()));
        drop(store);
        let setting = history.setting.clone();
        let mut mending = History {
            setting,
            name: String::new(),
            recording: disk.recording(),
            prefixes: found.to_vec(),
            made: Vec::new(),
        };
        forget(&mut mending);
        let mut oracle = Oracle::exactly(&found, &history.setting, &mut known);
        let budget = Budget { from: 0, until: usize::MAX, ..budget.clone() };
        let mut report = explore(&mending.recording, &budget, |again| oracle.judge(again));
        for violation in &mut report.violations {
            violation.description += &format!("; it recovers from: {}", state.describe());
        }
        add(&mut total, report);
        Ok(())
    });
    total.violations.extend(outer.violations);
    (total, known)
}

/// Sums up.
pub fn add(total: &mut Report, part: Report) {
    total.states += part.states;
    total.distinct += part.distinct;
    total.cuts += part.cuts;
    total.truncated += part.truncated;
    total.violations.extend(part.violations);
}

/// A moment at which a process is killed.
pub(crate) struct Kill {
    /// So many operations were done.
    ops: usize,
    /// And half of the next, a write.
    is_torn: bool,
}

impl Kill {
    /// What was done until then.
    fn ops(&self, recording: &Recording) -> Vec<Op> {
        let mut ops = recording.ops()[..self.ops].to_vec();
        if self.is_torn
            && let Op::Append { file, offset, bytes } = &recording.ops()[self.ops]
        {
            ops.push(Op::Append { file: *file, offset: *offset, bytes: bytes[..bytes.len() / 2].into() });
        }
        ops
    }
}

/// Every moment at which the process of a history can be killed.
pub(crate) fn kills(history: &History) -> Vec<Kill> {
    let mut kills = Vec::new();
    for (index, op) in history.recording.ops().iter().enumerate() {
        if matches!(op, Op::Append { .. }) {
            kills.push(Kill { ops: index, is_torn: true });
        }
        if !matches!(op, Op::Mark(_)) {
            kills.push(Kill { ops: index + 1, is_torn: false });
        }
    }
    kills
}

fn second_life(history: &History, disk: SimDisk, killed: &[Op], steps: &[Step]) -> Result<History, String> {
    fn told(error: impl Display) -> String {
        format!("second life: {error}")
    }
    // If there is no store yet, it makes one of its own, on the ruins of the first.
    let setting = Setting { store_id: history.setting.store_id + 1, ..history.setting.clone() };
    let mut life = Life::begin(&setting, disk, Model::default()).map_err(told)?;
    let found = digest(life.store()).map_err(told)?.digest128();
    let (lo, hi) = marks(killed);
    let range = lo..=hi.min(history.prefixes.len() as u64 - 1);
    let count = range.into_iter().rev().find(|&k| history.prefixes[k as usize] == found);
    let count = count.ok_or(format!("PREFIX: the second life does not find {lo} to {hi} changes"))?;
    life.model = Model::after(life.store(), &history.prefixes, count).map_err(told)?;
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
///
/// # Errors
/// Those of the disk, if the operations are not of this recording.
pub fn replay(recording: &Recording, ops: &[Op]) -> io::Result<SimDisk> {
    let base = recording.base();
    let mut image = Image { dirs: base.dirs.clone(), ..Image::default() };
    image.files.extend(base.names.iter().map(|(path, file)| (path.clone(), base.files[file].clone())));
    let disk = SimDisk::from_image(&image, Record::On);
    let mut files: HashMap<FileId, Arc<dyn DiskFile>> = HashMap::new();
    for (path, file) in &base.names {
        files.insert(*file, disk.append(path, Cause::Log)?);
    }
    for op in ops {
        match op {
            Op::CreateDir { dir } => disk.create_dir(dir)?,
            Op::Create { path, file } => drop(files.insert(*file, disk.create(path, Cause::Log)?)),
            Op::Remove { path, .. } => disk.remove(path)?,
            Op::Rename { from, to, .. } => disk.rename(from, to)?,
            Op::Link { from, to, .. } => disk.link(from, to)?,
            Op::SyncDir { dir } => disk.sync_dir(dir)?,
            Op::Append { file, bytes, .. } => drop(files[file].append(bytes)?),
            Op::Reserve { file, len, .. } => files[file].reserve(*len)?,
            Op::Truncate { file, len } => files[file].truncate(*len)?,
            Op::WriteAgain { file, offset, .. } => files[file].write_again(*offset)?,
            Op::Sync { file } => files[file].sync()?,
            Op::SyncFailed { file } => files[file].lose_unsynced(),
            Op::Mark(mark) => disk.mark(mark.clone()),
        }
    }
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::{SecondLife, second_lives};
    use crate::survive::engine::Engine;
    use crate::survive::history::{History, Workload};
    use crate::survive::step::Step;
    use crate::vfs::crash::budget::Budget;

    /// It ended the tool, where any other thing that a second process does wrong is told with its disk. Here the
    /// history says of no moment what the store held, not even of the first, and looking for it panics.
    #[test]
    fn a_second_life_that_panics_breaks_a_promise() {
        for engine in Engine::all() {
            let history = Workload::new("a sync", &engine, vec![Step::Sync]).record().unwrap();
            let history = History { prefixes: Vec::new(), ..history };
            let second = SecondLife { steps: &[], every: 1, skipped: 0, kills: 0..1 };
            let (report, _) = second_lives(&history, &second, &Budget::default(), |_, _| {});
            let messages: Vec<_> = report.violations.iter().map(|violation| &violation.message).collect();
            let [message] = &messages[..] else { panic!("{messages:?}") };
            assert!(message.starts_with("panicked: "), "{message}");
            assert!(report.violations[0].description.contains("a second life after"), "{report}");
        }
    }
}
