//! `kvs exists`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::place::Need;
use crate::cli::session::Session;
use clap::Args;
use std::ffi::OsString;

/// Say by the exit code whether keys are there
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs exists tea && echo there
  kvs exists tea coffee -v             print which are there

Exit code 0 if all of them are there, else 1. Prints nothing without -v or --json.")]
pub(crate) struct Exists {
    /// The keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,
}

impl Exists {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let store = session.store(Need::Read)?;
        let tells = session.style.verbose || session.out.is_json();
        let mut outcome = Outcome::Done;
        for key in &self.keys {
            let key = session.bytes(key, "KEY")?;
            let is_there = store.get(&key)?.is_some();
            if tells {
                session.out.fact(&key, "exists", is_there)?;
            }
            if !is_there {
                outcome = Outcome::NotThere;
            }
        }
        Ok(outcome)
    }
}
