//! What was found of a key.

use crate::inspect::scan::Gap;
use crate::inspect::state::State;
use serde::Serialize;

/// Bytes of a value that are kept to be shown.
pub(super) const PREVIEW: usize = 64;

/// All that was found of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The engine whose store it is.
    pub engine: String,
    /// The versions, the newest first.
    pub versions: Vec<Version>,
    /// What is worth knowing, and where a version may have been that can not be read.
    pub notes: Vec<String>,
    /// Whether everything was read that can hold a version. Torn tails count as nothing.
    pub is_sure: bool,
}

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The name of its file.
    pub file: String,
    /// Where in the file its record begins; of a table, its block.
    pub offset: u64,
    /// Of a table, where in the unfolded block its entry begins.
    pub entry: Option<u64>,
    /// Its sequence number; none, where a hint says nothing of it.
    pub seqno: Option<u64>,
    /// `set` or `remove`; `hint` for the entry of a hint.
    pub kind: &'static str,
    /// `live`: a get finds it. `dead`: none does. `tombstone`: it is the newest, and a removal.
    /// `unknown`, where the store, or what may hold a newer one, can not be read.
    pub state: &'static str,
    /// Bytes of the value.
    pub value_bytes: u64,
    /// The beginning of the value.
    #[serde(skip)]
    pub preview: Vec<u8>,
}

impl Found {
    /// A version may have been where nothing can be read.
    pub(super) fn miss(&mut self, reason: String) {
        self.notes.push(reason);
        self.is_sure = false;
    }

    /// A part of a log that can not be read. Its first `durable` bytes were whole once.
    pub(super) fn gap(&mut self, name: &str, gap: &Gap, durable: u64) {
        let (at, len, why) = (gap.offset, gap.end - gap.offset, gap.why);
        match (gap.is_followed || at < durable, gap.is_zero) {
            (true, _) => self.miss(format!("{name}: {len} bytes at {at} can not be read: {why}")),
            (false, true) => {}
            (false, false) => {
                self.notes.push(format!("{name}: {len} bytes at {at}: a torn tail, or damage: {why}"))
            }
        }
    }
}

impl Version {
    pub(super) fn new(file: &str, offset: u64, kind: &'static str, state: State) -> Version {
        Version {
            file: file.into(),
            offset,
            entry: None,
            seqno: None,
            kind,
            state: state_word(state),
            value_bytes: 0,
            preview: Vec::new(),
        }
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Live => "live",
        State::Dead => "dead",
        State::Tombstone => "tombstone",
        State::Other | State::Unknown => "unknown",
    }
}
