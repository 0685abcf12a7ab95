//! A table as text: in numbers, as a drawing, entry by entry.

use crate::engine::lsm::key::{self, Kind as What};
use crate::engine::lsm::table::format::{Footer, Properties};
use crate::error::Result;
use crate::inspect::edits::internal_key;
use crate::inspect::layout::{Bar, boxes};
use crate::inspect::state::State;
use crate::inspect::table::TableFile;
use crate::inspect::table::part::{Kind, Opened, Region};
use crate::inspect::tally::{Sort, state_line};
use crate::inspect::text::{Text, count, quoted};
use crate::inspect::tree::States;
use std::collections::BTreeMap;

/// Characters of a key that are shown in a line.
const KEY: usize = 24;

/// Characters of a value that are shown in a line.
const VALUE: usize = 24;

/// A table in numbers.
#[derive(Debug, Default)]
struct Tally {
    /// How many parts of each kind there are, and their bytes.
    parts: BTreeMap<Kind, (u64, u64)>,
    entries: u64,
    tombstones: u64,
    seqnos: Option<(u64, u64)>,
    keys: Option<(Vec<u8>, Vec<u8>)>,
    /// Entries, and bytes of their keys and values, by state.
    states: BTreeMap<State, (u64, u64)>,
    raw_bytes: u64,
    damaged: Vec<(Region, String)>,
}

impl Tally {
    /// Reads all of the table. `each` is told of every stretch of the file and what it is.
    fn take(file: &mut TableFile, states: &States, mut each: impl FnMut(u64, u64, Sort)) -> Tally {
        let mut tally = Tally::default();
        for region in file.regions.clone() {
            let (parts, bytes) = tally.parts.entry(region.kind).or_default();
            (*parts, *bytes) = (*parts + 1, *bytes + region.end - region.at);
            if let Err(reason) = tally.region(file, region, states, &mut each) {
                each(region.at, region.end, Sort::Damaged);
                tally.damaged.push((region, reason));
            }
        }
        tally
    }

    fn region(
        &mut self,
        file: &mut TableFile,
        region: Region,
        states: &States,
        each: &mut impl FnMut(u64, u64, Sort),
    ) -> std::result::Result<(), String> {
        let sort = match region.kind {
            Kind::Data => return self.data(&file.open(region)?, region, states, each),
            Kind::Filter => file.filter(region).map(|_| Sort::Filter)?,
            Kind::Index | Kind::Top => {
                file.open(region)?.each(|_, _, _| {})?;
                Sort::Index
            }
            Kind::Properties => file.properties.clone().map(|_| Sort::Footer)?,
            Kind::Footer => file.footer.clone().map(|_| Sort::Footer)?,
            Kind::Lost => return Err("no part of a table, or a damaged one".into()),
        };
        each(region.at, region.end, sort);
        Ok(())
    }

    fn data(
        &mut self,
        opened: &Opened,
        region: Region,
        states: &States,
        each: &mut impl FnMut(u64, u64, Sort),
    ) -> std::result::Result<(), String> {
        // Where a block is compressed its entries have no place in the file: each has its share.
        let (len, plain) = (region.end - region.at, opened.plain.len().max(1) as u64);
        let place = |at: usize| region.at + at as u64 * len / plain;
        let mut end = (region.at, State::Other);
        opened.each(|at, internal, entry| {
            let (user_key, trailer) = key::split(internal);
            let state = states.of(region.at, at);
            let raw = (user_key.len() + opened.value(entry).len()) as u64;
            let (entries, bytes) = self.states.entry(state).or_default();
            (*entries, *bytes) = (*entries + 1, *bytes + raw);
            self.entries += 1;
            self.raw_bytes += raw;
            self.tombstones += u64::from(What::of(trailer) == Some(What::Remove));
            let seqno = key::seqno(trailer);
            let (first, last) = self.seqnos.unwrap_or((seqno, seqno));
            self.seqnos = Some((first.min(seqno), last.max(seqno)));
            match &mut self.keys {
                Some((_, largest)) => internal.clone_into(largest),
                None => self.keys = Some((internal.to_vec(), internal.to_vec())),
            }
            each(end.0, place(entry.next), Sort::Record(state));
            end = (place(entry.next), state);
        })?;
        // Restart points and trailer go with the last entry.
        each(end.0, region.end, Sort::Record(end.1));
        Ok(())
    }

