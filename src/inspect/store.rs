//! A store's directory as text: whose it is, and what each of its files is to it.

use crate::engine::bitcask::recover::Recovered;
use crate::engine::bitcask::segment::{Segment, SegmentState};
use crate::engine::filename::{self, FileName};
use crate::engine::identity::FORMAT_VERSION;
use crate::engine::lsm::key::user_key;
use crate::engine::lsm::options::LEVELS;
use crate::engine::lsm::version::edit::{TableMeta, WalState};
use crate::error::Result;
use crate::inspect::bytes::Bytes;
use crate::inspect::look::{Look, Store, state_name};
use crate::inspect::text::{Text, count, percent, quoted, with_article};
use crate::inspect::tree::{LogEnd, Tree};
use crate::record::frame::HEADER_LEN;
use crate::record::reader::End;
use std::sync::Arc;

/// A few lines about the store, and one about each file.
pub(super) fn summary(text: &mut Text<'_>, look: &Look) -> Result<()> {
    let path = look.dir.path().display();
    match &look.identity {
        Ok(Some(identity)) => text.line(format_args!(
            "{path}: {} store, format {FORMAT_VERSION}, id {:016x}",
            with_article(&identity.engine),
            identity.store_id
        ))?,
        Ok(None) => text.line(format_args!("{path}: no identity file (ENGINE)"))?,
        Err(reason) => text.line(format_args!("{path}: identity unknown: {reason}"))?,
    }
    match &look.store {
        Ok(Store::Bitcask(store)) => {
            let keys = count(store.keydir.footprint().keys, "key");
            text.line(format_args!("{keys}; newest sequence number {}", store.last_seqno))?;
        }
        Ok(Store::Lsm(tree)) => tree_summary(text, tree)?,
        Err(reason) => text.line(format_args!("liveness unknown: {reason}"))?,
    }
    let ours = look.entries.iter().filter(|entry| filename::parse(&entry.name).is_some());
    let bytes: u64 = ours.clone().map(|entry| entry.len).sum();
    text.line(format_args!("{}, {}", count(ours.count() as u64, "file"), count(bytes, "byte")))?;
    text.line("")?;
    text.line("  file                  bytes  what it is")?;
    for entry in &look.entries {
        let what = if entry.is_dir { "a directory: not ours".into() } else { role(look, &entry.name) };
        text.line(format_args!("  {:16} {:>10}  {what}", entry.name, entry.len))?;
    }
    Ok(())
}

/// What a file is to the store.
fn role(look: &Look, name: &str) -> String {
    match filename::parse(name) {
        None => "not ours".into(),
        Some(FileName::Engine) => "identity: engine, format, store id".into(),
        Some(FileName::Temporary) => "left over: it was being written when its writer died".into(),
        Some(FileName::Manifest) => manifest_role(look),
        Some(FileName::Segment(number)) => segment_role(look, number),
        Some(FileName::Hint(number)) => hint_role(look, number),
        Some(FileName::Wal(number)) => wal_role(look, number),
        Some(FileName::Table(number)) => table_role(look, number),
    }
}

fn manifest_role(look: &Look) -> String {
    let (how, what, end) = match &look.store {
        Err(_) => return "manifest: which files are live".into(),
        Ok(Store::Bitcask(store)) => {
            let live = count(store.manifest.files.live.len() as u64, "live segment");
            (store.manifest.how, live, store.manifest.end)
        }
        Ok(Store::Lsm(tree)) => {
            let tables = count(tree.listing.tables.len() as u64, "live table");
            let logs = count(tree.listing.wals.len() as u64, "live log");
            (tree.manifest.how, format!("{tables}, {logs}"), tree.manifest.end)
        }
    };
    let how = match how {
        End::Clean => "",
        End::Reserved => "; zeros behind them",
        End::Torn => "; a torn edit behind them",
    };
    format!("manifest: {what}, edits up to {end}{how}")
}

