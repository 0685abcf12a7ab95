//! `kvs migrate`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::interrupt;
use crate::cli::place::EngineName;
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::engine::kind::EngineKind;
use crate::engine::migrate::{Destination, Migrated, migrate};
use crate::error::Error;
use clap::Args;
use std::path::PathBuf;
use std::time::Instant;

/// Write the store into another directory, as a store of another engine
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs migrate --to lsm ../tree
  kvs -p old migrate --to lsm new -o compression=zstd
  kvs -p old migrate --to bitcask new  the same engine: a copy without garbage

-e is the engine that is left, --to the one of DEST, and -o are options of that one. The store is
only read, and stays as it is; writers are kept out meanwhile. DEST is no store before all is in
it, counted and synced: after Ctrl-C it is empty, after worse any use of it is refused, and the
same command clears it and begins again.")]
pub(crate) struct Migrate {
    /// The engine of the new store
    #[arg(long, value_name = "ENGINE", value_parser = EngineName, hide_possible_values = true)]
    to: EngineKind,

    /// A directory that is missing or empty
    dest: PathBuf,
}

/// The progress is looked at whenever so many pairs have passed.
const EVERY: u64 = 1024;

impl Migrate {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let source = session.place.source(&session.voice)?;
        if session.place.named_engine() == Some(EngineKind::Memory) {
            return Err(Failure::usage("the memory engine holds nothing here that could be moved"));
        }
        interrupt::let_it_end();
        let progress = Progress::bytes(&session.voice, "migrate", None);
        let dest = Destination {
            path: &self.dest,
            engine: self.to,
            options: session.place.options(&session.voice),
            settings: session.place.settings(),
        };
        let watch = &mut |so_far: Migrated| {
            if so_far.pairs.is_multiple_of(EVERY) {
                progress.at(so_far.bytes, so_far.pairs);
            }
            interrupt::check().map_err(|_| Error::invalid("interrupted"))
        };
        let migrated = migrate(&*source, &dest, watch);
        drop(progress);
        let migrated = migrated.or_else(|error| {
            interrupt::check()?;
            Err(Failure::from(error))
        })?;
        match session.out.is_json() {
            true => session.out.object(&migrated)?,
            false => {
                let (pairs, bytes, time) = (migrated.pairs, migrated.bytes, begun.elapsed());
                session.voice.remark(&format!("{pairs} pairs, {bytes} bytes in {time:.1?}"));
            }
        }
        Ok(Outcome::Done)
    }
}
