//! `kvs export`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::format::Format;
use crate::cli::interrupt;
use crate::cli::pairs::{Fields, PairWriter, Unwritable};
use crate::cli::place::{Need, disk};
use crate::cli::progress::Progress;
use crate::cli::range;
use crate::cli::scan;
use crate::cli::session::Session;
use crate::cli::stream::{self, Target};
use crate::engine::KvsRead;
use crate::engine::filename::parse;
use crate::engine::kind::EngineKind;
use crate::engine::memory::Memory;
use crate::engine::range::KeyRange;
use clap::Args;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Write the pairs of the store into a file
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs export backup.jsonl              any bytes; kvs import backup.jsonl reads it back
  kvs export --format resp | redis-cli --pipe
  kvs export pairs.tsv --enc escape    tsv says any bytes only with --enc escape, hex or base64
  kvs export --prefix user: > users.tsv

FILE is replaced when all is written; before that, and where no store is, it stays as it was.")]
pub(crate) struct Export {
    /// Where they go; - or nothing: standard output
    file: Option<OsString>,

    /// How they are written [default: as the file's name says, else tsv, or jsonl with --json]
    #[arg(long)]
    format: Option<Format>,

    /// Only keys that begin with this
    #[arg(long)]
    prefix: Option<OsString>,
}

impl Export {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let range = range::prefix(session, self.prefix.as_deref())?;
        let file = self.file.as_deref().filter(|file| !stream::is_standard(Some(file)));
        // A terminal gets what is safe to print; a file, what import reads back.
        let encoding = if file.is_none() { session.out.encoding() } else { session.style.input() };
        let mut writer = self.format(session).writer(Fields { encoding, nul: session.style.nul });
        let store = session.existing(Need::Read)?;
        if let (Some(file), None) = (file, &store) {
            session.voice.note(&format!("no store here: {} is left as it is", file.display()));
            return Ok(Outcome::Done);
        }
        let store = store.unwrap_or_else(|| Arc::new(Memory::new()));
        let progress = Progress::bytes(&session.voice, "export", None);
        let count = match file {
            None => copy(&*store, range, &mut *writer, session.out.writer(), "standard output", &progress)?,
            Some(file) => {
                refuse_store_file(Path::new(file))?;
                let name = file.display().to_string();
                let mut target = Target::create(Path::new(file))?;
                let count = copy(&*store, range, &mut *writer, &mut target, &name, &progress)?;
                // Ended in the middle of it, the process would leave what is written beside FILE.
                interrupt::check()?;
                interrupt::patiently(|| target.finish()).map_err(|e| Failure::output(&name, e))?;
                count
            }
        };
        drop(progress);
        session.voice.remark(&format!("{count} pairs"));
        Ok(Outcome::Done)
    }

    fn format(&self, session: &Session) -> Format {
        let usual = if session.out.is_json() { Format::Jsonl } else { Format::Tsv };
        self.format.or(Format::of(self.file.as_deref())).unwrap_or(usual)
    }
}

/// A file of a store, of this one or another, is not overwritten.
fn refuse_store_file(path: &Path) -> Result<(), Failure> {
    let Ok(whole) = stream::whole(path) else { return Ok(()) };
    let is_ours = whole.file_name().and_then(|name| name.to_str()).is_some_and(|name| parse(name).is_some());
    // A store whose owner can not be told is one too.
    let is_store = |dir: &Path| !matches!(EngineKind::detect(disk(), dir), Ok(None));
    match is_ours && whole.parent().is_some_and(is_store) {
        true => Err(Failure::usage(format!("{}: a file of a store; name another", path.display()))),
        false => Ok(()),
    }
}

/// Writes the pairs of the range; says how many.
fn copy(
    store: &(impl KvsRead + ?Sized),
    range: KeyRange,
    writer: &mut dyn PairWriter,
    out: &mut dyn Write,
    name: &str,
    progress: &Progress,
) -> Result<u64, Failure> {
    let (mut pairs, mut bytes, mut key) = (0, 0, Vec::new());
    scan::walk(store, range, u64::MAX, |cursor| {
        key.clear();
        key.extend_from_slice(cursor.key());
        let value = cursor.value()?;
        pairs += 1;
        bytes += (key.len() + value.len()) as u64;
        if pairs % 1024 == 0 {
            progress.at(bytes, pairs);
        }
        writer.write(out, &key, value).map_err(|unwritable| match unwritable {
            Unwritable::Io(error) => Failure::output(name, error),
            Unwritable::Format(reason) => {
                Failure::usage(reason).at(&format!("key \"{}\"", key.escape_ascii()))
            }
        })
    })
}
