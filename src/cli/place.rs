//! Where the store is, and how it is opened: the arguments that every command takes.

use crate::cli::failure::Failure;
use crate::cli::voice::Voice;
use crate::engine::KvsEngine;
use crate::engine::event::Listener;
use crate::engine::kind::EngineKind;
use crate::engine::options::{Access, Durability, OpenOptions};
use crate::error::Error;
use crate::vfs::Vfs;
use crate::vfs::os::OsDisk;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Args, Command};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the store is, and how it is opened.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The store")]
pub(crate) struct Place {
    /// The directory of the store; made when something is first written
    #[arg(short, long, global = true, value_name = "DIR", env = "KVS_PATH", default_value = ".")]
    pub path: PathBuf,

    /// The engine, bitcask or lsm [default: the one that owns the directory, else bitcask]
    #[arg(short, long, global = true, value_name = "ENGINE", env = "KVS_ENGINE")]
    #[arg(value_parser = EngineName, hide_possible_values = true)]
    engine: Option<EngineKind>,

    /// Whether somebody typed the engine.
    #[arg(skip)]
    is_engine_typed: bool,

    /// When a write is durable: always, interval:MS, or os
    #[arg(long, global = true, value_name = "WHEN", default_value_t = Durability::Os)]
    sync: Durability,

    /// Refuse to write
    #[arg(long, global = true)]
    pub read_only: bool,

    /// An option of the engine; `kvs options` lists them
    #[arg(short = 'o', global = true, value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_string(), value.to_string()))
}

/// Reads the name of an engine as everything reads it, and tells completions which there are.
#[derive(Clone, Debug)]
pub(crate) struct EngineName;

impl TypedValueParser for EngineName {
    type Value = EngineKind;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<EngineKind, clap::Error> {
        str::parse::<EngineKind>.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(EngineKind::ALL.iter().map(|kind| PossibleValue::new(kind.name()))))
    }
}

/// What a command needs of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Reads; where no store is, it reads an empty one.
    Read,
    /// Changes what is there; where no store is, there is nothing to change.
    Change,
    /// Works on a store that must be there.
    Exist,
    /// Writes; the store is made if there is none.
    Create,
}

impl Place {
    /// Takes from the environment what was not typed. A variable that is empty is none.
    pub(crate) fn take_variables(
        &mut self,
        is_path_typed: bool,
        variable: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<(), Failure> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(path) = set("KVS_PATH").filter(|_| !is_path_typed) {
            self.path = path.into();
        }
        self.is_engine_typed = self.engine.is_some();
        if let Some(name) = set("KVS_ENGINE").filter(|_| !self.is_engine_typed) {
            let kind: Result<EngineKind, Error> = name.to_string_lossy().parse();
            self.engine = Some(kind.map_err(|error| Failure::from(error).at("KVS_ENGINE"))?);
        }
        Ok(())
    }

    /// The engine: the one asked for, else the one that owns the directory, else Bitcask. Asking for
    /// another than the owner is an error, before anything is touched.
    pub(crate) fn engine(&self) -> Result<EngineKind, Failure> {
        let (kind, _) = self.look()?;
        kind.check(&self.settings)?;
        Ok(kind)
    }

    /// For those who look at files and open nothing: refuses what the others refuse, where the owner can be told.
    /// Damage, which may keep it from being told, is what they are for.
    pub(crate) fn examine(&self) -> Result<(), Failure> {
        let owner = EngineKind::detect(disk(), &self.path).ok().flatten();
        self.refuse_other(owner)?;
        let kind = owner.or(self.engine);
        Ok(kind.map_or(Ok(()), |kind| kind.check(&self.settings))?)
    }

    fn refuse_other(&self, owner: Option<EngineKind>) -> Result<(), Failure> {
        match (owner, self.engine) {
            (Some(owner), Some(wanted)) if owner != wanted => Err(Failure::from(Error::WrongEngine {
                path: self.path.clone(),
                found: owner.to_string(),
                wanted: wanted.to_string(),
            })),
            _ => Ok(()),
        }
    }

    /// The engine, and whether its store is there.
    fn look(&self) -> Result<(EngineKind, bool), Failure> {
        let owner = EngineKind::detect(disk(), &self.path)?;
        self.refuse_other(owner)?;
        let kind = self.engine.or(owner).unwrap_or(EngineKind::Bitcask);
        Ok((kind, owner.is_some() || kind == EngineKind::Memory))
    }