    fn parts(&self) -> String {
        let named = self.parts.iter().map(|(kind, (n, _))| match kind {
            Kind::Properties | Kind::Footer => kind.word().to_string(),
            Kind::Index if *n != 1 => format!("{n} indexes"),
            Kind::Lost => count(*n, "lost part"),
            _ => count(*n, kind.word()),
        });
        named.collect::<Vec<_>>().join(", ")
    }
}

pub(crate) fn summary(text: &mut Text<'_>, file: &mut TableFile, states: &States) -> Result<()> {
    let tally = Tally::take(file, states, |_, _, _| {});
    text.line(format_args!("  parts     {}", tally.parts()))?;
    let (sets, removes) = (tally.entries - tally.tombstones, tally.tombstones);
    text.line(format_args!("  entries   {}: {sets} set, {removes} remove", tally.entries))?;
    if let Some((smallest, largest)) = &tally.keys {
        text.line(format_args!("  keys      {} to {}", internal_key(smallest), internal_key(largest)))?;
    }
    if let Some((first, last)) = tally.seqnos {
        text.line(format_args!("  seqnos    {first} to {last}"))?;
    }
    for (state, (entries, bytes)) in &tally.states {
        let entries = count(*entries, "entry");
        state_line(text, *state, &entries, *bytes, tally.raw_bytes, " of keys and values")?;
    }
    if let Ok(properties) = &file.properties {
        let Properties { level, comparator, filter_bits, .. } = properties;
        let Properties { plain_blocks, lz4_blocks, zstd_blocks, .. } = properties;
        text.line(format_args!(
            "  written   for level {level}, order '{comparator}', {filter_bits} filter bits a key"
        ))?;
        text.line(format_args!("  blocks    {plain_blocks} plain, {lz4_blocks} lz4, {zstd_blocks} zstd"))?;
    }
    match &file.footer {
        Ok(footer) => text.line(format_args!("  contents  {:016x}", footer.contents))?,
        Err(reason) => text.line(format_args!("  footer    DAMAGED: {reason}"))?,
    }
    for (region, reason) in &tally.damaged {
        let len = region.end - region.at;
        let word = region.kind.word();
        text.line(format_args!("  at {:<6} DAMAGED: {word}, {}: {reason}", region.at, count(len, "byte")))?;
    }
    let ends = if tally.damaged.is_empty() { "cleanly" } else { "with damage" };
    text.line(format_args!("  ends      {ends}"))
}

