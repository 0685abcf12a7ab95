//! Commands as scripts write them.

use crate::engine::range::{Direction, KeyRange};
use crate::survive::script::bytes::{show, show_range};
use crate::survive::script::{Ack, Command, Crash, Failure, Look, Move, Step};
use crate::vfs::fault::{Call, Errno};
use std::fmt::{Display, Formatter, Result};

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Command::Set(ack, key, value) => write!(f, "set{ack} {} {}", show(key), show(value)),
            Command::Remove(ack, key) => write!(f, "rm{ack} {}", show(key)),
            Command::Swap(key, None) => write!(f, "swap {}", show(key)),
            Command::Swap(key, Some(value)) => write!(f, "swap {} {}", show(key), show(value)),
            Command::Batch(ack, steps) => {
                write!(f, "batch{ack}")?;
                steps.iter().try_for_each(|step| write!(f, "\n  {step}"))
            }
            Command::Load(pairs) => {
                f.write_str("load")?;
                pairs.iter().try_for_each(|(key, value)| write!(f, "\n  set {} {}", show(key), show(value)))
            }
            Command::Look(None, look) => write!(f, "{look}"),
            Command::Look(Some(name), look) => write!(f, "@{name} {look}"),
            Command::Snapshot(name) => write!(f, "snapshot {name}"),
            Command::Drop(name) => write!(f, "drop {name}"),
            Command::Compact(range) if range.is_all() => f.write_str("compact"),
            Command::Compact(range) => write!(f, "compact {}", show_range(range)),
            Command::Checkpoint(name) => write!(f, "checkpoint {name}"),
            Command::Options(settings) => {
                f.write_str("options")?;
                settings.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
            }
            Command::Crash(crash) => write!(f, "crash {crash}"),
            Command::Fail(failure) => write!(f, "fail {failure}"),
            Command::Dump(name) => write!(f, "dump {name}"),
            word => f.write_str(match word {
                Command::Flush => "flush",
                Command::Settle => "settle",
                Command::Sync => "sync",
                Command::Reopen => "reopen",
                Command::Heal => "heal",
                Command::StatsKeys => "stats keys",
                _ => "files",
            }),
        }
    }
}

impl Display for Ack {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Ack::Usual => "",
            Ack::Durable => "!",
        })
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Step::Set(key, value) => write!(f, "set {} {}", show(key), show(value)),
            Step::Remove(key) => write!(f, "rm {}", show(key)),
        }
    }
}

impl Display for Look {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Look::Get(key) => write!(f, "get {}", show(key)),
            Look::Scan(range @ KeyRange { direction: Direction::Forward, .. }) => {
                write!(f, "scan {}", show_range(range))
            }
            Look::Scan(range) => write!(f, "rscan {}", show_range(range)),
            Look::Walk(range, moves) => {
                let moves: Vec<_> = moves.iter().map(Move::to_string).collect();
                write!(f, "walk {} : {}", show_range(range), moves.join(", "))
            }
        }
    }
}

impl Display for Move {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Move::First => f.write_str("first"),
            Move::Last => f.write_str("last"),
            Move::Next => f.write_str("next"),
            Move::Prev => f.write_str("prev"),
            Move::Seek(key) => write!(f, "seek {}", show(key)),
            Move::Write(step) => write!(f, "{step}"),
            Move::Flush => f.write_str("flush"),
            Move::Compact => f.write_str("compact"),
        }
    }
}

impl Display for Crash {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Crash::Kill => f.write_str("kill"),
            Crash::Power(seed) => write!(f, "power {seed}"),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Failure { call, nth, errno, is_short, is_lasting } = *self;
        write!(f, "{} {nth} {}", call_word(call), errno_word(errno))?;
        f.write_str(if is_short { " short" } else { "" })?;
        f.write_str(if is_lasting { " lasting" } else { "" })
    }
}

/// The kinds of calls that can fail, as one word each.
pub const CALLS: [(&str, Option<Call>); 17] = [
    ("any", None),
    ("create", Some(Call::Create)),
    ("open_append", Some(Call::OpenAppend)),
    ("open", Some(Call::Open)),
    ("remove", Some(Call::Remove)),
    ("rename", Some(Call::Rename)),
    ("link", Some(Call::Link)),
    ("list", Some(Call::List)),
    ("create_dir", Some(Call::CreateDir)),
    ("sync_dir", Some(Call::SyncDir)),
    ("lock", Some(Call::Lock)),
    ("append", Some(Call::Append)),
    ("sync", Some(Call::Sync)),
    ("write_again", Some(Call::WriteAgain)),
    ("reserve", Some(Call::Reserve)),
    ("truncate", Some(Call::Truncate)),
    ("read", Some(Call::Read)),
];

/// What a system can say, by the system's names.
pub const ERRNOS: [(&str, Errno); 7] = [
    ("EIO", Errno::Io),
    ("ENOSPC", Errno::NoSpace),
    ("EMFILE", Errno::TooManyFiles),
    ("EINTR", Errno::Interrupted),
    ("EACCES", Errno::Denied),
    ("EROFS", Errno::ReadOnly),
    ("ENOENT", Errno::Missing),
];

fn call_word(call: Option<Call>) -> &'static str {
    CALLS.iter().find(|(_, known)| *known == call).map_or("any", |(word, _)| word)
}

fn errno_word(errno: Errno) -> &'static str {
    ERRNOS.iter().find(|(_, known)| *known == errno).map_or("EIO", |(word, _)| word)
}
