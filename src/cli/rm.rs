//! `kvs rm`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::NOT_FOUND;
use crate::cli::place::Need;
use crate::cli::session::Session;
use crate::engine::KvsEngine;
use crate::engine::batch::check_key;
use clap::Args;
use std::ffi::{OsStr, OsString};

/// Remove keys
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs rm tea
  kvs rm tea --get                     print the value that it had
  kvs rm tea coffee                    each on its own; `kvs batch` is all or nothing

A key that is not there: `Key not found`, and exit code 1.")]
pub(crate) struct Rm {
    /// The keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,

    /// Print the old values
    #[arg(long)]
    get: bool,
}

impl Rm {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        // All of them first: of a wrong one nothing is done.
        let keys = self.keys.iter().map(|arg| key(session, arg)).collect::<Result<Vec<_>, _>>()?;
        let store = session.store(Need::Change)?;
        let mut outcome = Outcome::Done;
        for key in &keys {
            if !self.remove(session, &*store, key)? {
                outcome = Outcome::NotThere;
            }
        }
        Ok(outcome)
    }

    /// Removes one key; says whether it was there.
    fn remove(&self, session: &mut Session, store: &dyn KvsEngine, key: &[u8]) -> Result<bool, Failure> {
        let old = if self.get { store.swap(key, None)? } else { None };
        let was_there = if self.get { old.is_some() } else { store.remove(key)? };
        let out = &mut session.out;
        match (was_there, out.is_json()) {
            (_, true) if self.get => out.found(key, old.as_deref())?,
            (_, true) => out.fact(key, "removed", was_there)?,
            (true, false) if self.get => out.found(key, old.as_deref())?,
            (true, false) => {}
            // One key: the very words. Of several, which.
            (false, false) if self.keys.len() == 1 => out.text(NOT_FOUND)?,
            (false, false) => out.not_found(key)?,
        }
        Ok(was_there)
    }
}

/// A key that an engine takes.
fn key(session: &Session, arg: &OsStr) -> Result<Vec<u8>, Failure> {
    let key = session.bytes(arg, "KEY")?.into_owned();
    check_key(&key)?;
    Ok(key)
}
