//! `kvs get`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::NOT_FOUND;
use crate::cli::place::Need;
use crate::cli::session::Session;
use clap::Args;
use std::ffi::OsString;

/// Print the value of a key
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs get tea
  kvs get photo --raw > photo.jpg      the bytes, and no newline
  kvs get tea --json
  kvs get tea --enc hex

A key that is not there is no error: `Key not found`, and exit code 0; with --raw that is said on
standard error. To ask, use `kvs exists`.")]
pub(crate) struct Get {
    /// The key
    key: OsString,

    /// Print the bytes as they are, without a newline
    #[arg(long)]
    raw: bool,
}

impl Get {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        if self.raw && (session.out.is_json() || session.style.enc.is_some()) {
            return Err(Failure::usage("--raw prints the bytes as they are: leave out --json and --enc"));
        }
        let key = session.bytes(&self.key, "KEY")?;
        match session.store(Need::Read)?.get(&key)? {
            Some(value) if self.raw => session.out.raw(&value)?,
            // It is not of the bytes.
            None if self.raw => session.voice.note(NOT_FOUND),
            found => session.out.found(&key, found.as_deref())?,
        }
        Ok(Outcome::Done)
    }
}