fn segment_role(look: &Look, number: u64) -> String {
    let store = match &look.store {
        Ok(Store::Bitcask(store)) => store,
        Ok(Store::Lsm(_)) => return "a file of the bitcask engine".into(),
        Err(_) => return "segment".into(),
    };
    let Some(meta) = look.meta(number) else { return "left over: no edit names it".into() };
    let live = live_share(segment(look, number));
    match &meta.state {
        SegmentState::Sealed(sealed) => {
            format!("sealed segment: seqnos {} to {}{live}", meta.first_seqno, sealed.last_seqno)
        }
        SegmentState::Active { .. } => {
            let how = match (store.active.how, store.active.closed) {
                (End::Clean, true) => ", closed cleanly".to_string(),
                (End::Clean, false) => String::new(),
                (End::Reserved, _) => format!(", zeros from {} on", store.active.end),
                (End::Torn, _) => format!(", torn at {}", store.active.end),
            };
            format!("active segment: from seqno {} on{live}{how}", meta.first_seqno)
        }
    }
}

fn live_share(segment: Option<&Arc<Segment>>) -> String {
    let Some(segment) = segment else { return String::new() };
    let records = segment.len().saturating_sub(HEADER_LEN);
    match records {
        0 => ", empty".into(),
        _ => format!(", {} live", percent(segment.live_bytes(), records)),
    }
}

fn segment(look: &Look, number: u64) -> Option<&Arc<Segment>> {
    let store = look.bitcask()?;
    store.sealed.iter().chain([&store.active.segment]).find(|segment| segment.number == number)
}

fn hint_role(look: &Look, number: u64) -> String {
    match (&look.store, segment(look, number)) {
        (Err(_), _) => format!("hint of {}", filename::segment(number)),
        (Ok(Store::Lsm(_)), _) => "a file of the bitcask engine".into(),
        (Ok(_), None) => "left over: the hint of no live segment".into(),
        (Ok(_), Some(segment)) if segment.is_hint_refused() => {
            "a hint that can not be used: the segment is read instead".into()
        }
        (Ok(_), Some(_)) => format!("hint of {}: sound", filename::segment(number)),
    }
}

/// The store's facts, as names and values.
pub(super) fn props(text: &mut Text<'_>, look: &Look) -> Result<()> {
    text.line(format_args!("path={}", look.dir.path().display()))?;
    match &look.identity {
        Ok(Some(identity)) => {
            text.line(format_args!("engine={}\nformat={FORMAT_VERSION}", identity.engine))?;
            text.line(format_args!("store_id={:016x}", identity.store_id))?;
        }
        Ok(None) => text.line("engine=unknown: no identity file (ENGINE)")?,
        Err(reason) => text.line(format_args!("engine=unknown: {reason}"))?,
    }
    let lens = look.lens();
    match &look.store {
        Err(reason) => text.line(format_args!("liveness=unknown: {reason}"))?,
        Ok(Store::Bitcask(store)) => bitcask_props(text, store)?,
        Ok(Store::Lsm(tree)) => tree_props(text, tree)?,
    }
    for (name, len) in lens.into_iter().filter(|(name, _)| filename::parse(name).is_some()) {
        // Opened, since a file that can be listed is not always one that can be read.
        let readable = Bytes::open(&look.dir, name).is_ok();
        text.line(format_args!("{name}.bytes={len}\n{name}.readable={readable}"))?;
    }
    Ok(())
}

fn bitcask_props(text: &mut Text<'_>, store: &Recovered) -> Result<()> {
    let keys = store.keydir.footprint().keys;
    text.line(format_args!("keys={keys}\nlast_seqno={}", store.last_seqno))?;
    text.line(format_args!("next_number={}", store.manifest.files.next_number))?;
    text.line(format_args!("live_segments={}", store.manifest.files.live.len()))?;
    text.line(format_args!("leftovers={}", store.leftovers.len()))?;
    for segment in store.sealed.iter().chain([&store.active.segment]) {
        let name = filename::segment(segment.number);
        let state = state_name(&segment.meta());
        text.line(format_args!("{name}.state={state}\n{name}.first_seqno={}", segment.first_seqno))?;
        text.line(format_args!("{name}.live_bytes={}", segment.live_bytes()))?;
        text.line(format_args!("{name}.tombstone_bytes={}", segment.tombstone_bytes()))?;
    }
    Ok(())
}

