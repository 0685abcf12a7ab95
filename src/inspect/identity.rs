//! An identity file as text.

use crate::codec::Reader;
use crate::engine::identity::{FORMAT_VERSION, IDENTITY_LEN, MAGIC};
use crate::error::Result;
use crate::inspect::View;
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
struct Fields {
    version: u32,
    engine: String,
    store_id: u64,
    found: u32,
    right: u32,
    magic_ok: bool,
}

impl Fields {
    fn read(bytes: &[u8]) -> Option<Fields> {
        let mut reader = Reader::new(bytes);
        let magic_ok = reader.take(8)? == MAGIC;
        let version = reader.u32()?;
        let name = reader.take(16)?;
        let name = &name[..name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)];
        let (store_id, found) = (reader.u64()?, reader.u32()?);
        let right = crc32c::crc32c(&bytes[..36]);
        Some(Fields { version, engine: quoted(name, 40), store_id, found, right, magic_ok })
    }

    fn is_sound(&self, len: u64) -> bool {
        self.magic_ok
            && self.found == self.right
            && len == IDENTITY_LEN as u64
            && self.version == FORMAT_VERSION
    }
}

/// Shows an identity file.
pub(super) fn show(text: &mut Text<'_>, bytes: &mut Bytes, view: View) -> Result<()> {
    let len = bytes.len();
    let head = bytes.get(0, IDENTITY_LEN).to_vec();
    let Some(fields) = Fields::read(&head) else {
        text.line(format_args!("DAMAGED: cut: {len} bytes, not {IDENTITY_LEN}"))?;
        return text.data(bytes, 0, len, "cut");
    };
    let state = if fields.is_sound(len) { "sound" } else { "DAMAGED" };
    let Fields { version, engine, store_id, .. } = &fields;
    match view {
        View::Summary | View::Entries => {
            text.line(format_args!("  {state}: engine {engine}, format {version}, store {store_id:016x}"))
        }
        View::Props => {
            text.line(format_args!("sound={}\nengine={engine}\nformat={version}", state == "sound"))?;
            text.line(format_args!("store_id={store_id:016x}\nbytes={len}\nchecksum={:08x}", fields.found))
        }
        View::Layout => {
            let mut bar = Bar::new(len);
            bar.add(0, len, Sort::Fixed);
            bar.draw(text)?;
            boxes(text, &FIELDS.map(|(from, to, what)| (from, to, what.to_string())))
        }
        View::Explain => explain(text, bytes, &head, &fields),
    }
}

fn explain(text: &mut Text<'_>, bytes: &mut Bytes, head: &[u8], fields: &Fields) -> Result<()> {
    let Fields { version, engine, store_id, found, right, magic_ok } = fields;
    let magic = if *magic_ok { "an identity file" } else { "BAD: not an identity file" };
    text.columns()?;
    text.row(0, &head[..8], &format!("magic = {}", quoted(&head[..8], 20)), magic)?;
    let known = if *version == FORMAT_VERSION { "the format's version" } else { "BAD: not known here" };
    text.row(8, &head[8..12], &format!("version = {version}"), known)?;
    text.row(12, &head[12..28], &format!("engine = {engine}"), "whose directory, zeros behind it")?;
    text.row(28, &head[28..36], &format!("store_id = {store_id:016x}"), "salts every checksum")?;
    text.row(
        36,
        &head[36..40],
        &format!("checksum = {found:08x}"),
        &verdict(*right, *found, "of all before it"),
    )?;
    let (end, len) = (IDENTITY_LEN as u64, bytes.len());
    match len > end {
        true => text.data(bytes, end, len - end, "BAD: bytes behind the end"),
        false => Ok(()),
    }
}
