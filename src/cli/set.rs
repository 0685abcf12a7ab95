//! `kvs set`.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::interrupt;
use crate::cli::place::Need;
use crate::cli::session::Session;
use crate::engine::KvsEngine;
use crate::engine::batch::{MAX_VALUE_LEN, WriteBatch};
use crate::engine::options::WriteOptions;
use crate::engine::value::Value;
use clap::Args;
use std::borrow::Cow;
use std::ffi::OsString;

/// Give a key a value
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs set tea green
  kvs set tea black --get              print the value that it had
  kvs set lock me --if-absent          exit code 1 if it is there already
  kvs set temperature -5               values may begin with -
  kvs set -- -k value                  keys that do follow --
  kvs set photo - < photo.jpg          - reads standard input
  kvs set key 'a\\x00b' --enc escape")]
pub(crate) struct Set {
    /// The key
    key: OsString,

    /// The value; - reads it from standard input
    #[arg(allow_hyphen_values = true)]
    value: OsString,

    /// Print the old value
    #[arg(long)]
    get: bool,

    /// Only if the key is not there; else exit with 1
    #[arg(long, conflicts_with = "if_present")]
    if_absent: bool,

    /// Only if the key is there; else exit with 1
    #[arg(long)]
    if_present: bool,
}

impl Set {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let key = session.bytes(&self.key, "KEY")?;
        let value = match self.value == "-" {
            true => {
                let value = read_value(session)?;
                // The last place at which nothing is written.
                interrupt::check()?;
                Cow::Owned(value)
            }
            false => session.bytes(&self.value, "VALUE")?,
        };
        let mut batch = WriteBatch::with_capacity(key.len() + value.len() + 16);
        batch.set(&key, &value);
        // Before the store is opened, which may make it.
        batch.validate()?;
        let store = session.store(if self.if_present { Need::Change } else { Need::Create })?;
        if let Some(refusal) = self.refusal(&*store, &key)? {
            if self.get {
                session.out.found(&key, refusal.old.as_deref())?;
            }
            session.voice.note(refusal.reason);
            return Ok(Outcome::NotThere);
        }
        match self.get {
            true => session.out.found(&key, store.swap(&key, Some(&value))?.as_deref())?,
            false => store.write(batch, &WriteOptions::default())?,
        }
        Ok(Outcome::Done)
    }

    /// Why the condition does not hold. Nobody writes between this look and our write: the store is
    /// open for writing once.
    fn refusal(&self, store: &dyn KvsEngine, key: &[u8]) -> Result<Option<Refusal>, Failure> {
        if !self.if_absent && !self.if_present {
            return Ok(None);
        }
        let old = store.get(key)?;
        let reason = match old {
            Some(_) if self.if_absent => "the key is there already; nothing was written",
            None if self.if_present => "the key is not there; nothing was written",
            _ => return Ok(None),
        };
        Ok(Some(Refusal { reason, old }))
    }
}

/// A condition that does not hold.
struct Refusal {
    reason: &'static str,
    /// What the key has, and keeps.
    old: Option<Value>,
}

/// All of standard input. Where it is text that stands for bytes, the newline at its end is the
/// text's and not the value's.
fn read_value(session: &Session) -> Result<Vec<u8>, Failure> {
    let encoding = session.style.input();
    // The widest encoding writes a byte as four.
    let mut text = session.input(None)?.read_all(4 * MAX_VALUE_LEN)?;
    if session.style.enc.is_some_and(|given| given != crate::cli::encoding::Encoding::Text) {
        text.truncate(text.trim_ascii_end().len());
    }
    let decoded = encoding.decode(&text).map_err(|reason| Failure::usage(format!("VALUE: {reason}")))?;
    Ok(decoded.into_owned())
}
