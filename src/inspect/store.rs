//! A store's directory as text: whose it is, and what each of its files is to it.

use crate::engine::bitcask::segment::{Segment, SegmentState};
use crate::engine::filename::{self, FileName};
use crate::engine::identity::FORMAT_VERSION;
use crate::error::Result;
use crate::inspect::bytes::Bytes;
use crate::inspect::look::{Look, state_name};
use crate::inspect::text::{Text, count, percent};
use crate::record::frame::HEADER_LEN;
use crate::record::reader::End;
use std::sync::Arc;

/// A few lines about the store, and one about each file.
pub(super) fn summary(text: &mut Text<'_>, look: &Look) -> Result<()> {
    let path = look.dir.path().display();
    match &look.identity {
        Ok(Some(identity)) => text.line(format_args!(
            "{path}: a {} store, format {FORMAT_VERSION}, id {:016x}",
            identity.engine, identity.store_id
        ))?,
        Ok(None) => text.line(format_args!("{path}: no identity file (ENGINE)"))?,
        Err(reason) => text.line(format_args!("{path}: identity unknown: {reason}"))?,
    }
    match &look.store {
        Ok(store) => {
            let keys = count(store.keydir.footprint().keys, "key");
            text.line(format_args!("{keys}; newest sequence number {}", store.last_seqno))?;
        }
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
        Some(FileName::Wal(_) | FileName::Table(_)) => "a file of the lsm engine".into(),
        Some(FileName::Manifest) => manifest_role(look),
        Some(FileName::Segment(number)) => segment_role(look, number),
        Some(FileName::Hint(number)) => hint_role(look, number),
    }
}

fn manifest_role(look: &Look) -> String {
    let Ok(store) = &look.store else { return "manifest: which files are live".into() };
    let how = match store.manifest.how {
        End::Clean => "",
        End::Reserved => "; zeros behind them",
        End::Torn => "; a torn edit behind them",
    };
    let live = store.manifest.files.live.len() as u64;
    format!("manifest: {}, edits up to {}{how}", count(live, "live segment"), store.manifest.end)
}

fn segment_role(look: &Look, number: u64) -> String {
    let Ok(store) = &look.store else { return "segment".into() };
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
    let store = look.store.as_ref().ok()?;
    store.sealed.iter().chain([&store.active.segment]).find(|segment| segment.number == number)
}

fn hint_role(look: &Look, number: u64) -> String {
    match (&look.store, segment(look, number)) {
        (Err(_), _) => format!("hint of {}", filename::segment(number)),
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
        Ok(store) => {
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
        }
    }
    for (name, len) in lens.into_iter().filter(|(name, _)| filename::parse(name).is_some()) {
        // Opened, since a file that can be listed is not always one that can be read.
        let readable = Bytes::open(&look.dir, name).is_ok();
        text.line(format_args!("{name}.bytes={len}\n{name}.readable={readable}"))?;
    }
    Ok(())
}
