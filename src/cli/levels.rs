//! `kvs levels`: the shape of the store, drawn.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::place::Need;
use crate::cli::session::Session;
use crate::cli::table::{self, Side};
use crate::cli::watch;
use crate::engine::bitcask;
use crate::engine::stats::{FileStats, Stats};
use crate::error::Error;
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

/// Draw the levels of the store, with their files, bytes and garbage
#[derive(Args, Debug, Default)]
#[command(after_help = "Examples:
  kvs levels
  kvs -v levels                        with every file, and the keys that it holds
  kvs levels --watch 1                 again every second, until Ctrl-C

The bars are as long as the bytes are many. Bitcask has one level, its segments, which are shown
one by one, the oldest first. What of a table is garbage nobody knows. Stores that are equal are
drawn equal, to the byte.")]
pub(crate) struct Levels {
    /// Draw them again whenever this many seconds have passed
    #[arg(long, value_name = "SECS", value_parser = watch::seconds)]
    watch: Option<Duration>,
}

/// Characters of the longest bar.
const BAR: usize = 30;

impl Levels {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        watch::show(session, self.watch, show)
    }
}

fn show(session: &mut Session) -> Result<(), Failure> {
    let Some(store) = session.existing(Need::Read)? else {
        let none = Error::NoStore { path: session.place.path.clone() };
        return match session.out.is_json() {
            true => session.out.object(&serde_json::json!({ "engine": null, "levels": [] })),
            false => session.out.text(&none.to_string()),
        };
    };
    let stats = store.stats()?;
    let levels = of(&stats);
    if session.out.is_json() {
        return session.out.object(&Picture { engine: stats.engine, levels });
    }
    let files = if session.style.verbose { Files::Each } else { Files::Count };
    session.out.put(|out, color| put(out, stats.engine, &levels, files, color))
}

/// What is told of the files of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// How many there are.
    Count,
    /// Each, with its keys.
    Each,
}

/// All levels, for programs.
#[derive(Debug, Serialize)]
struct Picture<'a> {
    engine: &'a str,
    levels: Vec<Level<'a>>,
}

/// Files that lie side by side.
#[derive(Debug, Serialize)]
struct Level<'a> {
    /// Its number; Bitcask has none.
    level: Option<u8>,
    bytes: u64,
    live_bytes: Option<u64>,
    entries: Option<u64>,
    files: Vec<&'a FileStats>,
}

/// The levels of a store, from the top.
fn of(stats: &Stats) -> Vec<Level<'_>> {
    let mut levels: BTreeMap<Option<u8>, Vec<&FileStats>> = BTreeMap::new();
    for file in &stats.files {
        levels.entry(file.level).or_default().push(file);
    }
    levels.into_iter().map(|(level, files)| Level::new(level, files, stats.engine)).collect()
}

impl<'a> Level<'a> {
    fn new(level: Option<u8>, files: Vec<&'a FileStats>, engine: &str) -> Level<'a> {
        let bytes = files.iter().map(|file| file.bytes).sum();
        let live_bytes = files.iter().map(|file| live(file, engine)).sum();
        let entries = files.iter().map(|file| file.entries).sum();
        Level { level, bytes, live_bytes, entries, files }
    }

    fn name(&self, engine: &str) -> String {
        match self.level {
            Some(level) => format!("level {level}"),
            None if engine == bitcask::NAME => "segments".into(),
            None => "log".into(),
        }
    }
}

/// Bytes that a get can still reach. Bitcask counts them; what of a table, or of a log beside a memtable,
/// is replaced elsewhere, nobody knows.
fn live(file: &FileStats, engine: &str) -> Option<u64> {
    (engine == bitcask::NAME).then_some(file.live_bytes)
}

/// The keys that a file holds, from the smallest to the largest, if it is sorted.
fn keys(file: &FileStats) -> String {
    let short = |key: &Vec<u8>| match key.len() {
        0..=40 => format!("\"{}\"", key.escape_ascii()),
        len => format!("\"{}\"... ({len} bytes)", key[..32].escape_ascii()),
    };
    match (&file.smallest, &file.largest) {
        (Some(smallest), Some(largest)) => format!("{} to {}", short(smallest), short(largest)),
        _ => String::new(),
    }
}

fn put(
    out: &mut impl Write,
    engine: &str,
    levels: &[Level<'_>],
    files: Files,
    color: bool,
) -> io::Result<()> {
    let largest = levels.iter().map(|level| level.bytes).max().unwrap_or(0).max(1);
    let row = |cells: [String; 3], bytes: u64, live: Option<u64>, keys: String| {
        let [name, count, entries] = cells;
        let garbage = live.map(|live| bytes.saturating_sub(live));
        // In 128 bits, since files may be large; rounded up, so that nothing is not drawn at all.
        let len = (u128::from(bytes) * BAR as u128).div_ceil(largest.into()) as usize;
        let bar = "#".repeat(len);
        [name, count, entries, bytes.to_string(), number(live), number(garbage), bar, keys]
    };
    let mut rows = Vec::new();
    for level in levels {
        let cells = [level.name(engine), level.files.len().to_string(), number(level.entries)];
        rows.push(row(cells, level.bytes, level.live_bytes, String::new()));
        if level.level.is_some() && files == Files::Count {
            continue;
        }
        rows.extend(level.files.iter().map(|file| {
            let keys = if files == Files::Each { keys(file) } else { String::new() };
            let cells = [format!("  {} {}", file.name, file.state), String::new(), number(file.entries)];
            row(cells, file.bytes, live(file, engine), keys)
        }));
    }
    let knows_keys = rows.iter().any(|row: &[String; 8]| !row[7].is_empty());
    let head = [
        ("level", Side::Left),
        ("files", Side::Right),
        ("entries", Side::Right),
        ("bytes", Side::Right),
        ("live", Side::Right),
        ("garbage", Side::Right),
        ("", Side::Left),
        (if knows_keys { "keys" } else { "" }, Side::Left),
    ];
    table::put(out, head, &rows, color)
}

/// A number, or a dash where nobody knows it.
fn number(n: Option<u64>) -> String {
    n.map_or("-".into(), |n| n.to_string())
}
