//! `kvs scan`, and the walk over a range that `export` takes as well.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::interrupt;
use crate::cli::place::Need;
use crate::cli::range::Keys;
use crate::cli::session::Session;
use crate::engine::range::{Direction, KeyRange};
use crate::engine::{Cursor, KvsRead};
use clap::Args;

/// Print keys and values in the order of the keys
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs scan                             everything: key, tab, value
  kvs scan a m                         from a, included, up to m, not included
  kvs scan --prefix user: --limit 10
  kvs scan --reverse --keys-only
  kvs scan --count
  kvs scan --json | jq .value
  kvs scan --keys-only -0 | xargs -0 -n1 echo")]
pub(crate) struct Scan {
    #[command(flatten)]
    keys: Keys,

    /// From the largest key to the smallest
    #[arg(long)]
    reverse: bool,

    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Print the keys; values are not read
    #[arg(long, conflicts_with_all = ["values_only", "count"])]
    keys_only: bool,

    /// Print the values
    #[arg(long, conflicts_with = "count")]
    values_only: bool,

    /// Print how many there are; values are not read
    #[arg(long)]
    count: bool,
}

impl Scan {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        let direction = if self.reverse { Direction::Reverse } else { Direction::Forward };
        let range = KeyRange { direction, ..self.keys.range(session)? };
        let limit = self.limit.unwrap_or(u64::MAX);
        let store = session.store(Need::Read)?;
        let out = &mut session.out;
        let mut key = Vec::new();
        let count = walk(&*store, range, limit, |cursor| {
            if self.count {
                return Ok(());
            }
            if self.keys_only {
                return out.half("key", cursor.key());
            }
            if self.values_only {
                return out.half("value", cursor.value()?);
            }
            key.clear();
            key.extend_from_slice(cursor.key());
            out.pair(&key, cursor.value()?)
        })?;
        match (self.count, out.is_json()) {
            (false, _) => {}
            (true, true) => out.object(&serde_json::json!({ "count": count }))?,
            (true, false) => out.text(&count.to_string())?,
        }
        Ok(Outcome::Done)
    }
}

/// Shows `see` the pairs of the range, in its direction, `limit` at most; says how many those were.
pub(crate) fn walk(
    store: &(impl KvsRead + ?Sized),
    range: KeyRange,
    limit: u64,
    mut see: impl FnMut(&mut dyn Cursor) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    if limit == 0 {
        return Ok(0);
    }
    let direction = range.direction;
    let mut cursor = store.cursor(range)?;
    let mut count = 0;
    match direction {
        Direction::Forward => cursor.seek_to_first()?,
        Direction::Reverse => cursor.seek_to_last()?,
    }
    while cursor.valid() {
        interrupt::check()?;
        see(&mut *cursor)?;
        count += 1;
        if count == limit {
            break;
        }
        match direction {
            Direction::Forward => cursor.next()?,
            Direction::Reverse => cursor.prev()?,
        }
    }
    Ok(count)
}
