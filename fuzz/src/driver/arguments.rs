//! What the driver is asked for.

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

/// The words of the command line, understood.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) mode: Mode,
    pub(super) targets: Vec<&'static Target>,
    /// Inputs to run once.
    pub(super) files: Vec<PathBuf>,
    /// Executions for each target; 0: no limit.
    pub(super) runs: u64,
    /// Seconds for each target; 0: no limit.
    pub(super) seconds: u64,
    /// Targets at a time: one or two.
    pub(super) jobs: usize,
    /// Where the figures go.
    pub(super) json: Option<PathBuf>,
    /// Whether targets that have figures in that file are passed over.
    pub(super) resume: bool,
    /// The page that gets the table.
    pub(super) notes: Option<PathBuf>,
}

pub(super) const USAGE: &str = "\
kvs-fuzz TARGET...|all [--runs N] [--seconds N] [--jobs 1|2] [--json FILE [--resume]] [--notes PAGE]
kvs-fuzz TARGET FILE...
kvs-fuzz --list | --seed [TARGET...] | --shrink [TARGET...] | --replay [TARGET...] [--runs N]";

impl Arguments {
    pub(super) fn read(words: &[String]) -> Result<Arguments, String> {
        let mut arguments = Arguments {
            mode: Mode::Fuzz,
            targets: Vec::new(),
            files: Vec::new(),
            runs: 0,
            seconds: 0,
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
                "--runs" => arguments.runs = number(value()?)?,
                "--seconds" => arguments.seconds = number(value()?)?,
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
            Mode::Fuzz if self.runs == 0 && self.seconds == 0 => self.seconds = 60,
            _ => {}
        }
        Ok(self)
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.replace('_', "").parse().map_err(|_| format!("{word}: not a number"))
}
