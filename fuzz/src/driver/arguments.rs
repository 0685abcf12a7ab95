//! What the driver is asked for.

use super::build::Watch;
use super::figures::Figure;
use super::named;
use crate::targets::{ALL, Target};
use std::path::PathBuf;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    List,
    Seed,
    Shrink,
    Replay,
    Again,
    Fuzz,
}

/// When a target has run enough: after so many executions, or seconds on a processor, whichever comes first; 0 is
/// no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) runs: u64,
    pub(super) seconds: u64,
}

impl Limit {
    /// What is left of it after that; `None` if it was enough.
    pub(super) fn without(self, done: &Figure) -> Option<Limit> {
        let left = |limit: u64, done: u64| match limit {
            0 => Some(0),
            limit => limit.checked_sub(done).filter(|left| *left > 0),
        };
        let (runs, seconds) = (left(self.runs, done.executions)?, left(self.seconds, done.seconds as u64)?);
        Some(Limit { runs, seconds })
    }

    /// The same, or so many seconds of it.
    pub(super) fn for_a_turn(self, turn: u64) -> Limit {
        let seconds = if self.seconds == 0 { turn } else { self.seconds.min(turn) };
        Limit { seconds, ..self }
    }
}

/// The words of the command line, understood.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) mode: Mode,
    pub(super) targets: Vec<&'static Target>,
    /// Inputs to run once.
    pub(super) files: Vec<PathBuf>,
    /// How much each target gets.
    pub(super) limit: Limit,
    /// What is watched.
    pub(super) watch: Watch,
    /// Targets at a time: one or two.
    pub(super) jobs: usize,
    /// Where the figures go.
    pub(super) json: Option<PathBuf>,
    /// Whether what stands in that file counts too.
    pub(super) resume: bool,
    /// The page that gets the table.
    pub(super) notes: Option<PathBuf>,
}

pub(super) const USAGE: &str = "\
kvs-fuzz TARGET...|all [--runs N] [--seconds N] [--jobs 1|2] [--edges] [--json FILE [--resume]] [--notes PAGE]
kvs-fuzz TARGET FILE...
kvs-fuzz --list | --seed [TARGET...] | --shrink [TARGET...] | --replay [TARGET...] [--runs N]";

impl Arguments {
    pub(super) fn read(words: &[String]) -> Result<Arguments, String> {
        let mut arguments = Arguments {
            mode: Mode::Fuzz,
            targets: Vec::new(),
            files: Vec::new(),
            limit: Limit::default(),
            watch: Watch::default(),
            jobs: 1,
            json: None,
            resume: false,
            notes: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word}: what?\n{USAGE}"));
            match word.as_str() {
                "--list" => arguments.mode = Mode::List,
                "--seed" => arguments.mode = Mode::Seed,
                "--shrink" => arguments.mode = Mode::Shrink,
                "--replay" => arguments.mode = Mode::Replay,
                "--runs" => arguments.limit.runs = number(value()?)?,
                "--seconds" => arguments.limit.seconds = number(value()?)?,
                "--edges" => arguments.watch = Watch::Edges,
                "--jobs" => arguments.jobs = number(value()?)?.clamp(1, 2) as usize,
                "--json" => arguments.json = Some(value()?.into()),
                "--resume" => arguments.resume = true,
                "--notes" => arguments.notes = Some(value()?.into()),
                "all" => arguments.targets.extend_from_slice(ALL),
                word if word.starts_with('-') => return Err(format!("{word}: not known\n{USAGE}")),
                word if arguments.targets.len() == 1 && PathBuf::from(word).is_file() => {
                    arguments.mode = Mode::Again;
                    arguments.files.push(word.into());
                }
                word => arguments.targets.push(named(word)?),
            }
        }
        arguments.complete()
    }

    fn complete(mut self) -> Result<Arguments, String> {
        match self.mode {
            Mode::Seed | Mode::Shrink | Mode::Replay if self.targets.is_empty() => {
                self.targets.extend_from_slice(ALL)
            }
            Mode::Fuzz if self.targets.is_empty() => return Err(USAGE.into()),
            Mode::Fuzz if self.limit == Limit::default() => self.limit.seconds = 60,
            _ => {}
        }
        Ok(self)
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.replace('_', "").parse().map_err(|_| format!("{word}: not a number"))
}

#[cfg(test)]
mod tests {
    use super::Limit;
    use crate::driver::figures::Figure;

    #[test]
    fn a_limit_counts_what_was_done_before() {
        let done = Figure { executions: 700, seconds: 100.9, ..Figure::default() };
        let limit = |runs, seconds| Limit { runs, seconds };
        assert_eq!(limit(1000, 0).without(&done), Some(limit(300, 0)));
        assert_eq!(limit(1000, 160).without(&done), Some(limit(300, 60)));
        assert_eq!(limit(700, 160).without(&done), None);
        assert_eq!(limit(1000, 100).without(&done), None);
        assert_eq!(limit(1000, 0).for_a_turn(300), limit(1000, 300));
        assert_eq!(limit(0, 60).for_a_turn(300), limit(0, 60));
    }
}
