//! Scripts: what is done to a store and what it says, as text.
//!
//! ```text
//! engines: memory bitcask                    the first line
//! options: segment_bytes=4096                of the engine; may be missing
//!
//! # A comment.
//! set tea green
//! get tea
//! ---
//! tea = green
//! ```
//!
//! A block is commands, a rule of three dashes, and what they say up to the next blank line; `ok` if
//! they say nothing. [`Command`] lists the commands. Bytes that are not plain are written `\xNN`, the
//! empty string `""`, and `ab*300` is `ab` three hundred times. Ranges are Rust's: `..`, `a..`, `..b`,
//! `a..=b`, and `a<..b` without its start.
//!
//! The model tests write their failing histories in these words, so that a failure becomes a script.

use crate::common::engines::Store;
use crate::common::words::Pair;
use kvs::engine::batch::WriteBatch;
use kvs::engine::range::{Direction, KeyRange};
use kvs::engine::{Cursor, KvsEngine, KvsRead, Snapshot};
use kvs::error::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

/// One line of a script; a batch has indented lines below it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// `set k v`
    Set(Vec<u8>, Vec<u8>),
    /// `rm k`: removes it, and says whether it was there.
    Remove(Vec<u8>),
    /// `swap k v`, or `swap k` to remove: says what was there.
    Swap(Vec<u8>, Option<Vec<u8>>),
    /// `batch`, with `set k v` and blind `rm k` below it.
    Batch(Vec<Step>),
    /// A look at the present, or with `@name` in front at a snapshot.
    Look(Option<String>, Look),
    /// `snapshot name`
    Snapshot(String),
    /// `drop name`
    Drop(String),
    /// `compact`
    Compact,
    /// `sync`
    Sync,
    /// `reopen`: drops the snapshots, closes the store and opens it.
    Reopen,
    /// `stats keys`: how many there are.
    StatsKeys,
    /// `files`: names and sizes.
    Files,
    /// `dump FILE`: its bytes.
    Dump(String),
}

