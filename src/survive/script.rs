//! Scripts: what is done to a store and what it says, as text.
//!
//! ```text
//! engines: memory bitcask                    the first line
//! options: segment_bytes=4096                of the engine; may be missing
//!
//! # A comment.
//! set tea green
//! get tea
//! ---
//! tea = green
//! ```
//!
//! A block is commands, a rule of three dashes, and what they say up to the next blank line; `ok` if
//! they say nothing. [`Command`] lists the commands. Bytes that are not plain are written `\xNN`, the
//! empty string `""`, and `ab*300` is `ab` three hundred times. Ranges are Rust's: `..`, `a..`, `..b`,
//! `a..=b`, and `a<..b` without its start.
//!
//! Whoever finds a history that goes wrong writes it down in these words, so that a failure becomes a
//! script, and a script a test. Five rooms: [`bytes`] and [`show`] write, [`read`] and [`mod@file`] read,
//! [`opening`] says how a store is opened, [`session`] does what a command says.

pub mod bytes;
pub mod file;
pub mod opening;
pub mod read;
pub mod session;
pub mod show;

use crate::engine::range::KeyRange;
use crate::vfs::fault::{Call, Errno};

/// Names and values of an engine's own options.
pub type Settings = Vec<(String, String)>;

/// One line of a script; a batch and a load have indented lines below them.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `set k v`, or `set! k v`.
    Set(Ack, Vec<u8>, Vec<u8>),
    /// `rm k`: removes it, and says whether it was there. `rm! k` is durable and blind: the contract has
    /// no question that waits for the device.
    Remove(Ack, Vec<u8>),
    /// `swap k v`, or `swap k` to remove: says what was there.
    Swap(Vec<u8>, Option<Vec<u8>>),
    /// `batch` or `batch!`, with `set k v` and blind `rm k` below it.
    Batch(Ack, Vec<Step>),
    /// `load`, with `set k v` below it, in ascending order: one sorted load.
    Load(Vec<(Vec<u8>, Vec<u8>)>),
    /// A look at the present, or with `@name` in front at a snapshot.
    Look(Option<String>, Look),
    /// `snapshot name`
    Snapshot(String),
    /// `drop name`
    Drop(String),
    /// `compact`, or `compact a..b`.
    Compact(KeyRange),
    /// `flush`
    Flush,
    /// `settle`
    Settle,
    /// `sync`
    Sync,
    /// `checkpoint name`: a copy of the store in a directory beside it.
    Checkpoint(String),
    /// `reopen`: drops the snapshots, closes the store and opens it.
    Reopen,
    /// `options name=value ...`: the same, and the store has these options from now on, and no others.
    Options(Settings),
    /// `crash kill` or `crash power SEED`: drops the snapshots, ends the process and starts another.
    Crash(Crash),
    /// `fail CALL N ERRNO [short] [lasting]`: the disk will fail.
    Fail(Failure),
    /// `heal`: the disk works again.
    Heal,
    /// `stats keys`: how many there are.
    StatsKeys,
    /// `files`: names and sizes.
    Files,
    /// `dump FILE`: its bytes.
    Dump(String),
}

/// What a write waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// As the store was opened: usually until the operating system has it.
    #[default]
    Usual,
    /// Until the device has it: the verb with a `!`.
    Durable,
}

/// A write in a batch, or beside a cursor.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `set k v`
    Set(Vec<u8>, Vec<u8>),
    /// `rm k`, blind.
    Remove(Vec<u8>),
}

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// `get k`
    Get(Vec<u8>),
    /// `scan [range]`, and `rscan [range]` from the end.
    Scan(KeyRange),
    /// `walk range : moves`, each move one of `first`, `last`, `next`, `prev`, `seek k`, separated by
    /// commas; between them, what the cursor does not see: `set k v`, `rm k`, `flush`, `compact`.
    Walk(KeyRange, Vec<Move>),
}

/// A move of a cursor, or what happens beside it.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// `first`
    First,
    /// `last`
    Last,
    /// `next`
    Next,
    /// `prev`
    Prev,
    /// `seek k`
    Seek(Vec<u8>),
    /// `set k v` or `rm k`, into the store below the cursor.
    Write(Step),
    /// `flush`
    Flush,
    /// `compact`
    Compact,
}

impl Move {
    /// Whether the cursor stands somewhere else after it.
    pub fn moves(&self) -> bool {
        !matches!(self, Move::Write(_) | Move::Flush | Move::Compact)
    }
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// `kill`: what it handed to the operating system is there.
    Kill,
    /// `power SEED`: of what no sync covered, a part that the seed chooses is there.
    Power(u64),
}

/// A fault of the disk: the `nth` call of this kind from now on fails, and with `lasting` all that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of call; `None`, written `any`, is every one.
    pub call: Option<Call>,
    /// Which of them, from 1.
    pub nth: u64,
    /// What the system says.
    pub errno: Errno,
    /// Whether the call is done by half before it fails; a read just returns less, and does not fail.
    pub is_short: bool,
    /// Whether it lasts: until `heal`, a crash, or an opening that fails because of it.
    pub is_lasting: bool,
}
