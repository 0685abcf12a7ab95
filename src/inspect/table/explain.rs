//! A table, byte by byte.

use crate::codec::{Reader, varint_len};
use crate::engine::lsm::key::{self, Kind as What};
use crate::engine::lsm::options::Compression;
use crate::engine::lsm::table::block::{Block, Entry};
use crate::engine::lsm::table::format::{FOOTER_LEN, MAGIC, TRAILER_LEN};
use crate::error::Result;
use crate::inspect::edits::{Rows, internal_key};
use crate::inspect::header::verdict;
use crate::inspect::table::TableFile;
use crate::inspect::table::part::{Kind, Opened, Region, open_block};
use crate::inspect::text::{Text, count, percent, quoted};
use crate::inspect::tree::States;

/// Every byte with its meaning.
pub(crate) fn explain(text: &mut Text<'_>, file: &mut TableFile, states: &States) -> Result<()> {
    text.columns()?;
    let mut blocks = 0;
    for region in file.regions.clone() {
        text.line("")?;
        blocks += u64::from(region.kind == Kind::Data);
        let number = if region.kind == Kind::Data { format!(" {blocks}") } else { String::new() };
        let title = format!("{}{number}, {}", region.kind.word(), count(region.end - region.at, "byte"));
        match region.kind {
            Kind::Footer => footer(text, file, region, &title)?,
            Kind::Lost => damaged(text, file, region, &title, "no part of a table, or a damaged one")?,
            _ => block(text, file, region, &title, states)?,
        }
    }
    text.line("")?;
    text.line(format_args!("{:>8}  the end", file.len()))
}

fn damaged(text: &mut Text<'_>, file: &mut TableFile, at: Region, title: &str, why: &str) -> Result<()> {
    text.line(format_args!("          {title}: DAMAGED: {why}"))?;
    text.data(&mut file.bytes, at.at, at.end - at.at, "not to be trusted")
}

/// A part with a trailer.
fn block(
    text: &mut Text<'_>,
    file: &mut TableFile,
    region: Region,
    title: &str,
    states: &States,
) -> Result<()> {
    let bytes = file.bytes.get(region.at, (region.end - region.at) as usize).to_vec();
    let opened = match open_block(&bytes, file.salt, region.at) {
        Ok(opened) => opened,
        Err(reason) => return damaged(text, file, region, title, &reason),
    };
    let (body, trailer) = bytes.split_at(bytes.len().saturating_sub(TRAILER_LEN));
    let base = match opened.compression {
        Compression::None => region.at,
        how => {
            let unfolded = count(opened.plain.len() as u64, "byte");
            text.line(format_args!("          {title}: {}, unfolded {unfolded}", how.name()))?;
            text.slice(region.at, body, "compressed", "behind the unfolded length")?;
            text.line("          unfolded; from here on offsets are those in the block")?;
            0
        }
    };
    if opened.compression == Compression::None {
        text.line(format_args!("          {title}: {}", what(region.kind, &opened)))?;
    }
    let wrong = match region.kind {
        Kind::Filter => filter(text, file, region, body)?,
        Kind::Properties => properties(text, region.at, body)?,
        _ => entries(text, region, base, &opened, states)?,
    };
    if let Some(reason) = wrong {
        text.line(format_args!("          DAMAGED: {reason}"))?;
    }
    let at = region.at + body.len() as u64;
    if base != region.at {
        text.line("          and in the file again")?;
    }
    let (how, sum) = trailer.split_at(1);
    text.row(at, how, &format!("compression = {}", how[0]), opened.compression.name())?;
    let right = file.salt.checksum(region.at, &bytes[..bytes.len() - 4]);
    let field = format!("checksum = {:08x}", opened.checksum);
    text.row(at + 1, sum, &field, &verdict(right, opened.checksum, "of place and block"))
}

