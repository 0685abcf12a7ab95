//! What was done before a crash, line by line: what was durable, what was lost, and which sync is missing.

use crate::vfs::crash::model::{Fate, Pending};
use crate::vfs::memory::recording::{FileId, LEFT_OUT, Mark, Op, Recording};
use std::fmt;
use std::path::Path;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process was killed: the operating system still writes all that it was handed.
    Kill,
    /// The power went: what was not synced may be there or not.
    PowerCut,
}

/// Lines shown before the first operation that is not durable.
const BEFORE: usize = 3;

/// What was done before a crash, from shortly before the first operation that was not durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// One for each operation and mark.
    pub lines: Vec<Line>,
    /// The syncs that would have kept what was lost, one sentence each; those that were left out on purpose
    /// first.
    pub missing: Vec<String>,
}

/// One operation, or a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where in the recording.
    pub index: usize,
    /// What was done.
    pub what: String,
    /// What became of it: `durable`, `kept`, `lost`, or which part is there; nothing for a mark.
    pub fate: String,
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|line| line.what.len()).max().unwrap_or(0);
        for Line { index, what, fate } in &self.lines {
            let line = format!("#{index:<5} {what:width$}  {fate}");
            writeln!(f, "{}", line.trim_end())?;
        }
        self.missing.iter().try_for_each(|missing| writeln!(f, "{missing}"))
    }
}

