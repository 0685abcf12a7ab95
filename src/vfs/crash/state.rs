//! One disk that a crash could have left, and what was found out about all of them.

use crate::vfs::crash::model::{Fate, Pending, describe};
use crate::vfs::crash::timeline::{Crash, Timeline, timeline};
use crate::vfs::memory::image::Image;
use crate::vfs::memory::recording::{Mark, Op, Recording};
use std::fmt;

/// How far the marks of a recording had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The highest [`Mark::Issue`]; 0 if there was none.
    pub issued: u64,
    /// The highest [`Mark::Handed`].
    pub handed: u64,
    /// The highest [`Mark::Ack`].
    pub acked: u64,
}

impl Progress {
    /// The last change that must be found: after a kill all that was handed over, after a power cut
    /// all that was acknowledged as durable.
    pub fn floor(&self, crash: Crash) -> u64 {
        match crash {
            Crash::Kill => self.acked.max(self.handed),
            Crash::PowerCut => self.acked,
        }
    }
}

/// One disk that a crash could have left.
#[derive(Debug)]
pub struct State<'a> {
    /// What is on the disk.
    pub image: Image,
    /// How many operations of the recording had been asked for.
    pub cut: usize,
    /// How it ended.
    pub crash: Crash,
    /// What had been issued and acknowledged.
    pub progress: Progress,
    pub(super) recording: &'a Recording,
    pub(super) pending: &'a [Pending<'a>],
    pub(super) fates: &'a [Fate],
}

impl State<'_> {
    /// The last change that must be found; see [`Progress::floor`].
    pub fn lo(&self) -> u64 {
        self.progress.floor(self.crash)
    }

    /// The last change that may be found.
    pub fn hi(&self) -> u64 {
        self.progress.issued
    }

    /// All marks before the cut, for judges of histories with several writers.
    pub fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.recording.ops()[..self.cut].iter().filter_map(|op| match op {
            Op::Mark(mark) => Some(mark),
            _ => None,
        })
    }

    /// What was done and what became of it, up to the crash.
    pub(super) fn timeline(&self) -> Timeline {
        timeline(self.recording, self.pending, self.fates, self.cut, self.crash)
    }

    /// What happened, in words.
    pub fn describe(&self) -> String {
        let last = match self.cut {
            0 => "before the first operation".to_owned(),
            cut => format!("after #{} {}", cut - 1, self.recording.describe(cut - 1)),
        };
        let crash = match self.crash {
            Crash::Kill => "killed",
            Crash::PowerCut => "power cut",
        };
        format!("{crash} {last}: {}", describe(self.recording, self.pending, self.fates))
    }
}

/// A disk of which the judge said that it breaks a promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What happened; see [`State::describe`].
    pub description: String,
    /// Where in the recording; see [`State::cut`].
    pub cut: usize,
    /// What the judge said.
    pub message: String,
    /// The disk, to look at it again.
    pub image: Image,
    /// What was done and what became of it, up to the crash.
    pub timeline: Timeline,
}

/// What came of exploring a recording.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// States that were worked out.
    pub states: u64,
    /// Those among them that were judged, because no equal one had been judged by the same measure.
    pub distinct: u64,
    /// Places in the recording at which it was cut.
    pub cuts: u64,
    /// Cuts at which [`Budget::max_per_cut`](crate::vfs::crash::budget::Budget::max_per_cut) left something untried.
    pub truncated: u64,
    /// Where a promise was broken.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { states, distinct, cuts, truncated, violations } = self;
        write!(
            f,
            "{cuts} cuts, {states} states, {distinct} distinct, {truncated} cuts not tried to the end"
        )?;
        write!(f, ", {} violations", violations.len())?;
        for violation in violations {
            write!(f, "\n- {}\n  {}", violation.message, violation.description)?;
        }
        Ok(())
    }
}
