//! One run of the command: the store, opened when it is first needed, and the streams.

use crate::bench::recording::{Recording, Sink};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::place::{Need, Place};
use crate::cli::stream::{self, Input};
use crate::cli::style::Style;
use crate::cli::voice::Voice;
use crate::engine::KvsEngine;
use crate::engine::kind::EngineKind;
use crate::engine::memory::Memory;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// What a verb works with.
pub(crate) struct Session {
    pub place: Place,
    pub style: Style,
    pub voice: Voice,
    pub out: Output,
    /// In a shell the store stays open from the first verb that finds or makes it, and standard input
    /// is the script.
    is_shell: bool,
    kept: Option<Arc<dyn KvsEngine>>,
    /// Where calls are recorded; whether what is in the store is still to be written down.
    sink: Option<(Sink, bool)>,
}

impl Session {
    /// Nothing is opened yet.
    pub(crate) fn new(place: Place, style: Style) -> Session {
        let (out, voice) = (Output::new(&style), Voice::new(&style));
        Session { place, style, voice, out, is_shell: false, kept: None, sink: None }
    }

    /// From here on it is a shell's.
    pub(crate) fn become_shell(&mut self) {
        self.is_shell = true;
    }

    /// Goes on in another style.
    pub(crate) fn restyle(&mut self, style: Style) {
        self.out.restyle(&style);
        self.voice = Voice::new(&style);
        self.style = style;
    }

    /// The store. Where there is none and none is needed, an empty one that keeps nothing: a command
    /// that only reads makes nothing on the disk.
    pub(crate) fn store(&mut self, need: Need) -> Result<Arc<dyn KvsEngine>, Failure> {
        Ok(self.existing(need)?.unwrap_or_else(|| Arc::new(Memory::new())))
    }

    /// The store, if there is one or the need makes one.
    pub(crate) fn existing(&mut self, need: Need) -> Result<Option<Arc<dyn KvsEngine>>, Failure> {
        if !self.is_shell {
            let is_write = matches!(need, Need::Create | Need::Change);
            if is_write && self.place.engine()? == EngineKind::Memory {
                return Err(Failure::usage(
                    "the memory engine keeps nothing when the command ends: name bitcask or lsm, or use it in a shell",
                ));
            }
            return self.open(need);
        }
        self.place.permit(need)?;
        if self.kept.is_none() {
            // It stays open for the lines to come, and they may write.
            let kept = if need == Need::Read && !self.place.read_only { Need::Change } else { need };
            self.kept = self.open(kept)?;
        }
        Ok(self.kept.clone())
    }

    fn open(&mut self, need: Need) -> Result<Option<Arc<dyn KvsEngine>>, Failure> {
        let store = self.place.open(need, &self.voice)?;
        let (Some(store), Some((sink, is_new))) = (store.clone(), &mut self.sink) else { return Ok(store) };
        let recording = match std::mem::replace(is_new, false) {
            true => Recording::with_state(store, sink.clone())?,
            false => Recording::new(store, sink.clone()),
        };
        Ok(Some(Arc::new(recording)))
    }

    /// Records what is asked of the store from now on, and first what is in it.
    pub(crate) fn record(&mut self, sink: Sink) {
        self.sink = Some((sink, true));
    }

    /// Closes the store, if it is open: for those who look at its files. Who needs it opens it again.
    pub(crate) fn close(&mut self) {
        self.kept = None;
    }

    /// The bytes that an argument means.
    pub(crate) fn bytes<'a>(&self, arg: &'a OsStr, name: &str) -> Result<Cow<'a, [u8]>, Failure> {
        let decoded = self.style.input().decode(arg.as_bytes());
        decoded.map_err(|reason| Failure::usage(format!("{name}: {reason}")))
    }

    /// What a FILE argument names; without one, or with `-`, standard input.
    pub(crate) fn input(&self, file: Option<&OsStr>) -> Result<Input, Failure> {
        match file.filter(|_| !stream::is_standard(file)) {
            Some(file) => Input::file(Path::new(file)),
            None if self.is_shell => Err(Failure::usage("standard input is the shell's: name a file")),
            None => {
                if stream::stdin_is_terminal() {
                    self.voice.note("reading standard input; Ctrl-D ends it");
                }
                Ok(Input::standard())
            }
        }
    }
}
