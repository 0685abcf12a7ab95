//! A write-ahead log as text: its batches, and which of their writes are live.

use crate::codec::varint_len;
use crate::engine::lsm::version::edit::WalState;
use crate::engine::lsm::wal::{self, BATCH};
use crate::error::Result;
use crate::inspect::batch::{LoggedBatch, LoggedOp, is_likely};
use crate::inspect::bytes::Bytes;
use crate::inspect::log::{Note, Owner, Write};
use crate::inspect::look::{Look, Store};
use crate::inspect::scan::{Frame, Likely};
use crate::inspect::state::State;
use crate::inspect::text::{Text, count, quoted};
use crate::record::frame::Header;

/// Characters of a key that are shown in a line.
const KEY: usize = 16;

/// Characters of a value that are shown in a line.
const VALUE: usize = 20;

/// A log of a store.
#[derive(Debug)]
pub(super) struct WalOwner<'a> {
    pub(super) look: &'a Look,
    pub(super) number: u64,
}

impl WalOwner<'_> {
    fn state(&self, key: &[u8], seqno: u64, is_tombstone: bool) -> State {
        match self.look.tree() {
            Some(tree) => tree.state_in_log(self.number, key, seqno, is_tombstone),
            None => State::Unknown,
        }
    }

    /// The header that the file should have.
    pub(super) fn header(&self) -> Option<Header> {
        Some(wal::header(self.look.store_id()?, self.number))
    }

    /// What the store makes of the file.
    pub(super) fn role(&self) -> String {
        let meta = self.look.tree().map(|tree| tree.listing.wals.get(&self.number));
        match (&self.look.store, meta) {
            (Err(reason), _) => format!("liveness unknown: {reason}"),
            (Ok(Store::Bitcask(_)), _) | (_, None) => {
                "a file of the lsm engine, in a store of bitcask".into()
            }
            (_, Some(None)) => "left over: no edit of the manifest names it, so nothing in it is live".into(),
            (_, Some(Some(meta))) => match meta.state {
                WalState::Active { durable } => {
                    format!("the newest log, from seqno {} on; durable at close: {durable}", meta.first_seqno)
                }
                WalState::Sealed { checksum, last_seqno, .. } => {
                    format!("sealed, seqnos {} to {last_seqno}, CRC-32C {checksum:08x}", meta.first_seqno)
                }
            },
        }
    }
}

impl Owner for WalOwner<'_> {
    fn kind(&self, kind: u8) -> &'static str {
        if kind == BATCH { "batch" } else { "BAD" }
    }

    fn likely(&self) -> Likely {
        is_likely
    }

    fn note(&mut self, bytes: &mut Bytes, frame: &Frame) -> Note {
        match LoggedBatch::read(bytes, frame) {
            Some(batch) => Note {
                seqno: Some(batch.first_seqno),
                state: State::Other,
                says: format!("{} from seqno {} on", count(batch.count, "write"), batch.first_seqno),
            },
            None => Note::nonsense(),
        }
    }

    fn writes(
        &mut self,
        bytes: &mut Bytes,
        frame: &Frame,
        each: &mut dyn FnMut(&Write) -> Result<()>,
    ) -> Result<()> {
        let Some(batch) = LoggedBatch::read(bytes, frame) else { return Ok(()) };
        // What stands before the first op counts as a part of it.
        let (mut from, mut result) = (frame.offset, Ok(()));
        batch.each(bytes, |bytes, seqno, op| {
            let key = op.key_of(bytes);
            let state = self.state(&key, seqno, op.value.is_none());
            let shown = quoted(&key, KEY);
            let (kind, says) = match op.value {
                Some((at, len)) => {
                    let value = bytes.get(at, len.min(VALUE as u64 + 1) as usize);
                    ("set", format!("{shown} = {}", quoted(value, VALUE)))
                }
                None => ("remove", shown),
            };
            let write = Write { from, end: op.end(), seqno, state, kind, says };
            if result.is_ok() {
                result = each(&write);
            }
            from = op.end();
        });
        result
    }

    fn explain(&mut self, text: &mut Text<'_>, bytes: &mut Bytes, frame: &Frame) -> Result<()> {
        let from = frame.payload();
        let Some(batch) = LoggedBatch::read(bytes, frame) else {
            return text.data(bytes, from, frame.payload_len() as u64, "payload: BAD");
        };
        let first = bytes.get(from, varint_len(batch.first_seqno)).to_vec();
        let field = format!("first_seqno = {}", batch.first_seqno);
        text.row(from, &first, &field, "of the first write")?;
        let mut result = Ok(());
        batch.each(bytes, |bytes, seqno, op| {
            if result.is_ok() {
                let key = op.key_of(bytes);
                let state = self.state(&key, seqno, op.value.is_none());
                result = explain_op(text, bytes, op, seqno, state);
            }
        });
        result
    }

    fn sealed_len(&self) -> Option<u64> {
        match self.look.tree()?.listing.wals.get(&self.number)?.state {
            WalState::Sealed { len, .. } => Some(len),
            WalState::Active { .. } => None,
        }
    }
}

fn explain_op(text: &mut Text<'_>, bytes: &mut Bytes, op: &LoggedOp, seqno: u64, state: State) -> Result<()> {
    let (key_at, key_len) = op.key;
    let tag = bytes.get(op.at, 1).to_vec();
    let (tag_field, what) = match op.value {
        Some(_) => ("  op = 1", "set"),
        None => ("  op = 2", "remove"),
    };
    text.row(op.at, &tag, tag_field, &format!("{what}, seqno {seqno}: {state}"))?;
    let len = bytes.get(op.at + 1, varint_len(key_len as u64)).to_vec();
    text.row(op.at + 1, &len, &format!("  key_len = {key_len}"), "bytes of the key")?;
    text.data(bytes, key_at, key_len as u64, &format!("  key, {key_len} bytes"))?;
    let Some((value_at, value_len)) = op.value else { return Ok(()) };
    let len_at = key_at + key_len as u64;
    let len = bytes.get(len_at, varint_len(value_len)).to_vec();
    text.row(len_at, &len, &format!("  value_len = {value_len}"), "bytes of the value")?;
    text.data(bytes, value_at, value_len, &format!("  value, {value_len} bytes"))
}
