//! Runs a history, and holds every answer against the model.
//!
//! What is asked for, besides that all answers are right:
//!
//! - A read fails only if the disk failed in that very call, and is never "not there" instead.
//! - A write fails only if the disk has failed since the store was opened. A store that was poisoned by it
//!   acknowledges nothing more; one that was not has not written.
//! - Opening fails only if the disk fails meanwhile, and works once it is healed.
//! - What is found behind an opening is what [`Model`] allows, and no temporary file is left over.
//! - Nothing panics, be it while the store is opened or closed.
//! - A checkpoint that was made can be opened and is equal to the store at that moment, now and after
//!   every power cut.

use crate::engine::kind::EngineKind;
use crate::engine::range::KeyRange;
use crate::error::{Error, Result};
use crate::survive::caught::caught;
use crate::survive::script::session::{Answer, Pair, Place, Session};
use crate::survive::script::{Ack, Command, Crash, Look, Move, Settings};
use crate::survive::torture::compare::{
    Wrong, all_same, contents, is_same, same, told, told_map, told_pair, unexpected, wrong,
};
use crate::survive::torture::history::History;
use crate::survive::torture::model::{Fate, Map, Model, scan, walk};
use crate::survive::torture::site::{Open, Site};
use crate::survive::torture::tally::Tally;
use crate::vfs::memory::Record;
use serde::Serialize;
use std::fmt;

/// Where a store and the model part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The number of the command, from 0; those that end every history come behind its own.
    pub at: usize,
    /// The command.
    pub command: String,
    /// What the model says.
    pub expected: String,
    /// What the store said.
    pub said: String,
}

impl Difference {
    fn new(at: usize, command: impl ToString, (expected, said): Wrong) -> Difference {
        Difference { at, command: command.to_string(), expected, said }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { command, expected, said, .. } = self;
        write!(f, "{command}\n  expected: {expected}\n  said:     {said}")
    }
}

/// What the history came to: what was done, and the first difference.
pub fn judge(history: &History, open: Open<'_>) -> (Tally, Option<Difference>) {
    let begin = || Judge::begin(history, open).map_err(|error| wrong("a store", format!("error: {error}")));
    let mut judge = match calm(begin) {
        Ok(judge) => judge,
        Err(wrong) => return (Tally::default(), Some(Difference::new(0, "opening a new store", wrong))),
    };
    let end = finale();
    let mut commands = history.commands.iter().chain(&end).enumerate();
    let difference = commands.find_map(|(at, command)| {
        let wrong = calm(|| judge.step(command)).err()?;
        Some(Difference::new(at, command, wrong))
    });
    if difference.is_none() {
        judge.tally.histories = 1;
        judge.tally.errors_injected = judge.faults();
    }
    let tally = std::mem::take(&mut judge.tally);
    let closed = calm(|| {
        drop(judge);
        Ok(())
    });
    let at = history.commands.len() + end.len();
    let closing = closed.err().map(|wrong| Difference::new(at, "closing the store", wrong));
    (tally, difference.or(closing))
}

/// What panics is wrong.
fn calm<T>(work: impl FnOnce() -> std::result::Result<T, Wrong>) -> std::result::Result<T, Wrong> {
    caught(work).unwrap_or_else(|panic| Err(wrong("no panic", panic)))
}

/// What every history ends with: everything, both ways, before and after opening again.
fn finale() -> Vec<Command> {
    let everything = [
        Command::StatsKeys,
        Command::Look(None, Look::Scan(KeyRange::all())),
        Command::Look(None, Look::Scan(KeyRange::all().reverse())),
    ];
    let again = [Command::Reopen, Command::Compact(KeyRange::all()), Command::Reopen];
    let all = [Command::Heal].into_iter().chain(everything.clone()).chain(again).chain(everything);
    all.collect()
}

struct Judge<'a> {
    kind: EngineKind,
    session: Session<Site<'a>>,
    model: Model,
    tally: Tally,
    /// Whether the store waits for the device at every write.
    is_durable: bool,
    /// The disk has failed since the store was opened.
    is_shaken: bool,
    /// The store has said that it is poisoned.
    is_poisoned: bool,
}

