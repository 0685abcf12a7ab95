//! `kvs explain`: what a read looked at, in one format for every engine.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::place::Need;
use crate::cli::range::Keys;
use crate::cli::session::Session;
use crate::cli::table::{self, Side};
use crate::engine::explain::{Explanation, Step};
use crate::error::Error;
use clap::{Args, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};

/// Show what a read looks at, step by step
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs explain get tea
  kvs explain scan --prefix user: --limit 10
  kvs explain get tea --json | jq .steps

A step is a place: a table in memory, a file. Filter: what its Bloom filter said, where it has
one. Blocks: what was read of it, blocks of a table or records of a log. Cached: how many of these
were in the engine's own cache. Bytes: what that came to.")]
#[command(disable_help_subcommand = true)]
pub(crate) struct Explain {
    #[command(subcommand)]
    read: Read,
}

/// A read.
#[derive(Debug, Subcommand)]
enum Read {
    Get(Get),
    Scan(Scan),
}

/// The value of a key
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kvs explain get tea")]
struct Get {
    /// The key
    key: OsString,
}

/// The pairs of a range, from its smallest key on
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs explain scan a m                 from a, included, up to m, not included
  kvs explain scan --prefix user: --limit 10")]
struct Scan {
    #[command(flatten)]
    keys: Keys,

    /// At most this many pairs
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl Explain {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let none = Error::NoStore { path: session.place.path.clone() };
        let store = session.existing(Need::Read)?.ok_or(none)?;
        let explanation = match self.read {
            Read::Get(get) => store.explain_get(&session.bytes(&get.key, "KEY")?)?,
            Read::Scan(scan) => {
                let limit = scan.limit.unwrap_or(u64::MAX);
                store.explain_scan(scan.keys.range(session)?, limit)?
            }
        };
        match session.out.is_json() {
            true => session.out.object(&explanation)?,
            false => session.out.put(|out, color| put(out, &explanation, color))?,
        }
        Ok(Outcome::Done)
    }
}

fn put(out: &mut impl Write, explanation: &Explanation, color: bool) -> io::Result<()> {
    let head = [
        ("step", Side::Right),
        ("place", Side::Left),
        ("level", Side::Right),
        ("filter", Side::Left),
        ("outcome", Side::Left),
        ("blocks", Side::Right),
        ("cached", Side::Right),
        ("bytes", Side::Right),
    ];
    let rows: Vec<_> = explanation.steps.iter().enumerate().map(|(i, step)| row(i + 1, step)).collect();
    table::put(out, head, &rows, color)?;
    writeln!(out, "{}", answer(explanation))
}

fn row(number: usize, step: &Step) -> [String; 8] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    [
        number.to_string(),
        step.place.clone(),
        or_dash(step.level.map(|level| level.to_string())),
        or_dash(step.filter.map(str::to_string)),
        step.outcome.clone(),
        step.blocks.to_string(),
        step.cached.to_string(),
        step.bytes.to_string(),
    ]
}

/// The last line.
fn answer(explanation: &Explanation) -> String {
    let read = format!("{} bytes read", explanation.bytes());
    match (&explanation.found, explanation.pairs) {
        (None, _) => format!("not found; {read}"),
        (Some(found), pairs) => {
            let which = if pairs > 1 { format!("{pairs} pairs, the last ") } else { String::new() };
            let write = found.seqno.map(|seqno| format!("write {seqno}, ")).unwrap_or_default();
            let (place, bytes) = (&found.place, found.value_bytes);
            format!("{which}found in {place}: {write}a value of {bytes} bytes; {read}")
        }
    }
}
