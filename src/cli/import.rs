//! `kvs import`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::format::Format;
use crate::cli::interrupt;
use crate::cli::pairs::{Fields, PairReader};
use crate::cli::place::Need;
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::engine::KvsEngine;
use crate::engine::batch::{MAX_VALUE_LEN, WriteBatch, check_key};
use crate::engine::options::WriteOptions;
use clap::Args;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::time::Instant;

/// Write the pairs of a file into the store
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs import pairs.tsv                 key, tab, value
  kvs import pairs.jsonl --json        {\"key\":...,\"value\":...}; at the end, how many
  kvs import --format resp < dump      SET commands of the Redis protocol
  kvs -p old export --format jsonl | kvs -p new import --format jsonl

Pairs are written in batches, each of them atomic. If a line is wrong, what stands before it is in the
store, and the message says how much. Fields of tsv are taken as they are, or as --enc says.")]
pub(crate) struct Import {
    /// Where the pairs are; - or nothing: standard input
    file: Option<OsString>,

    /// How they are written [default: as the file's name says, else tsv]
    #[arg(long)]
    format: Option<Format>,

    /// Pairs in a batch
    #[arg(long, value_name = "N", default_value = "1000")]
    batch: NonZeroUsize,
}

/// A batch is written before it has more bytes than this, or one pair.
const BATCH_BYTES: usize = 4 << 20;

impl Import {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let file = self.file.as_deref();
        let input = session.input(file)?;
        let progress = Progress::bytes(&session.voice, "import", input.len);
        let format = self.format.or(Format::of(file)).unwrap_or(Format::Tsv);
        let fields = Fields { encoding: session.style.input(), nul: session.style.nul };
        let mut load = Load {
            pairs: format.reader(input, fields),
            store: &*session.store(Need::Create)?,
            batch: WriteBatch::new(),
            batch_len: self.batch.get(),
            imported: 0,
            progress,
        };
        let result = load.run();
        let imported = load.imported;
        drop(load);
        result.map_err(|failure| failure.after(&format!("{imported} pairs before it were imported")))?;
        match session.out.is_json() {
            true => session.out.object(&serde_json::json!({ "imported": imported }))?,
            false => session.voice.remark(&format!("{imported} pairs in {:.1?}", begun.elapsed())),
        }
        Ok(Outcome::Done)
    }
}

/// An import on its way.
struct Load<'a> {
    pairs: Box<dyn PairReader>,
    store: &'a dyn KvsEngine,
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
            self.check(&key, &value)?;
            self.batch.set(&key, &value);
            if self.batch.len() == self.batch_len || self.batch.byte_len() >= BATCH_BYTES {
                self.write()?;
            }
        }
        // The end may be one that the interrupt made.
        interrupt::check()
    }

    /// Refuses here what the engine would refuse as part of a batch, to name the line.
    fn check(&self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        let checked = check_key(key).map_err(|e| e.to_string());
        let checked = checked.and_then(|()| match value.len() > MAX_VALUE_LEN {
            true => Err(format!("a value of {} bytes; the limit is {MAX_VALUE_LEN}", value.len())),
            false => Ok(()),
        });
        checked.map_err(|reason| Failure::usage(reason).at(&self.pairs.place()))
    }

    fn write(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let next = WriteBatch::with_capacity(self.batch.byte_len());
        let batch = std::mem::replace(&mut self.batch, next);
        let count = batch.len() as u64;
        self.store.write(batch, &WriteOptions::default())?;
        self.imported += count;
        self.progress.at(self.pairs.bytes(), self.imported);
        Ok(())
    }
}
