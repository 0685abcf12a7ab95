//! A Bitcask segment as text: what its records say, and which of them are live.

use crate::codec::varint_len;
use crate::engine::bitcask::segment::{DELETE, SET, SegmentState};
use crate::error::Result;
use crate::inspect::bytes::Bytes;
use crate::inspect::entry;
use crate::inspect::log::{Note, Owner};
use crate::inspect::look::{Look, Store};
use crate::inspect::scan::{Frame, Likely};
use crate::inspect::text::{Text, quoted};

/// Characters of a key that are shown in a line.
const KEY: usize = 16;

/// Characters of a value that are shown in a line.
const VALUE: usize = 20;

/// A segment of a store.
#[derive(Debug)]
pub(super) struct SegmentOwner<'a> {
    pub(super) look: &'a Look,
    pub(super) number: u64,
}

impl Owner for SegmentOwner<'_> {
    fn kind(&self, kind: u8) -> &'static str {
        match kind {
            SET => "set",
            DELETE => "delete",
            _ => "BAD",
        }
    }

    fn likely(&self) -> Likely {
        entry::is_likely
    }

    fn note(&mut self, bytes: &mut Bytes, frame: &Frame) -> Note {
        let Some(head) = entry::head(bytes, frame) else { return Note::nonsense() };
        let state = self.look.state(self.number, frame.offset, head.key, head.value.is_none());
        let says = match head.value {
            None => quoted(head.key, KEY),
            Some(value) => format!("{} = {}", quoted(head.key, KEY), quoted(value, VALUE)),
        };
        Note { seqno: Some(head.seqno), state, says }
    }

    fn explain(&mut self, text: &mut Text<'_>, bytes: &mut Bytes, frame: &Frame) -> Result<()> {
        let from = frame.payload();
        let Some(head) = entry::head(bytes, frame) else {
            return text.data(bytes, from, frame.payload_len() as u64, "payload: BAD");
        };
        let entry::Head { seqno, key, value, value_len } = head;
        let (key_len, is_set) = (key.len() as u64, value.is_some());
        let mut at = from;
        let mut number = |text: &mut Text<'_>, bytes: &mut Bytes, field: &str, n: u64, meaning: &str| {
            let len = varint_len(n);
            let row = bytes.get(at, len).to_vec();
            at += len as u64;
            text.row(at - len as u64, &row, &format!("{field} = {n}"), meaning)
        };
        number(text, bytes, "seqno", seqno, "its place among all writes")?;
        if is_set {
            number(text, bytes, "key_len", key_len, "bytes of the key")?;
        }
        text.data(bytes, at, key_len, &format!("key, {key_len} bytes"))?;
        match is_set {
            true => text.data(bytes, at + key_len, value_len, &format!("value, {value_len} bytes")),
            false => Ok(()),
        }
    }

    fn sealed_len(&self) -> Option<u64> {
        match &self.look.meta(self.number)?.state {
            SegmentState::Sealed(sealed) => Some(sealed.len),
            SegmentState::Active { .. } => None,
        }
    }
}

impl SegmentOwner<'_> {
    /// What the store makes of the file.
    pub(super) fn role(&self) -> String {
        match (&self.look.store, self.look.meta(self.number)) {
            (Err(reason), _) => format!("liveness unknown: {reason}"),
            (Ok(Store::Lsm(_)), _) => "a file of the bitcask engine, in a store of lsm".into(),
            (Ok(_), None) => "left over: no edit of the manifest names it, so nothing in it is live".into(),
            (Ok(_), Some(meta)) => match &meta.state {
                SegmentState::Active { durable } => {
                    format!(
                        "the active segment, from seqno {} on; durable at close: {durable}",
                        meta.first_seqno
                    )
                }
                SegmentState::Sealed(sealed) => format!(
                    "sealed, seqnos {} to {}, CRC-32C {:08x}",
                    meta.first_seqno, sealed.last_seqno, sealed.checksum
                ),
            },
        }
    }
}