pub(crate) fn props(text: &mut Text<'_>, file: &mut TableFile, states: &States) -> Result<()> {
    let tally = Tally::take(file, states, |_, _, _| {});
    let sound = tally.damaged.is_empty() && file.footer.is_ok() && file.properties.is_ok();
    text.line(format_args!("sound={sound}\nbytes={}", file.len()))?;
    for (kind, (n, bytes)) in &tally.parts {
        let name = kind.word().replace(' ', "_");
        text.line(format_args!("parts_{name}={n}\nbytes_{name}={bytes}"))?;
    }
    let Tally { entries, tombstones, raw_bytes, .. } = &tally;
    let (first, last) = tally.seqnos.unwrap_or((0, 0));
    text.line(format_args!("entries={entries}\ntombstones={tombstones}\nraw_bytes={raw_bytes}"))?;
    text.line(format_args!("first_seqno={first}\nlast_seqno={last}"))?;
    let [live, dead, tombstone, unknown] = [State::Live, State::Dead, State::Tombstone, State::Unknown]
        .map(|state| tally.states.get(&state).map_or(0, |(_, bytes)| *bytes));
    text.line(format_args!("live_bytes={live}\ndead_bytes={dead}\ntombstone_bytes={tombstone}"))?;
    let damaged: u64 = tally.damaged.iter().map(|(region, _)| region.end - region.at).sum();
    text.line(format_args!("unknown_bytes={unknown}\ndamaged_bytes={damaged}"))?;
    if let Ok(Footer { contents, .. }) = &file.footer {
        text.line(format_args!("contents={contents:016x}"))?;
    }
    if let Ok(properties) = &file.properties {
        let Properties { comparator, level, filter_bits, partitions, block_bytes, .. } = properties;
        let Properties { plain_blocks, lz4_blocks, zstd_blocks, .. } = properties;
        text.line(format_args!("comparator={comparator}\nlevel={level}\nfilter_bits={filter_bits}"))?;
        text.line(format_args!("partitions={partitions}\nblock_bytes={block_bytes}"))?;
        text.line(format_args!("plain_blocks={plain_blocks}\nlz4_blocks={lz4_blocks}"))?;
        text.line(format_args!("zstd_blocks={zstd_blocks}"))?;
    }
    Ok(())
}

pub(crate) fn layout(text: &mut Text<'_>, file: &mut TableFile, states: &States) -> Result<()> {
    let mut bar = Bar::new(file.len());
    let tally = Tally::take(file, states, |from, to, sort| bar.add(from, to, sort));
    bar.draw(text)?;
    let mut regions: Vec<(u64, u64, String)> = Vec::new();
    let mut row: Option<(u64, u64, u64)> = None;
    for region in &file.regions {
        let damage = tally.damaged.iter().find(|(damaged, _)| damaged == region);
        if region.kind == Kind::Data && damage.is_none() {
            let (from, _, blocks) = row.unwrap_or((region.at, 0, 0));
            row = Some((from, region.end, blocks + 1));
            continue;
        }
        regions.extend(row.take().map(blocks));
        let word = region.kind.word();
        let what = damage.map_or(word.to_string(), |(_, reason)| format!("DAMAGED: {word}: {reason}"));
        regions.push((region.at, region.end, what));
    }
    regions.extend(row.map(blocks));
    boxes(text, &regions)
}

fn blocks((from, to, blocks): (u64, u64, u64)) -> (u64, u64, String) {
    (from, to, count(blocks, "data block"))
}

pub(crate) fn entries(text: &mut Text<'_>, file: &mut TableFile, states: &States) -> Result<()> {
    text.line("   block      at       len  kind         seqno  state  what it says")?;
    for region in file.regions.clone() {
        let mut result = Ok(());
        let damage = match (region.kind, file.open(region)) {
            (Kind::Data, Ok(opened)) => opened
                .each(|at, internal, entry| {
                    if result.is_ok() {
                        let (user_key, trailer) = key::split(internal);
                        let state = states.of(region.at, at);
                        let shown = quoted(user_key, KEY);
                        let (kind, says) = match What::of(trailer) {
                            Some(What::Remove) => ("remove", shown),
                            _ => ("set", format!("{shown} = {}", quoted(opened.value(entry), VALUE))),
                        };
                        let (block, seqno, len) = (region.at, key::seqno(trailer), entry.next - at);
                        result = text.line(format_args!(
                            "{block:>8} {at:>7} {len:>9}  {kind:6} {seqno:>11}  {state:5}  {says}"
                        ));
                    }
                })
                .err(),
            (Kind::Data, Err(reason)) => Some(reason),
            (Kind::Lost, _) => Some("no part of a table, or a damaged one".into()),
            _ => None,
        };
        result?;
        if let Some(reason) = damage {
            let len = region.end - region.at;
            text.line(format_args!("{:>8} {:>7} {len:>9}  DAMAGED: {reason}", region.at, ""))?;
        }
    }
    Ok(())
}
