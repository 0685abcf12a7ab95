//! `kvs verify`, `kvs repair`, `kvs inspect`, `kvs find`: looking at the files of a store, damaged or not.
//!
//! They speak to the disk and to no engine: a store that can not be opened is what they are for.

use crate::cli::encoding::Encoding;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::json;
use crate::cli::place;
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::cli::table::{self, Side};
use crate::error::Error;
use crate::inspect::find::find;
use crate::inspect::find::report::Version;
use crate::inspect::repair::repair;
use crate::inspect::verify::verify;
use crate::inspect::{View, inspect, is_closed_pipe};
use clap::{ArgGroup, Args};
use std::ffi::OsString;
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
        session.close();
        session.place.examine()?;
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
        session.place.examine()?;
        let progress = Progress::spinner(&session.voice, "repair");
        let report = repair(place::disk(), &session.place.path, &self.dest).map_err(|error| {
            let is_damage = error.is_corruption();
            let failure = Failure::from(error);
            // Not what damage is told elsewhere: to repair it.
            if is_damage {
                failure.with_hint("kvs verify lists all damage; kvs inspect shows a file")
            } else {
                failure
            }
        })?;
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
  kvs inspect . --props                name=value, for programs; with --json an object")]
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
        session.close();
        let is_json = session.out.is_json();
        if is_json && self.props {
            let mut text = Vec::new();
            self.look(&mut text)?;
            session.out.object(&fields(&String::from_utf8_lossy(&text)))?;
            return Ok(Outcome::Done);
        }
        let mut lines = Lines { out: session.out.writer(), line: Vec::new() };
        let out: &mut dyn Write = if is_json { &mut lines } else { lines.out };
        self.look(out)?;
        Ok(Outcome::Done)
    }

    fn look(&self, out: &mut dyn Write) -> Result<(), Failure> {
        inspect(place::disk(), &self.target, self.view(), out).map_err(|error: Error| match error {
            error if is_closed_pipe(&error) => Failure::ClosedPipe,
            // It takes no -p, and nobody who looks wants to make one.
            Error::NoStore { .. } => Failure::from(error)
                .with_hint("name the directory of a store, or a file in it: inspect does not look at -p"),
            error => Failure::from(error),
        })
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

/// The fields of an object, from lines `name=value`; what is a number is one. Other lines, which tell of damage, are
/// its `notes`.
fn fields(text: &str) -> serde_json::Map<String, serde_json::Value> {
    let value = |value: &str| match value.parse::<u64>() {
        Ok(number) if number.to_string() == value => serde_json::Value::from(number),
        _ => value.into(),
    };
    let is_name =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let (mut fields, mut notes) = (serde_json::Map::new(), Vec::new());
    for line in text.lines() {
        match line.split_once('=').filter(|(name, _)| is_name(name)) {
            Some((name, text)) => _ = fields.insert(name.to_string(), value(text)),
            None => notes.push(serde_json::Value::from(line)),
        }
    }
    if !notes.is_empty() {
        fields.insert("notes".to_string(), notes.into());
    }
    fields
}

/// Print every version of a key in every file, dead ones too
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs find tea
  kvs find tea --json | jq -r .file

The newest first: whether a get finds it, its sequence number, the bytes of its value, its file,
and where in that its record begins (of a table: its block, and its entry in that, unfolded).
Works on a damaged store. Exit code 1 if there is none, 4 if something could not be read that may
have been one: what it may have hidden is unknown, not live. With --json a long value is cut too,
and its field is value_begins.")]
pub(crate) struct Find {
    /// The key
    key: OsString,
}

impl Find {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        session.close();
        session.place.examine()?;
        let key = session.bytes(&self.key, "KEY")?.into_owned();
        let progress = Progress::spinner(&session.voice, "find");
        let found = find(place::disk(), &session.place.path, &key)?;
        drop(progress);
        match session.out.is_json() {
            true => found.versions.iter().try_for_each(|version| {
                session.out.put(|out, _| {
                    out.write_all(b"{")?;
                    json::put_bytes(out, "key", &key)?;
                    let fields = serde_json::to_string(version)?;
                    write!(out, ",{}", fields.trim_start_matches('{').trim_end_matches('}'))?;
                    put_value(out, version)?;
                    writeln!(out, "}}")
                })
            })?,
            false => session.out.put(|out, color| put_versions(out, &found.versions, color))?,
        }
        found.notes.iter().for_each(|note| session.voice.note(note));
        Ok(match (found.is_sure, found.versions.is_empty()) {
            (false, _) => Outcome::Damaged,
            (true, true) => Outcome::NotThere,
            (true, false) => Outcome::Done,
        })
    }
}

/// The value of a version as a field; of a long one its beginning, under a name that says so.
fn put_value(out: &mut impl Write, version: &Version) -> io::Result<()> {
    if version.kind != "set" {
        return Ok(());
    }
    out.write_all(b",")?;
    let is_whole = version.preview.len() as u64 == version.value_bytes;
    json::put_bytes(out, if is_whole { "value" } else { "value_begins" }, &version.preview)
}

fn put_versions(out: &mut impl Write, versions: &[Version], color: bool) -> io::Result<()> {
    if versions.is_empty() {
        return Ok(());
    }
    let head = [
        ("state", Side::Left),
        ("kind", Side::Left),
        ("seqno", Side::Right),
        ("bytes", Side::Right),
        ("file", Side::Left),
        ("offset", Side::Right),
        ("entry", Side::Right),
        ("value", Side::Left),
    ];
    let number = |n: Option<u64>| n.map_or("-".to_string(), |n| n.to_string());
    let row = |version: &Version| {
        let mut value = Vec::new();
        let whole = version.preview.len() as u64 == version.value_bytes;
        // Writing to memory does not fail.
        let _ = Encoding::Escape.encode(&version.preview, &mut value);
        let more = if whole || version.kind == "hint" { "" } else { ".." };
        let value = String::from_utf8_lossy(&value).into_owned() + more;
        [
            version.state.to_string(),
            version.kind.to_string(),
            number(version.seqno),
            version.value_bytes.to_string(),
            version.file.clone(),
            version.offset.to_string(),
            number(version.entry),
            value,
        ]
    };
    table::put(out, head, &versions.iter().map(row).collect::<Vec<_>>(), color)
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