pub(super) fn timeline(
    recording: &Recording,
    pending: &[Pending<'_>],
    fates: &[Fate],
    cut: usize,
    crash: Crash,
) -> Timeline {
    let fate_of = |index: usize| {
        let at = pending.iter().position(|pending| pending.index == index)?;
        Some(fates[at])
    };
    let ops = &recording.ops()[..cut];
    let first = pending.first().map_or(cut, |pending| pending.index);
    let left_out = ops.iter().position(is_left_out).unwrap_or(cut);
    let mut lines = Vec::new();
    let from = first.min(left_out).saturating_sub(BEFORE);
    for (index, op) in ops.iter().enumerate().skip(from) {
        let fate = match (op, fate_of(index)) {
            (Op::Mark(_), _) => String::new(),
            (_, None) => "durable".into(),
            (_, Some(Fate::Kept)) => "kept".into(),
            (_, Some(Fate::Lost)) => "lost".into(),
            (_, Some(Fate::Torn(tear))) => tear.words(),
        };
        lines.push(Line { index, what: words(recording, index), fate });
    }
    let end = match crash {
        Crash::Kill => "the process is killed",
        Crash::PowerCut => "the power goes",
    };
    lines.push(Line { index: cut, what: end.into(), fate: String::new() });
    Timeline { lines, missing: missing(recording, pending, fates, cut) }
}

/// One operation or mark, as a reader wants it.
fn words(recording: &Recording, index: usize) -> String {
    match &recording.ops()[index] {
        Op::Mark(Mark::Issue(n)) => format!("-- change {n} is asked for"),
        Op::Mark(Mark::Handed(n)) => format!("-- change {n} is acknowledged"),
        Op::Mark(Mark::Ack(n)) => format!("-- change {n} is acknowledged as durable"),
        Op::Mark(Mark::Note(note)) => format!("-- {note}"),
        _ => recording.describe(index),
    }
}

fn is_left_out(op: &Op) -> bool {
    matches!(op, Op::Mark(Mark::Note(note)) if note.starts_with(LEFT_OUT))
}

/// For each operation that is not there as a whole, the sync that nobody made after it. What nobody had
/// been promised is passed over, where something else is missing.
fn missing(recording: &Recording, pending: &[Pending<'_>], fates: &[Fate], cut: usize) -> Vec<String> {
    let ops = &recording.ops()[..cut];
    let promised = ops.iter().rposition(|op| matches!(op, Op::Mark(Mark::Ack(_)))).unwrap_or(0);
    let lost = pending.iter().zip(fates).filter(|(_, fate)| **fate != Fate::Kept);
    let lost: Vec<usize> = lost.map(|(pending, _)| pending.index).collect();
    let (early, late): (Vec<usize>, Vec<usize>) = lost.iter().partition(|&&index| index < promised);
    let mut sentences: Vec<(bool, String)> = Vec::new();
    for &index in if early.is_empty() { &late } else { &early } {
        let sync = match (ops[index].data_of(), ops[index].names_of()) {
            (Some(file), _) => file_sync(recording, file),
            (None, Some(dir)) => dir_sync(dir),
            (None, None) => continue,
        };
        let note = format!("{LEFT_OUT}{sync}");
        let is_it = |op: &Op| matches!(op, Op::Mark(Mark::Note(said)) if *said == note);
        let left_out = ops[index..].iter().position(is_it).map(|at| index + at);
        let sentence = match left_out {
            Some(at) => format!("missing: `{sync}`, which was left out at #{at}"),
            None => format!("missing: `{sync}` after #{index}"),
        };
        let is_known = sentences.iter().any(|(_, known)| known.contains(&format!("`{sync}`")));
        if !is_known {
            sentences.push((left_out.is_none(), sentence));
        }
    }
    sentences.sort_by_key(|(is_own, _)| *is_own);
    sentences.into_iter().map(|(_, sentence)| sentence).collect()
}

fn file_sync(recording: &Recording, file: FileId) -> String {
    format!("sync {}", recording.first_name(file).unwrap_or(Path::new("?")).display())
}

fn dir_sync(dir: &Path) -> String {
    format!("sync directory {}", dir.display())
}

#[cfg(test)]
mod tests {
    use crate::vfs::crash::budget::Budget;
    use crate::vfs::crash::explore;
    use crate::vfs::memory::SimDisk;
    use crate::vfs::memory::recording::{Forget, Mark};
    use crate::vfs::{Cause, Vfs};

    /// A log whose name is synced, and whose bytes should be.
    fn life() -> SimDisk {
        let disk = SimDisk::new();
        let log = disk.create("/log".as_ref(), Cause::Log).unwrap();
        disk.sync_dir("/".as_ref()).unwrap();
        disk.mark(Mark::Issue(1));
        log.append(b"one").unwrap();
        log.sync().unwrap();
        disk.mark(Mark::Ack(1));
        disk
    }

    fn first_line(forget: &Forget) -> String {
        let mut recording = life().recording();
        assert_eq!(recording.forget(forget), 1);
        let report = explore(&recording, &Budget::default(), |state| match state.image.get("/log") {
            Some(b"one") => Ok(()),
            _ if state.lo() == 0 => Ok(()),
            _ => Err("it is gone".into()),
        });
        report.violations[0].timeline.to_string()
    }

    #[test]
    fn it_points_at_the_sync_of_a_file() {
        let told = first_line(&Forget::file_syncs("log"));
        assert!(told.contains("#3     append 3 bytes at 0 to /log"), "{told}");
        assert!(told.contains("lost\n"), "{told}");
        assert!(told.contains("#6     the power goes"), "{told}");
        assert!(told.ends_with("missing: `sync /log`, which was left out at #4\n"), "{told}");
    }

    #[test]
    fn it_points_at_the_sync_of_a_directory() {
        let told = first_line(&Forget::dir_syncs("/"));
        assert!(told.ends_with("missing: `sync directory /`, which was left out at #1\n"), "{told}");
    }

    #[test]
    fn a_sync_that_nobody_ever_made_is_missing_too() {
        let disk = SimDisk::new();
        disk.mark(Mark::Issue(1));
        disk.create("/f".as_ref(), Cause::Log).unwrap();
        disk.mark(Mark::Ack(1));
        let report = explore(&disk.recording(), &Budget::default(), |state| {
            if state.lo() == 0 || state.image.get("/f").is_some() { Ok(()) } else { Err("gone".into()) }
        });
        let timeline = &report.violations[0].timeline;
        assert_eq!(timeline.missing, ["missing: `sync directory /` after #1"]);
    }
}
