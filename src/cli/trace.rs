//! `kvs trace`.

use crate::bench::lab::{self, EngineBench};
use crate::bench::recording::Sink;
use crate::bench::subject::Configuration;
use crate::bench::trace::{Trace as Calls, TraceWriter};
use crate::cli::bench;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::lab::{Live, Room, Runs, read_trace};
use crate::cli::session::Session;
use crate::cli::shell::Shell;
use crate::cli::table::{self, Side};
use crate::cli::verb::Verb;
use clap::{Args, Subcommand};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;

/// Record the calls that commands make, and make them again on either engine
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs trace record calls.trace import data.tsv
  kvs trace record more.trace shell < script
  kvs trace show calls.trace
  kvs -e lsm trace replay calls.trace
  kvs compare --trace calls.trace
  kvs advise --trace calls.trace

A trace holds keys, and of values their sizes; also which keys were there when it began. A run of
the laboratory is recorded with kvs bench --record FILE.")]
pub(crate) struct Trace {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run a command, and record what it asks of the store
    #[command(after_help = "Examples:
  kvs trace record calls.trace import data.tsv
  kvs trace record calls.trace shell < script")]
    Record {
        /// A new file
        file: PathBuf,
        #[command(subcommand)]
        command: Recorded,
    },
    /// Make the calls again, on a store of its own; answers are held against what was written
    #[command(after_help = "Examples:
  kvs trace replay calls.trace
  kvs -e lsm trace replay calls.trace --stepped --json")]
    Replay {
        /// A trace
        file: PathBuf,
        /// No threads, a disk in memory: the same bytes on every run, and no times
        #[arg(long)]
        stepped: bool,
    },
    /// Tell what is in a trace
    #[command(after_help = "Examples:
  kvs trace show calls.trace
  kvs trace show calls.trace --json")]
    Show {
        /// A trace
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Recorded {
    #[command(flatten)]
    Verb(Verb),
    Shell(Shell),
}

impl Trace {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        match self.what {
            What::Record { file, command } => {
                let sink: Sink = Arc::new(Mutex::new(TraceWriter::create(&file)?));
                session.record(sink.clone());
                let outcome = match command {
                    Recorded::Verb(verb) => verb.run(session),
                    Recorded::Shell(shell) => shell.run(session),
                };
                session.close();
                // What was done before a failure is recorded. If that is nothing, no file stands in the way of
                // the command once it is corrected.
                let calls = sink.lock().finish();
                if outcome.is_err()
                    && let Err(error) = sink.lock().remove_unused()
                {
                    session.voice.note(&format!("{}: {error}", file.display()));
                }
                let outcome = outcome?;
                session.voice.remark(&format!("{} calls recorded", calls?));
                Ok(outcome)
            }
            What::Replay { file, stepped } => replay(session, file, stepped),
            What::Show { file } => {
                let trace = read_trace(&file, &session.voice)?;
                show(session, &trace)
            }
        }
    }
}

fn replay(session: &mut Session, file: PathBuf, stepped: bool) -> Result<Outcome, Failure> {
    let plan = Runs::of_trace(file, stepped).plan(&[], &session.voice)?;
    let configuration = Configuration {
        engine: session.place.wanted_engine(),
        settings: session.place.settings().to_vec(),
        durability: session.place.durability(),
    };
    let room = Room::of(session, &plan)?;
    let mut bench = EngineBench::new(configuration, room.path());
    let live = Live::new(&session.voice, "replay");
    let reports = lab::run(&mut bench, &plan, &mut |workload, sample| live.see(workload, sample));
    drop(live);
    bench::tell(session, &reports?, false)
}

fn show(session: &mut Session, trace: &Calls) -> Result<Outcome, Failure> {
    let mut counts = vec![("pairs when it began", trace.state.len() as u64)];
    counts.extend(trace.summary());
    counts.push(("bytes of the longest value", u64::from(trace.longest_value())));
    if session.out.is_json() {
        let object: serde_json::Map<String, serde_json::Value> =
            counts.into_iter().map(|(name, count)| (name.replace(' ', "_"), count.into())).collect();
        session.out.object(&object)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<_> =
        counts.into_iter().map(|(name, count)| [name.to_string(), count.to_string()]).collect();
    let head = [("what", Side::Left), ("how many", Side::Right)];
    session.out.put(|out, color| table::put(out, head, &rows, color))?;
    Ok(Outcome::Done)
}
