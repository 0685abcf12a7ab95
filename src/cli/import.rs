//! `kvs import`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::format::Format;
use crate::cli::interrupt;
use crate::cli::pairs::{Fields, PairReader};
use crate::cli::place::Need;
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::engine::batch::{MAX_VALUE_LEN, WriteBatch, check_key};
use crate::engine::kind::EngineKind;
use crate::engine::options::WriteOptions;
use crate::engine::{KvsEngine, Pairs};
use crate::error::Error;
use clap::Args;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

/// Write the pairs of a file into the store
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs import pairs.tsv                 key, tab, value
  kvs import pairs.jsonl --json        {\"key\":...,\"value\":...}; at the end, how many
  kvs import --format resp < dump      SET commands of the Redis protocol
  kvs -p old export --format jsonl | kvs -p new import --format jsonl --sorted

Pairs are written in batches, each of them atomic. If a line is wrong, what stands before it is in
the store, and the message says how much. Fields of tsv are taken as they are, or as --enc says.

With --sorted each key must be above the one before it, compared as bytes, as export writes them;
the line that is not is named. The engine then writes its files as the pairs come: into an lsm
store all or nothing, and faster by far.")]
pub(crate) struct Import {
    /// Where the pairs are; - or nothing: standard input
    file: Option<OsString>,

    /// How they are written [default: as the file's name says, else tsv]
    #[arg(long)]
    format: Option<Format>,

    /// Pairs in a batch
    #[arg(long, value_name = "N", default_value = "1000")]
    batch: NonZeroUsize,

    /// The keys ascend: load them without batches
    #[arg(long, conflicts_with = "batch")]
    sorted: bool,
}

/// A batch is written before it has more bytes than this, or one pair.
const BATCH_BYTES: usize = 4 << 20;

impl Import {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let file = self.file.as_deref();
        let mut input = session.input(file)?;
        // Waits for the first of it: who writes it may have this store open until then.
        input.is_empty()?;
        // Where there is none, it is made when there is something to write.
        let store = session.existing(Need::Change)?;
        let progress = Progress::bytes(&session.voice, "import", input.len);
        let format = self.format.or(Format::of(file)).unwrap_or(Format::Tsv);
        let fields = Fields { encoding: session.style.input(), nul: session.style.nul };
        if self.sorted {
            let mut pairs = Ascending::new(format.reader(input, fields), progress);
            if !pairs.read().map_err(|failure| failure.after("nothing was imported"))? {
                return told(session, 0, begun);
            }
            pairs.is_ahead = true;
            let store = store.map_or_else(|| session.store(Need::Create), Ok)?;
            let loaded = store.load_sorted(&mut pairs);
            let failure = pairs.failure;
            let imported = loaded.map_err(|error| {
                let done = match session.place.engine() {
                    Ok(EngineKind::Lsm) => "nothing was imported",
                    _ => "pairs before it may have been imported",
                };
                failure.unwrap_or(Failure::from(error)).after(done)
            })?;
            return told(session, imported, begun);
        }
        let mut load = Load {
            pairs: format.reader(input, fields),
            store,
            session,
            batch: WriteBatch::new(),
            batch_len: self.batch.get(),
            imported: 0,
            progress,
        };
        let result = load.run();
        let imported = load.imported;
        drop(load);
        result.map_err(|failure| failure.after(&format!("{imported} pairs before it were imported")))?;
        told(session, imported, begun)
    }
}

fn told(session: &mut Session, imported: u64, begun: Instant) -> Result<Outcome, Failure> {
    match session.out.is_json() {
        true => session.out.object(&serde_json::json!({ "imported": imported }))?,
        false => session.voice.remark(&format!("{imported} pairs in {:.1?}", begun.elapsed())),
    }
    Ok(Outcome::Done)
}

/// Refuses here what the engine would refuse as part of something larger, to name the line.
fn check(key: &[u8], value: &[u8], pairs: &dyn PairReader) -> Result<(), Failure> {
    let checked = check_key(key).map_err(|e| e.to_string());
    let checked = checked.and_then(|()| match value.len() > MAX_VALUE_LEN {
        true => Err(format!("a value of {} bytes; the limit is {MAX_VALUE_LEN}", value.len())),
        false => Ok(()),
    });
    checked.map_err(|reason| Failure::usage(reason).at(&pairs.place()))
}

/// An import on its way.
struct Load<'a> {
    pairs: Box<dyn PairReader>,
    /// `None`: there is none yet.
    store: Option<Arc<dyn KvsEngine>>,
    session: &'a mut Session,
    batch: WriteBatch,
    batch_len: usize,
    imported: u64,
    progress: Progress,
}

impl Load<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let read = self.read();
        // What was read before a wrong line is written, so that "before it" means before that line.
        self.write()?;
        read
    }

    fn read(&mut self) -> Result<(), Failure> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        while self.pairs.read(&mut key, &mut value)? {
            interrupt::check()?;
            check(&key, &value, &*self.pairs)?;
            self.batch.set(&key, &value);
            if self.batch.len() == self.batch_len || self.batch.byte_len() >= BATCH_BYTES {
                self.write()?;
            }
        }
        interrupt::check()
    }

    fn write(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let next = WriteBatch::with_capacity(self.batch.byte_len());
        let batch = std::mem::replace(&mut self.batch, next);
        let count = batch.len() as u64;
        let store = match &self.store {
            Some(store) => store,
            None => self.store.insert(self.session.store(Need::Create)?),
        };
        store.write(batch, &WriteOptions::default())?;
        self.imported += count;
        self.progress.at(self.pairs.bytes(), self.imported);
        Ok(())
    }
}

/// Pairs for [`KvsEngine::load_sorted`], and what went wrong with them.
struct Ascending {
    pairs: Box<dyn PairReader>,
    key: Vec<u8>,
    value: Vec<u8>,
    before: Vec<u8>,
    count: u64,
    /// Whether the pair that was read last is still to be handed on.
    is_ahead: bool,
    progress: Progress,
    failure: Option<Failure>,
}

impl Ascending {
    fn new(pairs: Box<dyn PairReader>, progress: Progress) -> Ascending {
        let (key, value, before) = Default::default();
        Ascending { pairs, key, value, before, count: 0, is_ahead: false, progress, failure: None }
    }

    /// Reads the next pair; `false` at the end.
    fn read(&mut self) -> Result<bool, Failure> {
        std::mem::swap(&mut self.before, &mut self.key);
        let is_there = self.pairs.read(&mut self.key, &mut self.value)?;
        interrupt::check()?;
        if !is_there {
            return Ok(false);
        }
        check(&self.key, &self.value, &*self.pairs)?;
        if self.count > 0 && self.key <= self.before {
            let (key, before) = (self.key.escape_ascii(), self.before.escape_ascii());
            let reason =
                format!("\"{key}\" is not above \"{before}\": sort the input, or leave out --sorted");
            return Err(Failure::usage(reason).at(&self.pairs.place()));
        }
        self.count += 1;
        if self.count.is_multiple_of(1024) {
            self.progress.at(self.pairs.bytes(), self.count);
        }
        Ok(true)
    }
}

impl Pairs for Ascending {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>, Error> {
        let read = if std::mem::take(&mut self.is_ahead) { Ok(true) } else { self.read() };
        match read {
            Ok(true) => Ok(Some((&self.key, &self.value))),
            Ok(false) => Ok(None),
            Err(failure) => {
                self.failure = Some(failure);
                Err(Error::invalid("the input can not be read on"))
            }
        }
    }
}