/// A write in a batch, or beside a cursor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Set(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Look {
    /// `get k`
    Get(Vec<u8>),
    /// `scan [range]`, and `rscan [range]` from the end.
    Scan(KeyRange),
    /// `walk range : moves`, each move one of `first`, `last`, `next`, `prev`, `seek k`, separated by
    /// commas; between them, writes that the cursor does not see: `set k v`, `rm k`, `compact`.
    Walk(KeyRange, Vec<Move>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Move {
    First,
    Last,
    Next,
    Prev,
    Seek(Vec<u8>),
    Write(Step),
    Compact,
}

/// A store, and the snapshots that a script holds of it.
pub(crate) struct Session {
    store: Store,
    snapshots: BTreeMap<String, Snapshot>,
}

impl Session {
    pub(crate) fn new(store: Store) -> Session {
        Session { store, snapshots: BTreeMap::new() }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Does what the command says, and returns what there is to say. An error is something to say.
    pub(crate) fn run(&mut self, command: &Command) -> Vec<String> {
        self.attempt(command).unwrap_or_else(|error| vec![format!("error: {error}")])
    }

    fn attempt(&mut self, command: &Command) -> Result<Vec<String>> {
        let store = &*self.store;
        match command {
            Command::Set(key, value) => store.set(key, value)?,
            Command::Remove(key) => {
                let what = if store.remove(key)? { "was there" } else { "was not there" };
                return Ok(vec![format!("{} {what}", show(key))]);
            }
            Command::Swap(key, value) => return Ok(vec![swap(store, key, value.as_deref())?]),
            Command::Batch(steps) => store.write(batch(steps), &Default::default())?,
            Command::Look(None, look) => return self.look(store, look),
            Command::Look(Some(name), look) => return self.look(self.snapshot(name)?, look),
            Command::Snapshot(name) => _ = self.snapshots.insert(name.clone(), store.snapshot()?),
            Command::Drop(name) => _ = self.snapshots.remove(name),
            Command::Compact => store.compact()?,
            Command::Sync => store.sync()?,
            Command::Reopen => {
                self.snapshots.clear();
                self.store.reopen();
            }
            Command::StatsKeys => {
                return Ok(vec![format!("{} keys", crate::common::words::Count::key_count(store))]);
            }
            Command::Files => return Ok(self.files()),
            Command::Dump(name) => return Ok(self.dump(name)),
        }
        Ok(Vec::new())
    }

    fn snapshot(&self, name: &str) -> Result<&Snapshot> {
        self.snapshots.get(name).ok_or_else(|| Error::invalid(format!("no snapshot {name} is held")))
    }

    fn look(&self, read: &(impl KvsRead + ?Sized), look: &Look) -> Result<Vec<String>> {
        match look {
            Look::Get(key) => Ok(vec![match read.get(key)? {
                Some(value) => format!("{} = {}", show(key), show(&value)),
                None => format!("{} is not there", show(key)),
            }]),
            Look::Scan(range) => {
                let scan = read.scan(range.clone())?;
                let lines = scan.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())));
                let lines = lines.collect::<Result<Vec<Pair>>>()?;
                Ok(if lines.is_empty() { vec!["nothing".into()] } else { lines.iter().map(pair).collect() })
            }
            Look::Walk(range, moves) => self.walk(read, range, moves),
        }
    }

    fn walk(&self, read: &(impl KvsRead + ?Sized), range: &KeyRange, moves: &[Move]) -> Result<Vec<String>> {
        let mut cursor = read.cursor(range.clone())?;
        let mut said = Vec::new();
        for step in moves {
            match step {
                Move::First => cursor.seek_to_first()?,
                Move::Last => cursor.seek_to_last()?,
                Move::Next => cursor.next()?,
                Move::Prev => cursor.prev()?,
                Move::Seek(key) => cursor.seek(key)?,
                Move::Write(write) => {
                    self.store.write(batch(std::slice::from_ref(write)), &Default::default())?;
                }
                Move::Compact => self.store.compact()?,
            }
            if !matches!(step, Move::Write(_) | Move::Compact) {
                said.push(format!("{step}: {}", standing(&mut *cursor)?));
            }
        }
        Ok(said)
    }

    fn files(&self) -> Vec<String> {
        let files = self.store.files();
        files.iter().map(|file| format!("{:<12} {:>8}", file.name, file.len)).collect()
    }

    /// A file's bytes, sixteen a line.
    fn dump(&self, name: &str) -> Vec<String> {
        match self.store.read_file(name) {
            Ok(bytes) => bytes.chunks(16).enumerate().map(|(i, row)| dump_row(i * 16, row)).collect(),
            Err(error) => vec![format!("error: {name}: {error}")],
        }
    }
}

fn swap(store: &dyn KvsEngine, key: &[u8], value: Option<&[u8]>) -> Result<String> {
    Ok(match store.swap(key, value)? {
        Some(old) => format!("{} was {}", show(key), show(&old)),
        None => format!("{} was not there", show(key)),
    })
}

fn batch(steps: &[Step]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for step in steps {
        match step {
            Step::Set(key, value) => batch.set(key, value),
            Step::Remove(key) => batch.remove(key),
        }
    }
    batch
}

fn standing(cursor: &mut dyn Cursor) -> Result<String> {
    if !cursor.valid() {
        return Ok("nowhere".into());
    }
    Ok(pair(&(cursor.key().to_vec(), cursor.value()?.to_vec())))
}

fn pair((key, value): &Pair) -> String {
    format!("{} = {}", show(key), show(value))
}

fn dump_row(offset: usize, row: &[u8]) -> String {
    let hex: Vec<_> = row.iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = |&byte: &u8| if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '.' };
    let text: String = row.iter().map(plain).collect();
    format!("{offset:08x}  {:<47}  |{text}|", hex.join(" "))
}

