//! `kvs stats`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::place::Need;
use crate::cli::session::Session;
use crate::cli::table::{self, Side};
use crate::cli::watch;
use crate::engine::stats::Stats;
use crate::error::Error;
use clap::Args;
use indicatif::BinaryBytes;
use std::io::{self, Write};
use std::time::Duration;

/// Print what the store holds and what it costs
#[derive(Args, Debug, Default)]
#[command(after_help = "Examples:
  kvs stats
  kvs stats --json | jq .dead_bytes
  kvs stats --watch 2                  again every two seconds, until Ctrl-C")]
pub(crate) struct StatsVerb {
    /// Print them again whenever this many seconds have passed
    #[arg(long, value_name = "SECS", value_parser = watch::seconds)]
    watch: Option<Duration>,
}

impl StatsVerb {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        watch::show(session, self.watch, show)
    }
}

fn show(session: &mut Session) -> Result<(), Failure> {
    let Some(store) = session.existing(Need::Read)? else {
        let none = Error::NoStore { path: session.place.path.clone() };
        return match session.out.is_json() {
            true => session.out.object(&serde_json::json!({ "engine": null, "keys": 0 })),
            false => session.out.text(&none.to_string()),
        };
    };
    let stats = store.stats()?;
    match session.out.is_json() {
        true => session.out.object(&stats),
        false => session.out.put(|out, color| put(out, &stats, color)),
    }
}

fn put(out: &mut impl Write, stats: &Stats, color: bool) -> io::Result<()> {
    let bytes = |n: u64| format!("{n}  ({})", BinaryBytes(n));
    let mut rows = vec![
        ["engine", stats.engine].map(String::from),
        [if stats.is_estimate { "keys (about)" } else { "keys" }.into(), stats.keys.to_string()],
        ["sequence number".into(), stats.seqno.to_string()],
        ["bytes on disk".into(), bytes(stats.disk_bytes)],
        ["  live".into(), bytes(stats.live_bytes)],
        ["  dead".into(), bytes(stats.dead_bytes)],
        ["bytes in memory".into(), bytes(stats.memory_bytes)],
        ["snapshots".into(), stats.snapshots.to_string()],
    ];
    rows.extend(stats.counters.iter().map(|counter| [counter.name.into(), counter.value.to_string()]));
    if let Some(reason) = &stats.poisoned {
        rows.push(["refuses writes".into(), reason.clone()]);
    }
    table::put(out, [("what", Side::Left), ("how much", Side::Left)], &rows, color)?;
    if stats.files.is_empty() {
        return Ok(());
    }
    let head = [
        ("file", Side::Left),
        ("state", Side::Left),
        ("bytes", Side::Right),
        ("live", Side::Right),
        ("first seqno", Side::Right),
        ("last seqno", Side::Right),
    ];
    let rows = stats.files.iter().map(|file| {
        let numbers = [file.bytes, file.live_bytes, file.first_seqno, file.last_seqno].map(|n| n.to_string());
        let [bytes, live, first, last] = numbers;
        [file.name.clone(), file.state.clone(), bytes, live, first, last]
    });
    writeln!(out)?;
    table::put(out, head, &rows.collect::<Vec<_>>(), color)
}
