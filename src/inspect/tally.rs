//! What a log holds, in numbers: the facts of its summary, its properties and its layout.

use crate::error::Result;
use crate::inspect::log::{Note, Owner, gap_words, kind_word, note};
use crate::inspect::scan::{Groups, Member, Piece, Scan};
use crate::inspect::state::State;
use crate::inspect::text::{Text, count, percent};
use crate::record::frame::{HEADER_LEN, Header};
use std::collections::BTreeMap;

/// A log in numbers. Bounded: regions are as many as there are gaps.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) header: Option<Header>,
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) kinds: BTreeMap<&'static str, u64>,
    /// Writes in records that can hold several, by kind.
    pub(super) writes: BTreeMap<&'static str, u64>,
    pub(super) groups: u64,
    pub(super) broken_groups: u64,
    pub(super) seqnos: Option<(u64, u64)>,
    pub(super) synced: u64,
    pub(super) is_closed: bool,
    /// Records and their bytes, by state.
    pub(super) states: BTreeMap<State, (u64, u64)>,
    pub(super) damaged_bytes: u64,
    /// Records in a row, and gaps.
    pub(super) regions: Vec<Region>,
    /// How it ends.
    pub(super) ends: String,
}

/// Bytes in a row that are of one sort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) offset: u64,
    pub(super) end: u64,
    /// Records in it; 0 for a gap.
    pub(super) records: u64,
    /// Bytes of these, by state.
    pub(super) states: BTreeMap<State, u64>,
    /// What a gap is.
    pub(super) what: String,
}

impl Region {
    /// What it is, in words.
    pub(super) fn words(&self) -> String {
        if self.records == 0 {
            return self.what.clone();
        }
        let keyed = self.states.iter().filter(|(state, _)| **state != State::Other);
        let share = |(state, bytes): (&State, &u64)| {
            format!("{state} {bytes} bytes, {}", percent(*bytes, self.end - self.offset))
        };
        let shares: Vec<_> = keyed.map(share).collect();
        let records = count(self.records, "record");
        if shares.is_empty() { records } else { format!("{records}: {}", shares.join("; ")) }
    }
}

impl Tally {
    /// Walks the log. `each` is told of every stretch of bytes and what it is.
    pub(super) fn take(
        header: Option<Header>,
        scan: &mut Scan,
        owner: &mut dyn Owner,
        mut each: impl FnMut(u64, u64, Sort),
    ) -> Tally {
        let bytes = scan.bytes().len();
        let mut tally = Tally { header, bytes, ends: "cleanly".into(), ..Tally::default() };
        let mut groups = Groups::default();
        while let Some(piece) = scan.next_piece() {
            match piece {
                Piece::Record(frame) => {
                    let word = kind_word(owner, &frame);
                    let Note { seqno, state, .. } = note(owner, scan.bytes(), &frame);
                    let (cut, member) = groups.take(&frame);
                    tally.broken_groups += u64::from(cut.is_some()) + u64::from(member == Member::Stray);
                    tally.groups += u64::from(member == Member::Completes);
                    tally.begin_record(frame.offset, word);
                    let mut has_writes = false;
                    let told = owner.writes(scan.bytes(), &frame, &mut |write| {
                        has_writes = true;
                        *tally.writes.entry(write.kind).or_default() += 1;
                        each(write.from, write.end, Sort::Record(write.state));
                        tally.add(write.from, write.end, Some(write.seqno), write.state);
                        Ok(())
                    });
                    debug_assert!(told.is_ok(), "nothing above fails");
                    if !has_writes {
                        each(frame.offset, frame.end(), Sort::Record(state));
                        tally.add(frame.offset, frame.end(), seqno, state);
                    }
                    tally.synced = tally.synced.max(frame.claim());
                    tally.is_closed = frame.is_close();
                }
                Piece::Gap(gap) => {
                    let is_zero = gap.is_zero && !gap.is_followed && owner.sealed_len().is_none();
                    let sort = if is_zero { Sort::Zeros } else { Sort::Damaged };
                    each(gap.offset, gap.end, sort);
                    tally.broken_groups += u64::from(groups.cut().is_some());
                    tally.damaged_bytes += if is_zero { 0 } else { gap.end - gap.offset };
                    let what = gap_words(&gap, owner.sealed_len());
                    tally.ends.clone_from(&what);
                    tally.regions.push(Region {
                        offset: gap.offset,
                        end: gap.end,
                        what,
                        ..Region::default()
                    });
                }
            }
        }
        tally.finish(groups.cut(), owner.sealed_len());
        tally
    }

    fn begin_record(&mut self, offset: u64, word: &'static str) {
        self.records += 1;
        self.ends = "cleanly".into();
        *self.kinds.entry(word).or_default() += 1;
        if self.regions.last().is_none_or(|region| region.records == 0) {
            self.regions.push(Region { offset, ..Region::default() });
        }
        self.regions.last_mut().into_iter().for_each(|region| region.records += 1);
    }

