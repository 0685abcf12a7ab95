//! A store, and what a script does to it.

use crate::engine::batch::WriteBatch;
use crate::engine::options::WriteOptions;
use crate::engine::range::KeyRange;
use crate::engine::value::Value;
use crate::engine::{Cursor, KvsEngine, KvsRead, Pairs, Snapshot};
use crate::error::{Error, Result};
use crate::survive::script::bytes::show;
use crate::survive::script::{Ack, Command, Crash, Failure, Look, Move, Settings, Step};
use crate::vfs::DirEntry;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a script's store is: what can be closed, opened, killed.
pub trait Place {
    /// The store; an error if it could not be opened again.
    fn engine(&self) -> Result<Arc<dyn KvsEngine>>;

    /// Closes it, and opens it with these options from now on; `None`: with those that it had.
    fn reopen(&mut self, settings: Option<&Settings>) -> Result<()>;

    /// Ends the process, and opens the store in another.
    fn crash(&mut self, _: Crash) -> Result<()> {
        Err(Error::invalid("this store's disk cannot crash"))
    }

    /// Tells the disk to fail.
    fn fail(&mut self, _: Failure) -> Result<()> {
        Err(Error::invalid("this store's disk does not fail"))
    }

    /// Tells the disk to work again.
    fn heal(&mut self) -> Result<()> {
        Err(Error::invalid("this store's disk does not fail"))
    }

    /// Where another store may be, on the same disk.
    fn beside(&self, name: &str) -> PathBuf;

    /// Its files; none without a disk.
    fn files(&self) -> Vec<DirEntry>;

    /// Everything in one file.
    fn read_file(&self, name: &str) -> io::Result<Vec<u8>>;
}

/// A key and its value.
pub type Pair = (Value, Value);

/// What a command says.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Nothing; it is done.
    Done,
    /// Whether the key was there.
    Was(bool),
    /// What the key holds, or held.
    Value(Option<Value>),
    /// How many keys there are, or were loaded.
    Count(u64),
    /// What a scan found.
    Pairs(Vec<Pair>),
    /// Where the cursor stood after each move, up to the first that failed, and how that failed.
    Walk(Vec<Option<Pair>>, Option<Error>),
    /// Lines for people.
    Lines(Vec<String>),
}

/// A store, and the snapshots that a script holds of it.
pub struct Session<P> {
    place: P,
    snapshots: BTreeMap<String, Snapshot>,
}

impl<P: Place> Session<P> {
    /// A session with a store that is open.
    pub fn new(place: P) -> Session<P> {
        Session { place, snapshots: BTreeMap::new() }
    }

    /// Where the store is.
    pub fn place(&self) -> &P {
        &self.place
    }

    /// The same, to be changed behind the script's back.
    pub fn place_mut(&mut self) -> &mut P {
        &mut self.place
    }

    /// Does what the command says, and returns what there is to say, in lines. An error is something to
    /// say.
    pub fn run(&mut self, command: &Command) -> Vec<String> {
        match self.attempt(command) {
            Ok(answer) => answer.lines(command),
            Err(error) => vec![format!("error: {error}")],
        }
    }

    /// Does what the command says.
    pub fn attempt(&mut self, command: &Command) -> Result<Answer> {
        match command {
            Command::Reopen | Command::Options(_) | Command::Crash(_) => return self.begin_again(command),
            Command::Fail(failure) => return self.place.fail(*failure).map(|()| Answer::Done),
            Command::Heal => return self.place.heal().map(|()| Answer::Done),
            Command::Drop(name) => {
                self.snapshots.remove(name);
                return Ok(Answer::Done);
            }
            Command::Look(Some(name), look) => return self.look(self.snapshot(name)?, look),
            Command::Files => return Ok(Answer::Lines(self.files())),
            Command::Dump(name) => return Ok(Answer::Lines(self.dump(name))),
            _ => {}
        }
        let engine = self.place.engine()?;
        let store = &*engine;
        match command {
            Command::Remove(Ack::Usual, key) => return Ok(Answer::Was(store.remove(key)?)),
            Command::Swap(key, value) => return Ok(Answer::Value(store.swap(key, value.as_deref())?)),
            Command::Look(_, look) => return self.look(store, look),
            Command::StatsKeys => return Ok(Answer::Count(key_count(store)?)),
            Command::Load(pairs) => store.load_sorted(&mut Listed { pairs, at: 0 }).map(|_| ())?,
            Command::Snapshot(name) => _ = self.snapshots.insert(name.clone(), store.snapshot()?),
            Command::Compact(range) => store.compact_range(range)?,
            Command::Flush => store.flush()?,
            Command::Settle => store.settle()?,
            Command::Sync => store.sync()?,
            Command::Checkpoint(name) => store.checkpoint(&self.place.beside(name))?,
            write => write_to(store, write)?,
        }
        Ok(Answer::Done)
    }

    /// What lets go of all that a process holds.
    fn begin_again(&mut self, command: &Command) -> Result<Answer> {
        self.snapshots.clear();
        match command {
            Command::Options(settings) => self.place.reopen(Some(settings))?,
            Command::Crash(crash) => self.place.crash(*crash)?,
            _ => self.place.reopen(None)?,
        }
        Ok(Answer::Done)
    }

    fn snapshot(&self, name: &str) -> Result<&Snapshot> {
        self.snapshots.get(name).ok_or_else(|| Error::invalid(format!("no snapshot {name} is held")))
    }

    fn look(&self, read: &(impl KvsRead + ?Sized), look: &Look) -> Result<Answer> {
        match look {
            Look::Get(key) => Ok(Answer::Value(read.get(key)?)),
            Look::Scan(range) => Ok(Answer::Pairs(read.scan(range.clone())?.collect::<Result<_>>()?)),
            Look::Walk(range, moves) => self.walk(read, range, moves),
        }
    }

