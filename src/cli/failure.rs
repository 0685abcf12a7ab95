//! What a command comes to: an outcome or a failure, each with its exit code.

use crate::bench;
use crate::error::{Error, MEMORY};
use crate::survive;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

/// Why a reading ended: the user wants it to stop. What goes as an error of the stream that is read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Stopped;

/// How a command ended that did what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Done.
    Done,
    /// The key is not there, or the condition does not hold.
    NotThere,
    /// Something failed on the way, and was told.
    Failed,
    /// Damage was found, and told.
    Damaged,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        ExitCode::from(match outcome {
            Outcome::Done => 0,
            Outcome::NotThere => 1,
            Outcome::Failed => 3,
            Outcome::Damaged => 4,
        })
    }
}

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// Who read our output has read enough. No error, and nothing to say.
    ClosedPipe,
    /// The arguments are not understood; clap says how they should be.
    Usage(Box<clap::Error>),
    /// Anything else.
    Told(Told),
}

/// A failure in words.
#[derive(Debug)]
pub struct Told {
    /// Its name in JSON.
    pub kind: &'static str,
    /// The exit code.
    pub code: u8,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether it can come of what was typed: nothing is wrong with the store or the disk.
    pub is_slip: bool,
}

impl Failure {
    /// The arguments, or the input, can not be used.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::Told(Told { kind: "usage", code: 2, message: message.into(), hint: None, is_slip: true })
    }

    /// The user stopped it.
    pub(crate) fn interrupted() -> Failure {
        let message = "interrupted".to_string();
        Failure::Told(Told { kind: "interrupted", code: 130, message, hint: None, is_slip: false })
    }

    /// Reading `name` failed, or was stopped.
    pub(crate) fn input(name: &str, error: io::Error) -> Failure {
        if error.get_ref().is_some_and(|cause| cause.is::<Stopped>()) {
            return Failure::interrupted();
        }
        Failure::from(Error::io("read", Path::new(name), error))
    }

    /// Writing `name` failed; if because nobody reads it any more, that is no error.
    pub(crate) fn output(name: &str, error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            // Not `Error::io`: a full disk under the output is not the store's.
            _ => Failure::from(Error::Io { op: "write", path: name.into(), source: Arc::new(error) }),
        }
    }

    /// The same failure, at a place: `line 7`.
    pub(crate) fn at(mut self, place: &str) -> Failure {
        if let Failure::Told(told) = &mut self {
            told.message = format!("{place}: {}", told.message);
        }
        self
    }

    /// The same failure, and what was done before it.
    pub(crate) fn after(mut self, done: &str) -> Failure {
        if let Failure::Told(told) = &mut self {
            told.message = format!("{}; {done}", told.message);
        }
        self
    }

    /// The same failure, with something else to do next.
    pub(crate) fn with_hint(mut self, hint: &str) -> Failure {
        if let Failure::Told(told) = &mut self {
            told.hint = Some(hint.to_string());
        }
        self
    }

    /// What a script comes to that went on behind it.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Failure::Told(Told { code: 4, .. }) => Outcome::Damaged,
            Failure::Told(Told { is_slip: false, .. }) => Outcome::Failed,
            _ => Outcome::Done,
        }
    }

    /// Whether the user stopped it.
    pub(crate) fn is_interrupt(&self) -> bool {
        matches!(self, Failure::Told(Told { code: 130, .. }))
    }

    /// What the process exits with.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::ClosedPipe => 0,
            Failure::Usage(_) => 2,
            Failure::Told(told) => told.code,
        })
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Failure {
        Failure::Usage(Box::new(error))
    }
}

impl From<survive::error::Error> for Failure {
    fn from(error: survive::error::Error) -> Failure {
        match error {
            survive::error::Error::Store(error) => Failure::from(error),
            survive::error::Error::Plan(reason) => Failure::usage(reason),
            survive::error::Error::Interrupted => Failure::interrupted(),
            wrong @ survive::error::Error::Wrong(_) => Failure::from(Error::invalid(wrong.to_string())),
        }
    }
}

impl From<bench::error::Error> for Failure {
    fn from(error: bench::error::Error) -> Failure {
        match error {
            bench::error::Error::Store(error) => Failure::from(error),
            bench::error::Error::Interrupted => Failure::interrupted(),
            bench::error::Error::Plan(reason) => Failure::usage(reason),
            wrong @ (bench::error::Error::Wrong { .. } | bench::error::Error::Peer { .. }) => {
                Failure::from(Error::invalid(wrong.to_string()))
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let (kind, code, hint) = match error.root() {
            _ if matches!(error, Error::Poisoned(_)) => ("poisoned", 3, None),
            Error::Io { source, .. } => ("io", 3, io_hint(source.kind())),
            Error::NoSpace { .. } => ("no_space", 3, None),
            Error::Corruption { .. } => {
                ("corruption", 4, Some("kvs verify lists all damage; kvs repair DEST saves what is whole"))
            }
            Error::Locked { .. } => {
                ("locked", 3, Some("wait until it ends; many readers may be in at once, or one writer"))
            }
            Error::WrongEngine { wanted, .. } if wanted == MEMORY => {
                ("wrong_engine", 3, Some("leave out -e and KVS_ENGINE: the directory knows"))
            }
            Error::WrongEngine { .. } => {
                ("wrong_engine", 3, Some("or leave out -e and KVS_ENGINE: the directory knows"))
            }
            Error::UnknownFormat { .. } => ("unknown_format", 3, None),
            Error::Unfinished { .. } => ("unfinished", 3, None),
            Error::NoStore { .. } => ("no_store", 3, Some("-p DIR says where it is; kvs set makes one")),
            Error::InvalidArgument(_) => ("invalid_argument", 2, None),
            Error::ReadOnly => ("read_only", 3, Some("leave out --read-only to write")),
            Error::Poisoned(_) => ("poisoned", 3, None),
        };
        let is_slip = match &error {
            Error::NoStore { .. } | Error::InvalidArgument(_) => true,
            Error::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        };
        let hint = hint.map(str::to_string);
        Failure::Told(Told { kind, code, message: error.to_string(), hint, is_slip })
    }
}

fn io_hint(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::NotFound => Some("is the path right?"),
        io::ErrorKind::PermissionDenied => Some("this user may not; look at the rights of the path"),
        io::ErrorKind::ReadOnlyFilesystem => Some("the file system is mounted for reading only"),
        _ => None,
    }
}

/// Runs a command; a panic in it is a bug, and told as one sentence.
pub(crate) fn catch(command: impl FnOnce() -> Result<Outcome, Failure>) -> Result<Outcome, Failure> {
    static PLACE: OnceLock<String> = OnceLock::new();
    std::panic::set_hook(Box::new(|info| {
        _ = PLACE.set(info.location().map(ToString::to_string).unwrap_or_default());
    }));
    let caught = catch_unwind(AssertUnwindSafe(command));
    let _ = std::panic::take_hook();
    caught.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let hint = Some("the store is as it was after the last acknowledged write".to_string());
        let message = format!("a bug in kvs at {}: {text}", PLACE.get().map_or("?", String::as_str));
        Err(Failure::Told(Told { kind: "bug", code: 3, message, hint, is_slip: false }))
    })
}
