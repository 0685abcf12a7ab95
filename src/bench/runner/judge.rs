//! Holds what a scan shows, and what it does not, against what was written.

use super::run::Run;
use crate::bench::error::{Error, Result};
use crate::bench::expected::Certainty;
use crate::engine::range::Direction;

/// Holds the pairs of a scan against what was written.
pub(super) struct Judge<'a> {
    run: &'a Run<'a>,
    pub(super) direction: Direction,
    /// Forward: the lowest number that may come. Reverse: the one above the highest that may.
    pub(super) next: u64,
    verdict: Result<()>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(run: &'a Run<'a>, from: u64) -> Judge<'a> {
        Judge { run, direction: Direction::Forward, next: from, verdict: Ok(()) }
    }

    pub(super) fn see(&mut self, key: &[u8], value: &[u8]) {
        if self.verdict.is_ok() {
            self.verdict = self.look(key, value);
        }
    }

    fn wrong(number: impl ToString, reason: String) -> Error {
        Error::Wrong { call: "scan", key: number.to_string(), reason }
    }

    fn look(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let run = self.run;
        let number = run.data.number(key).ok_or_else(|| {
            Judge::wrong(String::from_utf8_lossy(key), "a key that nobody wrote".to_string())
        })?;
        let passed = match self.direction {
            Direction::Forward if number < self.next => None,
            Direction::Reverse if number >= self.next => None,
            Direction::Forward => Some(self.next..number),
            Direction::Reverse => Some(number + 1..self.next),
        };
        let passed = passed.ok_or_else(|| Judge::wrong(number, "the keys do not come in order".into()))?;
        self.check_passed(passed)?;
        self.next = if self.direction == Direction::Forward { number + 1 } else { number };
        run.expected.check("scan", number, run.certainty, run.data, Some(value))
    }

    /// None of the keys that were passed over is there.
    fn check_passed(&self, mut passed: std::ops::Range<u64>) -> Result<()> {
        if self.run.certainty == Certainty::Loose {
            return Ok(());
        }
        // What is inserted meanwhile stands behind.
        let may_be_new = self.run.certainty != Certainty::Exact;
        passed.end = if may_be_new { passed.end.min(self.run.keys) } else { passed.end };
        match passed.into_iter().find(|&number| self.run.expected.of(number).0) {
            None => Ok(()),
            Some(number) => Err(Judge::wrong(number, "it was passed over, and is there".into())),
        }
    }

    /// It ended; if at an end of the store, nothing else is there.
    pub(super) fn end(self, is_at_the_end: bool) -> Result<()> {
        self.verdict?;
        let left = match self.direction {
            Direction::Forward => self.next..self.run.expected.count(),
            Direction::Reverse => 0..self.next,
        };
        let judge = Judge { verdict: Ok(()), ..self };
        if is_at_the_end { judge.check_passed(left) } else { Ok(()) }
    }
}