    fn walk(&self, read: &(impl KvsRead + ?Sized), range: &KeyRange, moves: &[Move]) -> Result<Answer> {
        let mut cursor = read.cursor(range.clone())?;
        let mut stands = Vec::with_capacity(moves.len());
        for step in moves {
            match self.step(&mut *cursor, step) {
                Ok(stand) => stands.push(stand),
                Err(error) => return Ok(Answer::Walk(stands, Some(error))),
            }
        }
        Ok(Answer::Walk(stands, None))
    }

    /// Where the cursor stands after the move.
    fn step(&self, cursor: &mut dyn Cursor, step: &Move) -> Result<Option<Pair>> {
        match step {
            Move::First => cursor.seek_to_first()?,
            Move::Last => cursor.seek_to_last()?,
            Move::Next => cursor.next()?,
            Move::Prev => cursor.prev()?,
            Move::Seek(key) => cursor.seek(key)?,
            Move::Write(write) => {
                let batch = batch(std::slice::from_ref(write));
                self.place.engine()?.write(batch, &WriteOptions::default())?;
            }
            Move::Flush => self.place.engine()?.flush()?,
            Move::Compact => self.place.engine()?.compact()?,
        }
        if !cursor.valid() {
            return Ok(None);
        }
        Ok(Some((Value::from(cursor.key()), Value::from(cursor.value()?))))
    }

    fn files(&self) -> Vec<String> {
        let files = self.place.files();
        files.iter().map(|file| format!("{:<12} {:>8}", file.name, file.len)).collect()
    }

    /// A file's bytes, sixteen a line.
    fn dump(&self, name: &str) -> Vec<String> {
        match self.place.read_file(name) {
            Ok(bytes) => bytes.chunks(16).enumerate().map(|(i, row)| dump_row(i * 16, row)).collect(),
            Err(error) => vec![format!("error: {name}: {error}")],
        }
    }
}

impl Answer {
    /// What a script says about it.
    pub fn lines(&self, command: &Command) -> Vec<String> {
        let key = match command {
            Command::Remove(_, key) | Command::Swap(key, _) | Command::Look(_, Look::Get(key)) => show(key),
            _ => String::new(),
        };
        let is = if matches!(command, Command::Look(..)) { "is" } else { "was" };
        match self {
            Answer::Done => Vec::new(),
            Answer::Was(true) => vec![format!("{key} was there")],
            Answer::Was(false) | Answer::Value(None) => vec![format!("{key} {is} not there")],
            Answer::Value(Some(value)) if is == "is" => vec![format!("{key} = {}", show(value))],
            Answer::Value(Some(value)) => vec![format!("{key} was {}", show(value))],
            Answer::Count(count) => vec![format!("{count} keys")],
            Answer::Pairs(pairs) if pairs.is_empty() => vec!["nothing".into()],
            Answer::Pairs(pairs) => pairs.iter().map(pair).collect(),
            Answer::Walk(stands, error) => walk_lines(command, stands, error.as_ref()),
            Answer::Lines(lines) => lines.clone(),
        }
    }
}

fn walk_lines(command: &Command, stands: &[Option<Pair>], error: Option<&Error>) -> Vec<String> {
    let Command::Look(_, Look::Walk(_, moves)) = command else { return Vec::new() };
    let shown = moves.iter().zip(stands).filter(|(step, _)| step.moves());
    let stand = |stand: &Option<Pair>| stand.as_ref().map_or("nowhere".into(), pair);
    let lines = shown.map(|(step, at)| format!("{step}: {}", stand(at)));
    lines.chain(error.map(|error| format!("error: {error}"))).collect()
}

/// The writes that say nothing.
fn write_to(store: &dyn KvsEngine, command: &Command) -> Result<()> {
    match command {
        Command::Set(Ack::Usual, key, value) => store.set(key, value),
        Command::Set(Ack::Durable, key, value) => {
            store.write(WriteBatch::of_one(key, Some(value))?, &WriteOptions::durable())
        }
        Command::Remove(_, key) => store.write(WriteBatch::of_one(key, None)?, &WriteOptions::durable()),
        Command::Batch(Ack::Usual, steps) => store.write(batch(steps), &WriteOptions::default()),
        Command::Batch(Ack::Durable, steps) => store.write(batch(steps), &WriteOptions::durable()),
        other => Err(Error::invalid(format!("{other}: not a write"))),
    }
}

/// How many keys there are, by looking; an engine that says that it knows must say the same.
fn key_count(store: &dyn KvsEngine) -> Result<u64> {
    let stats = store.stats()?;
    let mut cursor = store.cursor(KeyRange::all())?;
    cursor.seek_to_first()?;
    let mut keys = 0;
    while cursor.valid() {
        keys += 1;
        cursor.next()?;
    }
    match stats.is_estimate || stats.keys == keys {
        true => Ok(keys),
        false => Err(Error::invalid(format!("the engine counts {} keys, and shows {keys}", stats.keys))),
    }
}

/// The batch of these steps.
pub fn batch(steps: &[Step]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for step in steps {
        match step {
            Step::Set(key, value) => batch.set(key, value),
            Step::Remove(key) => batch.remove(key),
        }
    }
    batch
}

/// Pairs of a load.
struct Listed<'a> {
    pairs: &'a [(Vec<u8>, Vec<u8>)],
    at: usize,
}

impl Pairs for Listed<'_> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let pair = self.pairs.get(self.at);
        self.at += 1;
        Ok(pair.map(|(key, value)| (&key[..], &value[..])))
    }
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