/// Bytes as a script writes them.
pub(crate) fn show(bytes: &[u8]) -> String {
    let period = (1..=4).find(|&period| {
        bytes.len() >= 16
            && bytes.len().is_multiple_of(period)
            && bytes[period..] == bytes[..bytes.len() - period]
    });
    match period {
        Some(period) => format!("{}*{}", escape(&bytes[..period]), bytes.len() / period),
        None => escape(bytes),
    }
}

fn escape(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "\"\"".into();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/+!?%&$;()[]{}^~|'".contains(&byte);
    let shown = |&byte: &u8| if plain(byte) { (byte as char).to_string() } else { format!("\\x{byte:02x}") };
    bytes.iter().map(shown).collect()
}

/// Reads what [`show`] wrote.
pub(crate) fn read(text: &str) -> std::result::Result<Vec<u8>, String> {
    match text.rsplit_once('*') {
        Some((part, times)) => {
            let times = times.parse().map_err(|_| format!("{text}: how many times?"))?;
            Ok(unescape(part)?.repeat(times))
        }
        None => unescape(text),
    }
}

fn unescape(text: &str) -> std::result::Result<Vec<u8>, String> {
    if text == "\"\"" {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(escaped) = rest.strip_prefix("\\x") {
            let hex = escaped.get(..2).ok_or_else(|| format!("{text}: two digits after \\x"))?;
            bytes.push(u8::from_str_radix(hex, 16).map_err(|e| format!("{text}: {e}"))?);
            rest = &escaped[2..];
        } else {
            bytes.extend(first.to_string().as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(bytes)
}

fn show_range(range: &KeyRange) -> String {
    let start = match &range.start {
        Bound::Included(key) => show(key),
        Bound::Excluded(key) => format!("{}<", show(key)),
        Bound::Unbounded => String::new(),
    };
    match &range.end {
        Bound::Included(key) => format!("{start}..={}", show(key)),
        Bound::Excluded(key) => format!("{start}..{}", show(key)),
        Bound::Unbounded => format!("{start}.."),
    }
}

fn read_range(text: &str) -> std::result::Result<KeyRange, String> {
    let (start, end) = text.split_once("..").ok_or_else(|| format!("{text}: a range has two dots"))?;
    let start = match start.strip_suffix('<') {
        Some(key) => Bound::Excluded(read(key)?),
        None if start.is_empty() => Bound::Unbounded,
        None => Bound::Included(read(start)?),
    };
    let end = match end.strip_prefix('=') {
        Some(key) => Bound::Included(read(key)?),
        None if end.is_empty() => Bound::Unbounded,
        None => Bound::Excluded(read(end)?),
    };
    Ok(KeyRange { start, end, direction: Direction::Forward })
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Set(key, value) => write!(f, "set {} {}", show(key), show(value)),
            Command::Remove(key) => write!(f, "rm {}", show(key)),
            Command::Swap(key, None) => write!(f, "swap {}", show(key)),
            Command::Swap(key, Some(value)) => write!(f, "swap {} {}", show(key), show(value)),
            Command::Batch(steps) => {
                f.write_str("batch")?;
                steps.iter().try_for_each(|step| write!(f, "\n  {step}"))
            }
            Command::Look(None, look) => write!(f, "{look}"),
            Command::Look(Some(name), look) => write!(f, "@{name} {look}"),
            Command::Snapshot(name) => write!(f, "snapshot {name}"),
            Command::Drop(name) => write!(f, "drop {name}"),
            Command::Compact => f.write_str("compact"),
            Command::Sync => f.write_str("sync"),
            Command::Reopen => f.write_str("reopen"),
            Command::StatsKeys => f.write_str("stats keys"),
            Command::Files => f.write_str("files"),
            Command::Dump(name) => write!(f, "dump {name}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Set(key, value) => write!(f, "set {} {}", show(key), show(value)),
            Step::Remove(key) => write!(f, "rm {}", show(key)),
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Look::Get(key) => write!(f, "get {}", show(key)),
            Look::Scan(range) if range.direction == Direction::Forward => {
                write!(f, "scan {}", show_range(range))
            }
            Look::Scan(range) => write!(f, "rscan {}", show_range(range)),
            Look::Walk(range, moves) => {
                let moves: Vec<_> = moves.iter().map(Move::to_string).collect();
                write!(f, "walk {} : {}", show_range(range), moves.join(", "))
            }
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Move::First => f.write_str("first"),
            Move::Last => f.write_str("last"),
            Move::Next => f.write_str("next"),
            Move::Prev => f.write_str("prev"),
            Move::Seek(key) => write!(f, "seek {}", show(key)),
            Move::Write(step) => write!(f, "{step}"),
            Move::Compact => f.write_str("compact"),
        }
    }
}

/// Reads the commands of a block: what [`Command`] prints, one after the other.
pub(crate) fn read_commands(lines: &[&str]) -> std::result::Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    for line in lines.iter().filter(|line| !line.trim_start().starts_with('#')) {
        let words: Vec<_> = line.split_whitespace().collect();
        match (line.starts_with(' '), commands.last_mut()) {
            (false, _) => commands.push(read_command(&words)?),
            (true, Some(Command::Batch(steps))) => steps.push(read_step(&words)?),
            (true, _) => return Err(format!("{line}: indented, but not under a batch")),
        }
    }
    Ok(commands)
}

fn read_command(words: &[&str]) -> std::result::Result<Command, String> {
    Ok(match words {
        ["set", key, value] => Command::Set(read(key)?, read(value)?),
        ["rm", key] => Command::Remove(read(key)?),
        ["swap", key] => Command::Swap(read(key)?, None),
        ["swap", key, value] => Command::Swap(read(key)?, Some(read(value)?)),
        ["batch"] => Command::Batch(Vec::new()),
        ["snapshot", name] => Command::Snapshot((*name).to_string()),
        ["drop", name] => Command::Drop((*name).to_string()),
        ["compact"] => Command::Compact,
        ["sync"] => Command::Sync,
        ["reopen"] => Command::Reopen,
        ["stats", "keys"] => Command::StatsKeys,
        ["files"] => Command::Files,
        ["dump", name] => Command::Dump((*name).to_string()),
        [first, look @ ..] if first.starts_with('@') => {
            Command::Look(Some(first[1..].to_string()), read_look(look)?)
        }
        look => Command::Look(None, read_look(look)?),
    })
}

fn read_look(words: &[&str]) -> std::result::Result<Look, String> {
    Ok(match words {
        ["get", key] => Look::Get(read(key)?),
        ["scan"] => Look::Scan(KeyRange::all()),
        ["scan", range] => Look::Scan(read_range(range)?),
        ["rscan"] => Look::Scan(KeyRange::all().reverse()),
        ["rscan", range] => Look::Scan(read_range(range)?.reverse()),
        ["walk", range, ":", moves @ ..] => {
            let moves = moves.join(" ");
            let moves = moves.split(',').map(|step| read_move(step.trim()));
            Look::Walk(read_range(range)?, moves.collect::<std::result::Result<_, _>>()?)
        }
        _ => return Err(format!("{}: no such command", words.join(" "))),
    })
}

fn read_move(text: &str) -> std::result::Result<Move, String> {
    let words: Vec<_> = text.split_whitespace().collect();
    Ok(match words[..] {
        ["first"] => Move::First,
        ["last"] => Move::Last,
        ["next"] => Move::Next,
        ["prev"] => Move::Prev,
        ["compact"] => Move::Compact,
        ["seek", key] => Move::Seek(read(key)?),
        _ => Move::Write(read_step(&words)?),
    })
}

fn read_step(words: &[&str]) -> std::result::Result<Step, String> {
    Ok(match words {
        ["set", key, value] => Step::Set(read(key)?, read(value)?),
        ["rm", key] => Step::Remove(read(key)?),
        _ => return Err(format!("{}: set k v, or rm k", words.join(" "))),
    })
}