fn what(kind: Kind, opened: &Opened) -> String {
    let mut entries = 0;
    let is_whole = opened.each(|_, _, _| entries += 1).is_ok();
    match kind {
        Kind::Data => count(entries, "entry"),
        Kind::Index => format!("of {}", count(entries, "data block")),
        Kind::Top => format!("of {}", count(entries, "partition")),
        Kind::Filter => "of the user keys before it".into(),
        _ if is_whole => count(entries, "entry"),
        _ => "what the table says of itself".into(),
    }
}

/// Entries and restart points; says what is wrong with them.
fn entries(
    text: &mut Text<'_>,
    region: Region,
    base: u64,
    opened: &Opened,
    states: &States,
) -> Result<Option<String>> {
    let mut result = Ok(());
    let walked = opened.each(|at, internal, entry| {
        if result.is_ok() {
            result = self::entry(text, region, base, opened, (at, internal, entry), states);
        }
    });
    result?;
    if let Err(reason) = walked {
        return Ok(Some(reason));
    }
    let Some(block) = Block::new(&opened.plain) else { return Ok(None) };
    text.line("")?;
    let (restarts, end) = (&opened.plain[block.end()..], base + block.end() as u64);
    let (restarts, number) = restarts.split_at(restarts.len() - 4);
    let field = format!("restarts, {}", count(block.restarts() as u64, "offset"));
    text.slice(end, restarts, &field, "of entries whose key is whole")?;
    let field = format!("restart_count = {}", block.restarts());
    text.row(end + restarts.len() as u64, number, &field, "how many these are")?;
    Ok(None)
}

fn entry(
    text: &mut Text<'_>,
    region: Region,
    base: u64,
    opened: &Opened,
    (at, internal, entry): (usize, &[u8], &Entry),
    states: &States,
) -> Result<()> {
    let value = opened.value(entry);
    let (user_key, trailer) = key::split(internal);
    let title = match region.kind {
        Kind::Data => {
            let (kind, seqno) = (What::of(trailer), key::seqno(trailer));
            let key = quoted(user_key, 24);
            let says = match kind {
                Some(What::Remove) => format!("remove {key}"),
                _ => format!("set {key} = {}", quoted(value, 24)),
            };
            format!("{says}, seqno {seqno}: {}", states.of(region.at, at))
        }
        _ => format!("not above {}", internal_key(internal)),
    };
    text.line(format_args!("\n          {title}"))?;
    let plain = &opened.plain;
    let mut from = at;
    let unshared = entry.value - entry.suffix;
    for (field, n, meaning) in [
        ("shared", entry.shared, "bytes of the key before it"),
        ("unshared", unshared, "bytes of the key that follow"),
        ("value_len", value.len(), "bytes of the value"),
    ] {
        let len = varint_len(n as u64);
        text.row(base + from as u64, &plain[from..from + len], &format!("{field} = {n}"), meaning)?;
        from += len;
    }
    let suffix = &plain[entry.suffix..entry.value];
    text.slice(base + entry.suffix as u64, suffix, "key_suffix", &internal_key(internal))?;
    let value_at = base + entry.value as u64;
    match region.kind {
        Kind::Data if value.is_empty() => Ok(()),
        Kind::Data => text.slice(value_at, value, &format!("value, {} bytes", value.len()), ""),
        kind => handles(text, kind, value_at, value),
    }
}

/// The handles in the value of an index.
fn handles(text: &mut Text<'_>, kind: Kind, at: u64, value: &[u8]) -> Result<()> {
    let fields: &[(&str, &str)] = match kind {
        Kind::Index => &[("offset", "of the data block"), ("len", "its bytes, trailer included")],
        _ => &[
            ("index_offset", "of the partition's index"),
            ("index_len", "trailer included"),
            ("filter_offset", "of the partition's filter"),
            ("filter_len", "trailer included; 0: none"),
        ],
    };
    let (mut reader, mut from) = (Reader::new(value), 0);
    for (field, meaning) in fields {
        let Some(n) = reader.varint() else { break };
        let end = value.len() - reader.rest().len();
        text.row(at + from as u64, &value[from..end], &format!("{field} = {n}"), meaning)?;
        from = end;
    }
    match reader.rest() {
        [] => Ok(()),
        rest => text.slice(at + from as u64, rest, "BAD: no handle", ""),
    }
}