    /// A record, or a write in one.
    fn add(&mut self, offset: u64, end: u64, seqno: Option<u64>, state: State) {
        if let Some(seqno) = seqno {
            let (first, last) = self.seqnos.unwrap_or((seqno, seqno));
            self.seqnos = Some((first.min(seqno), last.max(seqno)));
        }
        let (records, bytes) = self.states.entry(state).or_default();
        *records += 1;
        *bytes += end - offset;
        if let Some(region) = self.regions.last_mut() {
            region.end = end;
            *region.states.entry(state).or_default() += end - offset;
        }
    }

    fn finish(&mut self, cut: Option<u64>, sealed_len: Option<u64>) {
        if let Some(began) = cut {
            self.broken_groups += 1;
            self.ends = format!("in a group that began at {began} and has no Last");
        }
        if let Some(len) = sealed_len.filter(|&len| len != self.bytes) {
            self.ends = format!("at the wrong place: it should have {len} bytes");
        }
    }

    /// Bytes of records of one state.
    pub(super) fn bytes_of(&self, state: State) -> u64 {
        self.states.get(&state).map_or(0, |(_, bytes)| *bytes)
    }

    /// A few lines.
    pub(super) fn summary(&self, text: &mut Text<'_>, header_words: &str) -> Result<()> {
        text.line(format_args!("  header    {header_words}"))?;
        let kinds: Vec<_> = self.kinds.iter().map(|(word, n)| format!("{n} {word}")).collect();
        let groups = count(self.groups, "group");
        text.line(format_args!("  records   {}: {}; {groups}", self.records, kinds.join(", ")))?;
        if !self.writes.is_empty() {
            let kinds: Vec<_> = self.writes.iter().map(|(word, n)| format!("{n} {word}")).collect();
            let writes: u64 = self.writes.values().sum();
            text.line(format_args!("  writes    {writes}: {}", kinds.join(", ")))?;
        }
        if self.broken_groups > 0 {
            text.line(format_args!("            BAD: {} without an end or a beginning", self.broken_groups))?;
        }
        if let Some((first, last)) = self.seqnos {
            text.line(format_args!("  seqnos    {first} to {last}"))?;
        }
        for (state, (records, bytes)) in &self.states {
            let noun = if self.writes.is_empty() { "record" } else { "write" };
            state_line(text, *state, &count(*records, noun), *bytes, self.bytes, "")?;
        }
        for region in self.regions.iter().filter(|region| region.records == 0) {
            text.line(format_args!("  at {:<6} {}", region.offset, region.what))?;
        }
        let closed = if self.is_closed { ", after a clean close" } else { "" };
        text.line(format_args!("  ends      {}{closed}", self.ends))
    }

    /// The facts, as names and values.
    pub(super) fn props(&self, text: &mut Text<'_>) -> Result<()> {
        let Header { store_id, number, kind } =
            self.header.unwrap_or(Header { store_id: 0, number: 0, kind: 0 });
        let (first, last) = self.seqnos.unwrap_or((0, 0));
        text.line(format_args!("header_ok={}", self.header.is_some()))?;
        text.line(format_args!("store_id={store_id:016x}\nnumber={number}\nlog_kind={kind}"))?;
        text.line(format_args!("bytes={}\nheader_bytes={HEADER_LEN}\nrecords={}", self.bytes, self.records))?;
        for (word, n) in &self.kinds {
            text.line(format_args!("records_{word}={n}"))?;
        }
        for (word, n) in &self.writes {
            text.line(format_args!("writes_{word}={n}"))?;
        }
        text.line(format_args!("groups={}\nbroken_groups={}", self.groups, self.broken_groups))?;
        text.line(format_args!("first_seqno={first}\nlast_seqno={last}\nsynced={}", self.synced))?;
        let [live, dead, tombstone, unknown] =
            [State::Live, State::Dead, State::Tombstone, State::Unknown].map(|state| self.bytes_of(state));
        text.line(format_args!("live_bytes={live}\ndead_bytes={dead}\ntombstone_bytes={tombstone}"))?;
        text.line(format_args!("unknown_bytes={unknown}\ndamaged_bytes={}", self.damaged_bytes))?;
        text.line(format_args!("closed={}\nends={}", self.is_closed, self.ends))
    }
}

/// A line about what is of one state: how many, and how many of all bytes.
pub(super) fn state_line(
    text: &mut Text<'_>,
    state: State,
    many: &str,
    bytes: u64,
    whole: u64,
    of: &str,
) -> Result<()> {
    let word = match state {
        State::Live => "live",
        State::Dead => "dead",
        State::Tombstone => "tomb",
        State::Unknown => "unknown",
        State::Other => return Ok(()),
    };
    text.line(format_args!("  {word:8}  {many}, {bytes} bytes{of}, {}", percent(bytes, whole)))
}

/// What a stretch of bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A header, or another fixed part.
    Fixed,
    /// Of a table: an index.
    Index,
    /// Of a table: a filter.
    Filter,
    /// Of a table: its footer, or its properties.
    Footer,
    /// A record.
    Record(State),
    /// Zeros behind the end.
    Zeros,
    /// No record.
    Damaged,
}