/// A tree's keys can only be counted by reading all of it: its entries are.
fn tree_summary(text: &mut Text<'_>, tree: &Tree) -> Result<()> {
    let tables = tree.listing.tables.values();
    let (entries, tombstones) =
        tables.fold((0, 0), |(all, tombs), table| (all + table.entries, tombs + table.tombstones));
    let (keys, entries) = (count(tree.writes.len() as u64, "key"), count(entries, "entry"));
    text.line(format_args!(
        "{keys} in logs; in tables {entries}, of which {}; newest sequence number {}",
        count(tombstones, "tombstone"),
        tree.last_seqno
    ))?;
    let order = tree.order.name();
    for level in 0..LEVELS as u8 {
        let tables: Vec<_> = tree.listing.tables.values().filter(|table| table.level == level).collect();
        if !tables.is_empty() {
            let bytes: u64 = tables.iter().map(|table| table.len).sum();
            let tables = count(tables.len() as u64, "table");
            text.line(format_args!("level {level}: {tables}, {}", count(bytes, "byte")))?;
        }
    }
    text.line(format_args!("keys in the order '{order}'"))
}

fn tree_props(text: &mut Text<'_>, tree: &Tree) -> Result<()> {
    let Tree { listing, manifest, .. } = tree;
    text.line(format_args!("comparator={}\nlast_seqno={}", tree.order.name(), tree.last_seqno))?;
    text.line(format_args!("next_number={}", manifest.files.next_number))?;
    text.line(format_args!("live_logs={}\nkeys_in_logs={}", listing.wals.len(), tree.writes.len()))?;
    text.line(format_args!("live_tables={}", listing.tables.len()))?;
    for (number, meta) in &listing.wals {
        let name = filename::wal(*number);
        let state = if matches!(meta.state, WalState::Active { .. }) { "active" } else { "sealed" };
        text.line(format_args!("{name}.state={state}\n{name}.first_seqno={}", meta.first_seqno))?;
    }
    for (number, meta) in &listing.tables {
        let name = filename::table(*number);
        text.line(format_args!("{name}.level={}\n{name}.entries={}", meta.level, meta.entries))?;
        text.line(format_args!(
            "{name}.tombstones={}\n{name}.raw_bytes={}",
            meta.tombstones, meta.raw_bytes
        ))?;
        let TableMeta { first_seqno, last_seqno, contents, .. } = meta;
        text.line(format_args!("{name}.first_seqno={first_seqno}\n{name}.last_seqno={last_seqno}"))?;
        text.line(format_args!("{name}.contents={contents:016x}"))?;
    }
    Ok(())
}

fn wal_role(look: &Look, number: u64) -> String {
    let tree = match &look.store {
        Ok(Store::Lsm(tree)) => tree,
        Ok(Store::Bitcask(_)) => return "a file of the lsm engine".into(),
        Err(_) => return "write-ahead log".into(),
    };
    let Some(meta) = tree.listing.wals.get(&number) else { return "left over: no edit names it".into() };
    match meta.state {
        WalState::Sealed { last_seqno, .. } => {
            format!("sealed log: seqnos {} to {last_seqno}", meta.first_seqno)
        }
        WalState::Active { .. } => {
            let LogEnd { how, is_closed, at } = tree.end;
            let how = match (how, is_closed) {
                (End::Clean, true) => ", closed cleanly".to_string(),
                (End::Clean, false) => String::new(),
                (End::Reserved, _) => format!(", zeros from {at} on"),
                (End::Torn, _) => format!(", torn at {at}"),
            };
            format!("newest log: from seqno {} on{how}", meta.first_seqno)
        }
    }
}

fn table_role(look: &Look, number: u64) -> String {
    let tree = match &look.store {
        Ok(Store::Lsm(tree)) => tree,
        Ok(Store::Bitcask(_)) => return "a file of the lsm engine".into(),
        Err(_) => return "sorted table".into(),
    };
    let Some(meta) = tree.listing.tables.get(&number) else { return "left over: no edit names it".into() };
    let TableMeta { level, entries, first_seqno, last_seqno, .. } = meta;
    let range =
        format!("{} to {}", quoted(user_key(&meta.smallest), 12), quoted(user_key(&meta.largest), 12));
    format!("level {level}: {range}, {}, seqnos {first_seqno} to {last_seqno}", count(*entries, "entry"))
}
