//! An identity file as text.

use crate::codec::Reader;
use crate::engine::identity::{FORMAT_VERSION, IDENTITY_LEN, MAGIC};
use crate::error::Result;
use crate::inspect::bytes::Bytes;
use crate::inspect::header::verdict;
use crate::inspect::layout::{Bar, boxes};
use crate::inspect::tally::Sort;
use crate::inspect::text::{Text, quoted};

/// The fields of an identity file: where, how long, what.
const FIELDS: [(u64, u64, &str); 5] = [
    (0, 8, "magic"),
    (8, 12, "version: the format's"),
    (12, 28, "engine: its name, filled up with zeros"),
    (28, 36, "store_id: salts every checksum of the store"),
    (36, 40, "checksum: of all before it"),
];

/// An identity file, taken apart.
pub(super) struct IdentityFile {
    version: u32,
    engine: String,
    store_id: u64,
    found: u32,
    right: u32,
    is_magic: bool,
    head: Vec<u8>,
    len: u64,
}

impl IdentityFile {
    /// `None` if it is cut.
    pub(super) fn read(bytes: &mut Bytes) -> Option<IdentityFile> {
        let len = bytes.len();
        let head = bytes.get(0, IDENTITY_LEN).to_vec();
        let mut reader = Reader::new(&head);
        let is_magic = reader.take(8)? == MAGIC;
        let version = reader.u32()?;
        let name = reader.take(16)?;
        let name = &name[..name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)];
        let engine = quoted(name, 40);
        let (store_id, found) = (reader.u64()?, reader.u32()?);
        let right = crc32c::crc32c(&head[..36]);
        Some(IdentityFile { version, engine, store_id, found, right, is_magic, head, len })
    }

    fn is_sound(&self) -> bool {
        let is_whole = self.found == self.right && self.len == IDENTITY_LEN as u64;
        self.is_magic && is_whole && self.version == FORMAT_VERSION
    }

    pub(super) fn summary(&self, text: &mut Text<'_>) -> Result<()> {
        let state = if self.is_sound() { "sound" } else { "DAMAGED" };
        let IdentityFile { version, engine, store_id, .. } = self;
        text.line(format_args!("  {state}: engine {engine}, format {version}, store {store_id:016x}"))
    }

    pub(super) fn props(&self, text: &mut Text<'_>) -> Result<()> {
        let IdentityFile { version, engine, store_id, found, len, .. } = self;
        text.line(format_args!("sound={}\nengine={engine}\nformat={version}", self.is_sound()))?;
        text.line(format_args!("store_id={store_id:016x}\nbytes={len}\nchecksum={found:08x}"))
    }

    pub(super) fn layout(&self, text: &mut Text<'_>) -> Result<()> {
        let mut bar = Bar::new(self.len);
        bar.add(0, self.len, if self.is_sound() { Sort::Fixed } else { Sort::Damaged });
        bar.draw(text)?;
        boxes(text, &FIELDS.map(|(from, to, what)| (from, to, what.to_string())))
    }

    pub(super) fn explain(&self, text: &mut Text<'_>, bytes: &mut Bytes) -> Result<()> {
        let IdentityFile { version, engine, store_id, found, right, is_magic, head, len } = self;
        let magic = if *is_magic { "an identity file" } else { "BAD: not an identity file" };
        text.columns()?;
        text.row(0, &head[..8], &format!("magic = {}", quoted(&head[..8], 20)), magic)?;
        let known = if *version == FORMAT_VERSION { "the format's version" } else { "BAD: not known here" };
        text.row(8, &head[8..12], &format!("version = {version}"), known)?;
        text.row(12, &head[12..28], &format!("engine = {engine}"), "whose directory, zeros behind it")?;
        text.row(28, &head[28..36], &format!("store_id = {store_id:016x}"), "salts every checksum")?;
        let meaning = verdict(*right, *found, "of all before it");
        text.row(36, &head[36..40], &format!("checksum = {found:08x}"), &meaning)?;
        match len.checked_sub(IDENTITY_LEN as u64) {
            Some(more @ 1..) => text.data(bytes, IDENTITY_LEN as u64, more, "BAD: bytes behind the end"),
            _ => Ok(()),
        }
    }
}

/// Shows one that is cut.
pub(super) fn cut(text: &mut Text<'_>, bytes: &mut Bytes) -> Result<()> {
    let len = bytes.len();
    text.line(format_args!("DAMAGED: cut: {len} bytes, not {IDENTITY_LEN}"))?;
    text.data(bytes, 0, len, "cut")
}
