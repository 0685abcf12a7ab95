//! What is run, and what all its threads share.

use crate::bench::error::Error;
use crate::bench::expected::{Certainty, Expected};
use crate::bench::keys::{Data, Shuffle};
use crate::bench::subject::Subject;
use crate::bench::workload::{Call, Mix, Work, Workload};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How a workload is run.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Calls that are asked for.
    pub calls: u64,
    /// It ends when it has run for so long, if that is before its calls are made; but what makes a store
    /// makes all of it.
    pub limit: Option<Duration>,
    /// Threads that make calls.
    pub threads: usize,
    /// A sample is taken whenever this much time has passed; `None`: in steps.
    pub every: Option<Duration>,
}

/// What all threads of a run share.
pub(super) struct Run<'a> {
    pub(super) subject: &'a dyn Subject,
    pub(super) data: &'a Data,
    pub(super) expected: &'a Expected,
    pub(super) workload: &'a Workload,
    pub(super) pace: &'a Pace,
    pub(super) certainty: Certainty,
    /// Keys when it began.
    pub(super) keys: u64,
    pub(super) shuffle: Shuffle,
    pub(super) calls: AtomicU64,
    pub(super) pairs: AtomicU64,
    /// Somebody is through, wants to end, or failed.
    pub(super) is_over: AtomicBool,
    pub(super) failure: Mutex<Option<Error>>,
}

/// How well answers are known.
pub(super) fn certainty(workload: &Workload, threads: usize) -> Certainty {
    let (mix, beside) = match &workload.work {
        Work::Mixed { mix, beside, .. } => (Some(mix), beside.as_ref()),
        _ => (None, None),
    };
    let removes = |mix: &Mix| mix.part(Call::Delete) > 0.0;
    match threads {
        1 if beside.is_none() => Certainty::Exact,
        _ if mix.is_some_and(removes) || beside.is_some_and(removes) => Certainty::Loose,
        _ => Certainty::AtLeast,
    }
}

impl Run<'_> {
    /// Calls that are to be made.
    pub(super) fn total(&self) -> u64 {
        self.workload.calls(self.keys, self.pace.calls)
    }

    /// When it ends, whatever is made by then. What comes behind a fill counts on all of its keys.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.pace.limit.filter(|_| !self.workload.makes_a_store())
    }

    pub(super) fn beside(&self) -> Option<&Mix> {
        match &self.workload.work {
            Work::Mixed { beside, .. } => beside.as_ref(),
            _ => None,
        }
    }

    pub(super) fn fail(&self, error: Error) {
        self.failure.lock().get_or_insert(error);
        self.is_over.store(true, Ordering::Relaxed);
    }
}
