//! `kvs torture`.

use crate::cli::crash::duration;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::interrupt;
use crate::cli::lab::{count, scratch};
use crate::cli::progress::Progress;
use crate::cli::script;
use crate::cli::session::Session;
use crate::cli::stream::{check_text, write_text};
use crate::engine::kind::EngineKind;
use crate::survive::linear::workload::{self, MOST_CLIENTS, report};
use crate::survive::script::Command;
use crate::survive::torture::history::History;
use crate::survive::torture::judge::{Difference, judge};
use crate::survive::torture::site::{Site, as_usual};
use crate::survive::torture::tally::Tally;
use crate::survive::torture::{self, Limit, Plan, TRIES};
use crate::vfs::memory::Record;
use clap::Args;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Do random things to a store, with errors and crashes, and look whether it keeps its promises
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs torture                                   both engines, some ten seconds
  kvs torture -e lsm --for 10m --threads 2
  kvs torture --ops 1M --seed 7 --save found.txt
  kvs torture --script found.txt                what was found, once more
  kvs torture --concurrent                      several threads on one store

Histories run on a disk in memory that fails, and loses what no sync covered; each answer is held
against a model. The first that differs is made as short as it gets, and told as a script. The
same seed does the same, with any number of threads. With --concurrent, threads call one store
with all that goes on in it, and what they are told must have happened in some order, one step at
a time.

Exit code 4 if a difference was found.")]
pub(crate) struct Torture {
    /// End after so many operations of each engine
    #[arg(long, value_name = "N", value_parser = count, conflicts_with = "time")]
    ops: Option<u64>,

    /// End after so long in all, as 30s, 10m, 2h [default: 10s]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,

    /// Where the histories come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Threads: histories at once; with --concurrent, clients of one store [default: 1; concurrent 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,

    /// Write what is found to a file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Do what a script says, in place of random histories
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ops", "time", "save", "concurrent"])]
    script: Option<PathBuf>,

    /// Several threads on one store: check that it is linearizable
    #[arg(long)]
    concurrent: bool,
}

/// How long, when nobody says.
const USUAL: Duration = Duration::from_secs(10);