impl<'a> Judge<'a> {
    fn begin(history: &History, open: Open<'a>) -> Result<Judge<'a>> {
        let cuts = |command: &Command| matches!(command, Command::Crash(Crash::Power(_)));
        let record = if history.commands.iter().any(cuts) { Record::On } else { Record::Off };
        Ok(Judge {
            kind: history.kind,
            session: Session::new(Site::new(history.kind, &history.settings, record, open)?),
            model: Model::default(),
            tally: Tally::default(),
            is_durable: is_durable(&history.settings),
            is_shaken: false,
            is_poisoned: false,
        })
    }

    fn faults(&self) -> u64 {
        self.session.place().faults()
    }

    fn step(&mut self, command: &Command) -> std::result::Result<(), Wrong> {
        let held = |name: &String| self.model.snapshots.contains_key(name);
        match command {
            // Nothing to look at: the snapshot was never taken, or went with its process.
            Command::Look(Some(name), _) if !held(name) => return Ok(()),
            _ => {}
        }
        self.tally.count(command);
        // Also behind a call that went well.
        self.is_poisoned |= self.says_poisoned();
        let before = self.faults();
        let result = self.session.attempt(command);
        let faults = self.faults() - before;
        self.is_shaken |= faults > 0;
        self.tally.errors_met += u64::from(result.is_err());
        match command {
            Command::Reopen | Command::Options(_) | Command::Crash(_) => self.opened(command, result, faults),
            Command::Set(..)
            | Command::Remove(..)
            | Command::Swap(..)
            | Command::Batch(..)
            | Command::Load(_) => self.wrote(command, result),
            Command::Look(name, look) => self.looked(name.as_ref(), look, result, faults),
            Command::StatsKeys => match result {
                Ok(Answer::Count(count)) if count == self.model.now.len() as u64 => Ok(()),
                Err(error) => allow(&error, faults),
                said => Err(wrong(format!("{} keys", self.model.now.len()), format!("{said:?}"))),
            },
            _ => self.kept(command, result, faults),
        }
    }

    fn wrote(&mut self, command: &Command, result: Result<Answer>) -> std::result::Result<(), Wrong> {
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                let fate = self.failed(&error)?;
                fate.into_iter().for_each(|fate| self.model.change(command, fate));
                return Ok(());
            }
        };
        let was = |key: &Vec<u8>| self.model.now.get(key);
        // What writes nothing waits for nothing, and needs no disk.
        let is_nothing = match command {
            Command::Batch(_, steps) => steps.is_empty(),
            Command::Load(pairs) => pairs.is_empty(),
            Command::Remove(Ack::Usual, key) | Command::Swap(key, None) => was(key).is_none(),
            _ => false,
        };
        if !is_nothing {
            self.is_not_poisoned()?;
        }
        match (command, answer) {
            (Command::Remove(Ack::Usual, key), Answer::Was(said)) if said != was(key).is_some() => {
                return Err(wrong(was(key).is_some().to_string(), said.to_string()));
            }
            (Command::Swap(key, _), Answer::Value(said)) => same(was(key), said.as_deref())?,
            _ => {}
        }
        let is_loaded = matches!(command, Command::Load(_)) && self.kind == EngineKind::Lsm;
        let fate = match command {
            _ if is_nothing => Fate::Done,
            Command::Set(Ack::Durable, ..)
            | Command::Remove(Ack::Durable, _)
            | Command::Batch(Ack::Durable, _) => Fate::Durable,
            _ if self.is_durable || is_loaded => Fate::Durable,
            _ => Fate::Done,
        };
        self.model.change(command, fate);
        Ok(())
    }

    /// What becomes of a write that failed; `None` if it has not happened.
    fn failed(&mut self, error: &Error) -> std::result::Result<Option<Fate>, Wrong> {
        if !self.is_shaken || matches!(error, Error::InvalidArgument(_)) {
            return Err(unexpected(error));
        }
        let is_refused = matches!(error, Error::Poisoned(_));
        self.is_poisoned |= self.says_poisoned();
        match (is_refused, self.is_poisoned) {
            (true, false) => Err(wrong("a store that says that it is poisoned", format!("error: {error}"))),
            (true, true) | (false, false) => Ok(None),
            (false, true) => Ok(Some(Fate::Unsure)),
        }
    }

    fn says_poisoned(&self) -> bool {
        self.session.place().is_poisoned()
    }

    fn is_not_poisoned(&self) -> std::result::Result<(), Wrong> {
        match self.is_poisoned {
            true => Err(wrong("nothing is acknowledged after a failure", "it was")),
            false => Ok(()),
        }
    }

    /// What changes no answer.
    fn kept(
        &mut self,
        command: &Command,
        result: Result<Answer>,
        faults: u64,
    ) -> std::result::Result<(), Wrong> {
        if let Err(error) = result {
            let is_refused = matches!(error, Error::Poisoned(_)) && self.says_poisoned();
            self.is_poisoned |= self.says_poisoned();
            return if is_refused && self.is_shaken { Ok(()) } else { allow(&error, faults) };
        }
        match command {
            Command::Sync | Command::Flush => {
                self.is_not_poisoned()?;
                self.model.settle();
            }
            Command::Snapshot(name) => _ = self.model.snapshots.insert(name.clone(), self.model.now.clone()),
            Command::Drop(name) => _ = self.model.snapshots.remove(name),
            Command::Checkpoint(name) => {
                self.model.checkpoints.insert(name.clone(), self.model.now.clone());
                self.check_copy(name)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn looked(
        &mut self,
        name: Option<&String>,
        look: &Look,
        result: Result<Answer>,
        faults: u64,
    ) -> std::result::Result<(), Wrong> {
        let Some(map) = self.model.seen(name).cloned() else { return Ok(()) };
        match (look, result) {
            (_, Err(error)) => allow(&error, faults),
            (Look::Get(key), Ok(Answer::Value(said))) => same(map.get(key), said.as_deref()),
            (Look::Scan(range), Ok(Answer::Pairs(said))) => all_same(scan(&map, range), &said),
            (Look::Walk(range, moves), Ok(Answer::Walk(stands, error))) => {
                self.walked(&map, range, moves, (stands, error), faults)
            }
            (look, said) => Err(wrong(format!("an answer to {look}"), format!("{said:?}"))),
        }
    }

    /// Where the cursor stood, and what was written beside it.
    fn walked(
        &mut self,
        map: &Map,
        range: &KeyRange,
        moves: &[Move],
        (stands, error): (Vec<Option<Pair>>, Option<Error>),
        faults: u64,
    ) -> std::result::Result<(), Wrong> {
        let expected = walk(map, range, moves);
        for (step, (stand, expected)) in moves.iter().zip(stands.iter().zip(expected)) {
            if let Move::Write(write) = step {
                let fate = if self.is_durable { Fate::Durable } else { Fate::Done };
                self.is_not_poisoned()?;
                self.model.write(write, fate);
            }
            if matches!(step, Move::Flush) {
                self.model.settle();
            }
            if !is_same(stand.as_ref(), expected) {
                let (expected, said) = wrong(told(expected), told_pair(stand.as_ref()));
                return Err((format!("{step}: {expected}"), said));
            }
        }
        match (error, moves.get(stands.len())) {
            (None, _) => Ok(()),
            (Some(error), Some(Move::Write(write))) if matches!(error, Error::Poisoned(_)) || faults > 0 => {
                let fate = self.failed(&error)?;
                fate.into_iter().for_each(|fate| self.model.write(write, fate));
                Ok(())
            }
            (Some(error), Some(Move::Write(_) | Move::Flush | Move::Compact)) if self.is_shaken => {
                self.is_poisoned |= self.says_poisoned();
                if matches!(error, Error::Poisoned(_)) { Ok(()) } else { allow(&error, faults) }
            }
            (Some(error), _) => allow(&error, faults),
        }
    }

    /// The store was opened again, or was not.
    fn opened(
        &mut self,
        command: &Command,
        result: Result<Answer>,
        faults: u64,
    ) -> std::result::Result<(), Wrong> {
        self.is_shaken = faults > 0;
        self.is_poisoned = false;
        if let Command::Options(settings) = command {
            self.is_durable = is_durable(settings);
        }
        if let Err(error) = result {
            allow(&error, faults)?;
            self.open_healed()?;
        }
        let found = match self.contents() {
            Ok(found) => found,
            Err(error) if self.faults() == 0 => return Err(unexpected(&error)),
            // A fault that waited for the first reads.
            Err(_) => {
                self.heal()?;
                self.contents().map_err(|error| unexpected(&error))?
            }
        };
        match command {
            Command::Crash(Crash::Power(_)) => {
                let (now, is_there) = (self.model.now.clone(), self.model.recovered(&found));
                let (kept, of) = is_there.ok_or_else(|| {
                    let expected = format!("a prefix that holds what was synced, of: {}", told_map(&now));
                    wrong(expected, told_map(&found))
                })?;
                self.tally.lost_changes += (of - kept) as u64;
                let copies: Vec<_> = self.model.checkpoints.keys().cloned().collect();
                copies.iter().try_for_each(|name| self.check_copy(name))?;
            }
            _ => {
                if !self.model.reopened(&found) {
                    return Err(wrong(told_map(&self.model.now), told_map(&found)));
                }
            }
        }
        self.nothing_is_left_over()
    }

    fn heal(&mut self) -> std::result::Result<(), Wrong> {
        self.session.place_mut().heal().map_err(|error| unexpected(&error))
    }

    /// The disk works again, and so must opening.
    fn open_healed(&mut self) -> std::result::Result<(), Wrong> {
        self.heal()?;
        self.session.place_mut().reopen(None).map_err(|error| unexpected(&error))?;
        self.is_shaken = false;
        Ok(())
    }

    fn contents(&self) -> Result<Map> {
        contents(&*self.session.place().engine()?)
    }

    fn check_copy(&self, name: &str) -> std::result::Result<(), Wrong> {
        let Some(expected) = self.model.checkpoints.get(name) else { return Ok(()) };
        let copy = self.session.place().copy(name).and_then(|copy| contents(&*copy));
        match copy {
            Ok(found) if found == **expected => Ok(()),
            Ok(found) => Err(wrong(format!("{name}: {}", told_map(expected)), told_map(&found))),
            Err(error) => Err(wrong(format!("{name}: a store"), format!("error: {error}"))),
        }
    }

    fn nothing_is_left_over(&self) -> std::result::Result<(), Wrong> {
        // A fault that was swallowed may have left one; the next opening takes it away.
        let left = self.session.place().files().into_iter().find(|file| file.name.ends_with(".tmp"));
        match left {
            Some(file) if !self.is_shaken => Err(wrong("no temporary file", file.name)),
            _ => Ok(()),
        }
    }
}

fn is_durable(settings: &Settings) -> bool {
    settings.iter().any(|(name, value)| name == "durability" && value == "always")
}

/// An error is right if the disk failed in that call.
fn allow(error: &Error, faults: u64) -> std::result::Result<(), Wrong> {
    if faults > 0 { Ok(()) } else { Err(unexpected(error)) }
}
