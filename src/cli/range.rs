//! The range of keys that a verb is about: START, END and --prefix.

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::engine::range::{Direction, KeyRange};
use clap::Args;
use std::ffi::{OsStr, OsString};
use std::ops::Bound;

/// Which keys.
#[derive(Args, Debug, Default)]
pub(crate) struct Keys {
    /// The first key, included
    start: Option<OsString>,

    /// The key to stop before
    end: Option<OsString>,

    /// Only keys that begin with this
    #[arg(long)]
    prefix: Option<OsString>,
}

impl Keys {
    /// The range that the arguments mean.
    pub(crate) fn range(&self, session: &Session) -> Result<KeyRange, Failure> {
        let key = |arg: &Option<OsString>, name| {
            let bytes = arg.as_deref().map(|arg| session.bytes(arg, name)).transpose()?;
            Ok::<_, Failure>(bytes.map(|bytes| bytes.into_owned()))
        };
        let start = key(&self.start, "START")?.map_or(Bound::Unbounded, Bound::Included);
        let end = key(&self.end, "END")?.map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange { start, end, direction: Direction::Forward };
        Ok(range.intersect(prefix(session, self.prefix.as_deref())?))
    }
}

/// The keys that a PREFIX argument means; all without one.
pub(crate) fn prefix(session: &Session, arg: Option<&OsStr>) -> Result<KeyRange, Failure> {
    Ok(match arg {
        Some(arg) => KeyRange::prefix(session.bytes(arg, "PREFIX")?),
        None => KeyRange::all(),
    })
}