impl Torture {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        if !session.place.settings().is_empty() {
            return Err(Failure::usage("torture draws the engines' options: it takes no -o"));
        }
        self.save.as_deref().map_or(Ok(()), check_text)?;
        interrupt::let_it_end();
        match (&self.script, self.concurrent) {
            (Some(file), _) => self.replay(session, file),
            (None, false) => self.torture(session),
            (None, true) => self.concurrent(session),
        }
    }

    /// The engines, one after the other.
    fn engines(&self, session: &Session) -> Result<Vec<EngineKind>, Failure> {
        match session.place.named_engine() {
            None => Ok(vec![EngineKind::Bitcask, EngineKind::Lsm]),
            Some(EngineKind::Memory) => {
                Err(Failure::usage("memory has no disk that could fail: torture takes bitcask or lsm"))
            }
            Some(kind) => Ok(vec![kind]),
        }
    }

    /// The share of one engine.
    fn limit(&self, engines: usize) -> Limit {
        match self.ops {
            Some(ops) => Limit::Operations(ops),
            None => Limit::Time(self.time.unwrap_or(USUAL) / engines as u32),
        }
    }

    fn torture(&self, session: &mut Session) -> Result<Outcome, Failure> {
        let engines = self.engines(session)?;
        let progress = Progress::words(&session.voice, "torture");
        let mut reports = Vec::new();
        for &kind in &engines {
            let plan = Plan {
                kind,
                seed: self.seed,
                limit: self.limit(engines.len()),
                threads: self.threads.unwrap_or(1).into(),
                tries: TRIES,
            };
            let report = torture::run(&plan, &as_usual, &mut |tally: &Tally| {
                progress
                    .say(format!("{kind}: {} histories, {} operations", tally.histories, tally.operations));
                go_on()
            });
            interrupt::check()?;
            reports.push(report);
        }
        drop(progress);
        let found = reports.iter().filter_map(|report| report.finding.as_ref());
        let scripts: Vec<&str> = found.map(|finding| &finding.script[..]).collect();
        let told = tell(session, &reports);
        self.save(session, &scripts.join("\n"));
        told?;
        Ok(outcome(scripts.len()))
    }

    fn concurrent(&self, session: &mut Session) -> Result<Outcome, Failure> {
        let clients: usize = self.threads.unwrap_or(4).into();
        if clients > MOST_CLIENTS {
            return Err(Failure::usage(format!("{clients} threads: at most {MOST_CLIENTS} on one store")));
        }
        let (engines, dir) = (self.engines(session)?, scratch(session)?);
        let progress = Progress::words(&session.voice, "torture");
        let mut reports = Vec::new();
        for &kind in &engines {
            let limit = self.limit(engines.len());
            let plan = workload::Plan { kind, seed: self.seed, limit, clients, scratch: dir.path() };
            let report = workload::run(
                &plan,
                &|path, options, settings| kind.open(path, options, settings),
                &mut |report: &report::Report| {
                    progress
                        .say(format!("{kind}: {} stores, {} operations", report.stores, report.operations));
                    go_on()
                },
            )?;
            interrupt::check()?;
            reports.push(report);
        }
        drop(progress);
        let found: Vec<String> =
            reports.iter().filter_map(|r| r.anomaly.as_ref()).map(ToString::to_string).collect();
        let told = tell(session, &reports);
        self.save(session, &found.join("\n"));
        told?;
        Ok(outcome(found.len()))
    }

    /// Does what a script says, on each engine that it names.
    fn replay(&self, session: &mut Session, file: &Path) -> Result<Outcome, Failure> {
        let script = script::read(file)?;
        let mut replays = Vec::new();
        for kind in script::engines(session, file, &script)? {
            let history = History { kind, settings: script.options.clone(), commands: script.commands() };
            check_options(&history)?;
            let (tally, difference) = judge(&history, &as_usual);
            replays.push(Replay { engine: kind.to_string(), tally, difference });
        }
        let found = replays.iter().filter(|replay| replay.difference.is_some()).count();
        match session.out.is_json() {
            true => replays.iter().try_for_each(|replay| session.out.object(replay))?,
            false => replays.iter().try_for_each(|replay| session.out.text(&replay.to_string()))?,
        }
        Ok(outcome(found))
    }

    /// A file that can not be written is told, and changes nothing of what was found.
    fn save(&self, session: &Session, text: &str) {
        let Some(file) = &self.save else { return };
        if text.is_empty() {
            return session.voice.note(&format!("nothing was found: {} is not written", file.display()));
        }
        match write_text(file, text) {
            Ok(()) => session.voice.note(&format!("what was found is in {}", file.display())),
            Err(failure) => session.voice.fail(&failure),
        }
    }
}

/// Tells what came of it, engine by engine.
fn tell<R: Serialize + std::fmt::Display>(session: &mut Session, reports: &[R]) -> Result<(), Failure> {
    for report in reports {
        match session.out.is_json() {
            true => session.out.object(report)?,
            false => session.out.text(report.to_string().trim_end())?,
        }
    }
    session.out.flush()
}

/// What a script came to on one engine.
#[derive(Serialize)]
struct Replay {
    engine: String,
    #[serde(flatten)]
    tally: Tally,
    difference: Option<Difference>,
}

impl std::fmt::Display for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let commands = self.tally.operations;
        match &self.difference {
            None => write!(f, "{}: {commands} operations, all as they must be", self.engine),
            Some(difference) => write!(f, "{}: {difference}", self.engine),
        }
    }
}

/// Options that a script has and its engine has not are the script's fault, and no difference.
fn check_options(history: &History) -> Result<(), Failure> {
    let later = history.commands.iter().filter_map(|command| match command {
        Command::Options(settings) => Some(settings),
        _ => None,
    });
    for settings in std::iter::once(&history.settings).chain(later) {
        Site::new(history.kind, settings, Record::Off, &as_usual)?;
    }
    Ok(())
}

fn go_on() -> ControlFlow<()> {
    if interrupt::check().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn outcome(found: usize) -> Outcome {
    if found == 0 { Outcome::Done } else { Outcome::Damaged }
}

#[cfg(test)]
mod tests {
    use super::outcome;
    use crate::cli::failure::Outcome;

    #[test]
    fn a_difference_is_told_by_the_exit_code() {
        assert_eq!((outcome(0), outcome(1)), (Outcome::Done, Outcome::Damaged));
    }
}
