//! `kvs options`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::session::Session;
use crate::cli::table::{self, Side};
use clap::Args;

/// List the options of the engine, with their defaults and costs
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs options
  kvs -e lsm options
  kvs -e bitcask options --json

An option is given as -o NAME=VALUE, with any command.")]
pub(crate) struct Options {}

impl Options {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let engine = session.place.engine()?;
        let options = engine.options();
        if session.out.is_json() {
            options.iter().try_for_each(|option| session.out.object(option))?;
        } else if options.is_empty() {
            session.voice.note(&format!("the {engine} engine has no options"));
        } else {
            let rows: Vec<_> =
                options.iter().map(|o| [o.name, &o.default, o.about].map(String::from)).collect();
            let head = [("option", Side::Left), ("default", Side::Left), ("what it does", Side::Left)];
            session.out.put(|out, color| table::put(out, head, &rows, color))?;
        }
        Ok(Outcome::Done)
    }
}