    /// Opens the store; `None` if there is none and the need does not make one.
    pub(crate) fn open(&self, need: Need, voice: &Voice) -> Result<Option<Arc<dyn KvsEngine>>, Failure> {
        self.open_with(need, voice, &self.settings)
    }

    /// Opens the store to copy it, for reading; the settings are those of the copy.
    pub(crate) fn source(&self, voice: &Voice) -> Result<Arc<dyn KvsEngine>, Failure> {
        let none = Error::NoStore { path: self.path.clone() };
        Ok(self.open_with(Need::Read, voice, &[])?.ok_or(none)?)
    }

    /// The engine that was asked for; Bitcask, if none was. No directory is looked at.
    pub(crate) fn wanted_engine(&self) -> EngineKind {
        self.engine.unwrap_or(EngineKind::Bitcask)
    }

    /// The engine that was asked for, if one was.
    pub(crate) fn named_engine(&self) -> Option<EngineKind> {
        self.engine
    }

    /// A command that names its engines itself takes none from here; a variable may be set for others.
    pub(crate) fn refuse_engine(&self, reason: &str) -> Result<(), Failure> {
        match self.is_engine_typed || !self.settings.is_empty() {
            true => Err(Failure::usage(reason)),
            false => Ok(()),
        }
    }

    /// When a write is durable.
    pub(crate) fn durability(&self) -> Durability {
        self.sync
    }

    /// The options of the engine that were asked for.
    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    fn open_with(
        &self,
        need: Need,
        voice: &Voice,
        settings: &[(String, String)],
    ) -> Result<Option<Arc<dyn KvsEngine>>, Failure> {
        let (kind, is_there) = self.look()?;
        self.permit(need)?;
        // Also where nothing is there to be opened.
        kind.check(settings)?;
        let access = match need {
            Need::Create => Access::Create,
            Need::Exist if !is_there => return Err(Error::NoStore { path: self.path.clone() }.into()),
            Need::Read | Need::Change if !is_there => return Ok(None),
            _ if need == Need::Read || self.read_only => Access::Read,
            _ => Access::Write,
        };
        let options = OpenOptions { access, ..self.options(voice) };
        Ok(Some(kind.open(&self.path, options, settings)?))
    }

    /// How a store is opened.
    pub(crate) fn options(&self, voice: &Voice) -> OpenOptions {
        let mut options = OpenOptions { disk: disk(), durability: self.sync, ..OpenOptions::default() };
        if voice.is_verbose() {
            let voice = voice.clone();
            options.listener = Listener::new(move |event| voice.event(event));
        }
        options
    }

    /// Whether the need may be met.
    pub(crate) fn permit(&self, need: Need) -> Result<(), Failure> {
        if self.read_only && need != Need::Read { Err(Error::ReadOnly.into()) } else { Ok(()) }
    }
}

/// The disk on which stores are.
pub(crate) fn disk() -> Arc<dyn Vfs> {
    Arc::new(OsDisk)
}

#[cfg(test)]
mod tests {
    use super::Place;
    use crate::engine::kind::EngineKind;
    use clap::{Args, Command, FromArgMatches};
    use std::ffi::OsString;

    // A variable that nobody could use kept arguments from being taken, and passed for one of them.
    #[test]
    fn what_is_typed_counts_more_than_a_variable() {
        let place = |line: &str, engine: &'static str| {
            let command = Place::augment_args(Command::new("kvs")).mut_args(|arg| arg.env(None::<&str>));
            let matches = command.get_matches_from(line.split(' '));
            let mut place = Place::from_arg_matches(&matches).unwrap();
            let variable = |name| (name == "KVS_ENGINE").then(|| OsString::from(engine));
            place.take_variables(true, variable).map(|()| place)
        };
        let typed = place("kvs -e lsm", "nonsense").unwrap();
        assert_eq!((typed.named_engine(), typed.refuse_engine("no").is_err()), (Some(EngineKind::Lsm), true));
        let from_variable = place("kvs", "lsm").unwrap();
        let is_refused = from_variable.refuse_engine("no").is_err();
        assert_eq!((from_variable.named_engine(), is_refused), (Some(EngineKind::Lsm), false));
        assert_eq!(place("kvs", "").unwrap().named_engine(), None);
        let said = format!("{:?}", place("kvs", "nonsense").unwrap_err());
        assert!(said.contains("KVS_ENGINE: nonsense: no such engine"), "{said}");
    }
}