fn filter(text: &mut Text<'_>, file: &mut TableFile, region: Region, body: &[u8]) -> Result<Option<String>> {
    let found = match file.filter(region) {
        Ok(found) => found,
        Err(reason) => {
            text.slice(region.at, body, "not to be trusted", "")?;
            return Ok(Some(reason));
        }
    };
    let (lines, probes) = body.split_at(body.len() - 1);
    let fill = percent((found.fill() * 1000.0) as u64, 1000);
    let field = format!("lines, {} of 64 bytes", lines.len() / 64);
    text.slice(region.at, lines, &field, &format!("{fill} of the bits are set"))?;
    let at = region.at + lines.len() as u64;
    text.row(at, probes, &format!("probes = {}", found.probes()), "bits a key, all in one line")?;
    Ok(None)
}

fn properties(text: &mut Text<'_>, at: u64, body: &[u8]) -> Result<Option<String>> {
    let mut rows = Rows { text, at, rest: Reader::new(body) };
    rows.u64("entries", "tombstones included")?;
    rows.u64("tombstones", "of these")?;
    rows.u64("older", "behind a newer entry of their key")?;
    rows.u64("raw_bytes", "of keys and values, as set")?;
    rows.u64("block_bytes", "of data blocks, unfolded")?;
    rows.u64("first_seqno", "no entry is older")?;
    rows.u64("last_seqno", "no entry is newer")?;
    rows.bytes("smallest", "the first internal key", internal_key)?;
    rows.bytes("largest", "the last internal key", internal_key)?;
    rows.bytes("comparator", "the order of the keys", |name| quoted(name, 40))?;
    rows.u8("level", "for which it was written")?;
    rows.u32("filter_bits", |n| n.to_string(), "a key; 0: no filters")?;
    rows.u64("partitions", "of index and filter")?;
    rows.u64("plain_blocks", "data blocks, not compressed")?;
    rows.u64("lz4_blocks", "data blocks")?;
    rows.u64("zstd_blocks", "data blocks")?;
    Ok((!rows.rest.rest().is_empty()).then(|| "more bytes than the properties have".to_string()))
}

fn footer(text: &mut Text<'_>, file: &mut TableFile, region: Region, title: &str) -> Result<()> {
    if region.end - region.at != FOOTER_LEN as u64 {
        return damaged(text, file, region, title, "cut");
    }
    let says = match &file.footer {
        Ok(_) => "where everything begins".to_string(),
        Err(reason) => format!("DAMAGED: {reason}"),
    };
    text.line(format_args!("          {title}: {says}"))?;
    let bytes = file.bytes.get(region.at, FOOTER_LEN).to_vec();
    let mut rows = Rows { text, at: region.at, rest: Reader::new(&bytes) };
    rows.u64("top_offset", "of the top index")?;
    rows.u64("top_len", "trailer included")?;
    rows.u64("properties_offset", "of the properties")?;
    rows.u64("properties_len", "trailer included")?;
    rows.hex("contents", "XXH3 of all checksums")?;
    rows.u32("format", |n| n.to_string(), "the format's version")?;
    let right = file.salt.checksum(region.at, &bytes[..FOOTER_LEN - 12]);
    let found = bytes[FOOTER_LEN - 12..].first_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
    let meaning = verdict(right, found, "of place and footer");
    rows.u32("checksum", |n| format!("{n:08x}"), &meaning)?;
    let magic = &bytes[FOOTER_LEN - 8..];
    let meaning = if magic == MAGIC { "a table, format 1" } else { "BAD: no table" };
    text.row(region.end - 8, magic, &format!("magic = {}", quoted(magic, 20)), meaning)
}
