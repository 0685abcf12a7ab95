//! `kvs verify`, `kvs repair`, `kvs inspect`: looking at the files of a store, damaged or not.
//!
//! They speak to the disk and to no engine: a store that can not be opened is what they are for.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::place;
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::error::Error;
use crate::inspect::repair::repair;
use crate::inspect::verify::verify;
use crate::inspect::{View, inspect, is_closed_pipe};
use clap::{ArgGroup, Args};
use std::io::{self, Write};
use std::path::PathBuf;

/// Prove the store whole, or list all damage
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs verify
  kvs verify --json | jq .damage

Reads every byte of every live file, and changes nothing. Exit code 4 if there is damage.")]
pub(crate) struct Verify {}

impl Verify {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let progress = Progress::spinner(&session.voice, "verify");
        let report = verify(place::disk(), &session.place.path)?;
        drop(progress);
        match session.out.is_json() {
            true => session.out.object(&report)?,
            false => session.out.text(&report.to_string())?,
        }
        Ok(if report.is_sound() { Outcome::Done } else { Outcome::Damaged })
    }
}

/// Save what is whole of a damaged store into another directory
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs repair ../saved
  kvs -p broken repair saved --json | jq .lost

The damaged store is never touched. Exit code 4 if something was lost; the report says what.")]
pub(crate) struct Repair {
    /// A directory that is missing or empty, outside of the store
    dest: PathBuf,
}

impl Repair {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let progress = Progress::spinner(&session.voice, "repair");
        let report = repair(place::disk(), &session.place.path, &self.dest)?;
        drop(progress);
        match session.out.is_json() {
            true => session.out.object(&report)?,
            false => session.out.text(&report.to_string())?,
        }
        Ok(if report.is_lossless() { Outcome::Done } else { Outcome::Damaged })
    }
}

/// Show a file of a store, or all of them, down to every byte
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("view"))]
#[command(after_help = "Examples:
  kvs inspect .                        the store, and each file in a line
  kvs inspect 000001.seg --explain     every byte: offset, hex, field, value, meaning
  kvs inspect 000001.seg --entries     a line a record, live or dead
  kvs inspect MANIFEST --layout        its regions, drawn
  kvs inspect . --props                name=value, for programs")]
#[group(skip)]
pub(crate) struct Inspect {
    /// A file of a store, or its directory
    #[arg(value_name = "FILE|DIR")]
    target: PathBuf,

    /// Every byte with its meaning
    #[arg(long, group = "view")]
    explain: bool,

    /// A drawing of its regions
    #[arg(long, group = "view")]
    layout: bool,

    /// A line a record
    #[arg(long, group = "view")]
    entries: bool,

    /// Names and values
    #[arg(long, group = "view")]
    props: bool,
}

impl Inspect {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let is_json = session.out.is_json();
        let mut lines = Lines { out: session.out.writer(), line: Vec::new() };
        let out: &mut dyn Write = if is_json { &mut lines } else { lines.out };
        inspect(place::disk(), &self.target, self.view(), out).map_err(|error: Error| {
            if is_closed_pipe(&error) { Failure::ClosedPipe } else { Failure::from(error) }
        })?;
        Ok(Outcome::Done)
    }

    fn view(&self) -> View {
        match self {
            Inspect { explain: true, .. } => View::Explain,
            Inspect { layout: true, .. } => View::Layout,
            Inspect { entries: true, .. } => View::Entries,
            Inspect { props: true, .. } => View::Props,
            _ => View::Summary,
        }
    }
}

/// Makes an object of each line that is written.
struct Lines<'a> {
    out: &'a mut dyn Write,
    line: Vec<u8>,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
                let text = String::from_utf8_lossy(&self.line);
                writeln!(self.out, "{}", serde_json::json!({ "line": text }))?;
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
