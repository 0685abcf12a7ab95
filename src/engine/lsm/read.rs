//! Reading: where a get looks, in which order, and what a cursor is put together from.
//!
//! Memtable, older memtables, then tables: level 0 from the newest to the oldest, then the one table of
//! each level that may hold the key. The first entry that is found is the newest one that the reader may
//! see, and ends the search (invariant 2 of [`crate::engine::lsm::version`]).

use crate::engine::explain::{Explanation, Found, Step};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::iter::merge::Merge;
use crate::engine::lsm::iter::visible::Visible;
use crate::engine::lsm::key::{Kind, seqno, split, user_key};
use crate::engine::lsm::memtable::cursor::MemtableCursor;
use crate::engine::lsm::options::NAME;
use crate::engine::lsm::snapshots::Snapshots;
use crate::engine::lsm::table::Lookup;
use crate::engine::lsm::table::cursor::Access;
use crate::engine::lsm::table::store::TableStore;
use crate::engine::lsm::version::TableFile;
use crate::engine::lsm::version::level::{LevelCursor, Run};
use crate::engine::lsm::view::{View, Views};
use crate::engine::range::{Direction, KeyRange};
use crate::engine::request::Present;
use crate::engine::value::Value;
use crate::engine::{Cursor, KvsRead};
use crate::error::{Error, Result};
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

/// Everything that reads need; shared by the engine, its snapshots and its cursors.
#[derive(Debug)]
pub struct Reads {
    /// The memtables and tables.
    pub views: Views,
    /// What is visible, and which moments are held.
    pub snapshots: Snapshots,
    /// The open tables, and the block cache.
    pub tables: Arc<TableStore>,
}

/// What a search found: the newest entry of the key that the reader may see.
enum Hit {
    Set { seqno: u64, value: Value },
    Removed,
}

/// Watches a search. Nobody does for a get.
trait Watch {
    fn memtable(&mut self, index: usize, hit: Option<(u64, Kind, usize)>);
    fn table(
        &mut self,
        table: &TableFile,
        look: impl FnOnce(Option<&mut Step>) -> Result<Lookup>,
    ) -> Result<Lookup>;
}

struct Nobody;

impl Watch for Nobody {
    #[inline]
    fn memtable(&mut self, _: usize, _: Option<(u64, Kind, usize)>) {}

    #[inline]
    fn table(
        &mut self,
        _: &TableFile,
        look: impl FnOnce(Option<&mut Step>) -> Result<Lookup>,
    ) -> Result<Lookup> {
        look(None)
    }
}

impl Watch for Explanation {
    fn memtable(&mut self, index: usize, hit: Option<(u64, Kind, usize)>) {
        let place = memtable_name(index);
        let outcome = match hit {
            None => "not there".to_string(),
            Some((_, Kind::Set, _)) => "set".to_string(),
            Some((_, Kind::Remove, _)) => "removed".to_string(),
        };
        let bytes = hit.map_or(0, |(_, _, bytes)| bytes as u64);
        self.steps.push(Step { place, outcome, bytes, ..Step::default() });
    }

    fn table(
        &mut self,
        table: &TableFile,
        look: impl FnOnce(Option<&mut Step>) -> Result<Lookup>,
    ) -> Result<Lookup> {
        let place = table_name(table);
        let mut step = Step { place, level: Some(table.meta.level), ..Step::default() };
        let lookup = look(Some(&mut step))?;
        step.outcome = match &lookup {
            Lookup::Filtered | Lookup::Absent => "not there".into(),
            Lookup::Found { kind: Kind::Set, .. } => "set".into(),
            Lookup::Found { kind: Kind::Remove, .. } => "removed".into(),
        };
        self.steps.push(step);
        Ok(lookup)
    }
}

/// What a scan makes of all its sources.
const MERGED: &str = "merged";

fn memtable_name(index: usize) -> String {
    match index {
        0 => "memtable".into(),
        n => format!("sealed memtable {n}"),
    }
}

fn table_name(table: &TableFile) -> String {
    crate::engine::filename::table(table.number)
}

impl Reads {
    /// The value of `key` now.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        // The view first, the moment second: see [`crate::engine::lsm::view`].
        let view = self.views.load();
        let at = self.snapshots.visible();
        Ok(match self.search(&view, key, at, &mut Nobody)? {
            Some(Hit::Set { value, .. }) => Some(value),
            Some(Hit::Removed) | None => None,
        })
    }

    /// The value of `key` at a moment that is held.
    pub fn get_at(&self, key: &[u8], moment: u64) -> Result<Option<Value>> {
        Ok(match self.search(&self.views.load(), key, moment, &mut Nobody)? {
            Some(Hit::Set { value, .. }) => Some(value),
            Some(Hit::Removed) | None => None,
        })
    }

    /// The read path, as one would say it.
    #[inline]
    fn search(&self, view: &View, key: &[u8], at: u64, watch: &mut impl Watch) -> Result<Option<Hit>> {
        for (i, memtable) in view.memtables().enumerate() {
            let entry = memtable.get(key, at);
            watch.memtable(i, entry.as_ref().map(|e| (e.seqno, e.kind, key.len() + e.value.len())));
            match entry {
                Some(entry) if entry.kind == Kind::Set => {
                    return Ok(Some(Hit::Set { seqno: entry.seqno, value: Value::from(entry.value) }));
                }
                Some(_) => return Ok(Some(Hit::Removed)),
                None => {}
            }
        }
        let hash = self.tables.hash(key);
        let order = self.views.order();
        let mut look = |file: &TableFile| {
            watch.table(file, |step| {
                let table = self.tables.find(file.number, &file.meta, file.slot())?;
                match step {
                    None => table.get(key, hash, at),
                    Some(step) => table.explain(key, hash, at, step),
                }
            })
        };
        for table in view.version.levels[0].iter().filter(|table| table.spans(key, order)) {
            if let Lookup::Found { seqno, kind, value } = look(table)? {
                return Ok(Some(hit(seqno, kind, value)));
            }
        }
        for level in 1..view.version.levels.len() {
            let Some(table) = view.version.covering(level, key, order) else { continue };
            if let Lookup::Found { seqno, kind, value } = look(table)? {
                return Ok(Some(hit(seqno, kind, value)));
            }
        }
        Ok(None)
    }

    /// What a get of `key` looks at.
    pub fn explain_get(&self, key: &[u8]) -> Result<Explanation> {
        let view = self.views.load();
        let at = self.snapshots.visible();
        let mut told = Explanation { engine: NAME, visible_seqno: at, ..Explanation::default() };
        if let Some(Hit::Set { seqno, value }) = self.search(&view, key, at, &mut told)? {
            let place = told.steps.last().map(|step| step.place.clone()).unwrap_or_default();
            told.found = Some(Found { place, seqno: Some(seqno), value_bytes: value.len() as u64 });
            told.pairs = 1;
        }
        Ok(told)
    }

    /// What a scan of `range` looks at, up to `limit` pairs.
    pub fn explain_scan(self: &Arc<Self>, range: KeyRange, limit: u64) -> Result<Explanation> {
        let direction = range.direction;
        let mut cursor = PinnedCursor::present(self, range)?;
        let mut told = Explanation { engine: NAME, visible_seqno: cursor.moment, ..Explanation::default() };
        match direction {
            Direction::Forward => cursor.seek_to_first()?,
            Direction::Reverse => cursor.seek_to_last()?,
        }
        while cursor.valid() && told.pairs < limit {
            told.pairs += 1;
            let (seqno, place) = cursor.origin();
            let value_bytes = cursor.value()?.len() as u64;
            told.found = Some(Found { place, seqno, value_bytes });
            match direction {
                Direction::Forward => cursor.next()?,
                Direction::Reverse => cursor.prev()?,
            }
        }
        told.steps = cursor.pairs.entries().sources().iter().map(Source::step).collect();
        let outcome = format!("{} pairs; {} entries hidden", told.pairs, cursor.pairs.hidden());
        told.steps.push(Step { place: MERGED.into(), outcome, ..Step::default() });
        Ok(told)
    }

    /// A cursor over what is visible in `view` at `at`.
    pub fn cursor(&self, view: &View, at: u64, range: KeyRange) -> Result<Visible<Merge<Source>>> {
        let order = self.views.order();
        check_range(&range, order)?;
        let sources = Source::of(view, &self.tables, order, &range);
        Ok(Visible::new(Merge::new(order.clone(), sources), order.clone(), at, range))
    }
}

fn hit(seqno: u64, kind: Kind, value: Value) -> Hit {
    match kind {
        Kind::Set => Hit::Set { seqno, value },
        Kind::Remove => Hit::Removed,
    }
}

/// A range whose ends are crossed holds nothing. In another order than that of bytes, crossed ends are
/// more likely a mistake: a prefix, or ends that were meant as bytes.
pub(super) fn check_range(range: &KeyRange, order: &Order) -> Result<()> {
    let (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) =
        (&range.start, &range.end)
    else {
        return Ok(());
    };
    if order.is_bytewise() || order.compare(start, end) != Ordering::Greater {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the range ends before it begins: the keys of this store are in the order '{}', and a range goes \
         from its first key to its last in that order",
        order.name()
    )))
}

impl Present for Reads {
    fn value(&self, key: &[u8]) -> Result<Option<Value>> {
        self.get(key)
    }

    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    fn is_same(&self, key: &[u8], other: &[u8]) -> bool {
        self.views.order().is_same(key, other)
    }
}

/// One sorted source of a cursor.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a cursor has few; a box would be one more step an entry")]
pub enum Source {
    /// A memtable.
    Memtable(usize, MemtableCursor),
    /// A table of level 0, or all of a level below.
    Run(LevelCursor),
}

impl Source {
    /// All sources of `view` that may hold a key of `range`.
    fn of(view: &View, tables: &Arc<TableStore>, order: &Order, range: &KeyRange) -> Vec<Source> {
        let version = &view.version;
        let run = |run| Source::Run(LevelCursor::new(run, tables.clone(), order.clone(), Access::Point));
        let memtables = view.memtables().enumerate().filter(|(_, memtable)| !memtable.is_empty());
        let upper = version.levels[0].iter().filter(|table| may_hold(table, range, order));
        let lower = (1..version.levels.len()).filter(|&level| !version.levels[level].is_empty());
        let mut sources: Vec<Source> = Vec::with_capacity(8);
        sources.extend(memtables.map(|(i, memtable)| Source::Memtable(i, memtable.cursor())));
        sources.extend(upper.map(|table| run(Run::Tables(vec![table.clone()]))));
        sources.extend(lower.map(|level| run(Run::Level(version.clone(), level))));
        sources
    }
}

impl Source {
    /// Where it stands, for people.
    fn place(&self) -> String {
        match self {
            Source::Memtable(index, _) => memtable_name(*index),
            Source::Run(cursor) => cursor.step().place,
        }
    }

    /// What it looked at, for people.
    fn step(&self) -> Step {
        match self {
            Source::Memtable(index, _) => {
                let outcome = "searched".to_string();
                Step { place: memtable_name(*index), outcome, ..Step::default() }
            }
            Source::Run(cursor) => cursor.step(),
        }
    }
}

impl EntryCursor for Source {
    fn seek_to_first(&mut self) -> Result<()> {
        match self {
            Source::Memtable(_, cursor) => cursor.seek_to_first(),
            Source::Run(cursor) => cursor.seek_to_first(),
        }
    }

    fn seek_to_last(&mut self) -> Result<()> {
        match self {
            Source::Memtable(_, cursor) => cursor.seek_to_last(),
            Source::Run(cursor) => cursor.seek_to_last(),
        }
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        match self {
            Source::Memtable(_, cursor) => cursor.seek(target),
            Source::Run(cursor) => cursor.seek(target),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        match self {
            Source::Memtable(_, cursor) => cursor.next(),
            Source::Run(cursor) => cursor.next(),
        }
    }

    fn prev(&mut self) -> Result<()> {
        match self {
            Source::Memtable(_, cursor) => cursor.prev(),
            Source::Run(cursor) => cursor.prev(),
        }
    }

    #[inline]
    fn valid(&self) -> bool {
        match self {
            Source::Memtable(_, cursor) => cursor.valid(),
            Source::Run(cursor) => cursor.valid(),
        }
    }

    #[inline]
    fn key(&self) -> &[u8] {
        match self {
            Source::Memtable(_, cursor) => cursor.key(),
            Source::Run(cursor) => cursor.key(),
        }
    }

    #[inline]
    fn value(&self) -> &[u8] {
        match self {
            Source::Memtable(_, cursor) => cursor.value(),
            Source::Run(cursor) => cursor.value(),
        }
    }
}

fn may_hold(table: &TableFile, range: &KeyRange, order: &Order) -> bool {
    let begins = match &range.end {
        Bound::Unbounded => true,
        Bound::Included(end) | Bound::Excluded(end) => {
            order.compare(table.smallest_user(), end) != Ordering::Greater
        }
    };
    let ends = match &range.start {
        Bound::Unbounded => true,
        Bound::Included(start) | Bound::Excluded(start) => {
            order.compare(table.largest_user(), start) != Ordering::Less
        }
    };
    begins && ends
}

/// A cursor of the engine: what it looks at is pinned, and counted among the snapshots.
pub struct PinnedCursor {
    pairs: Visible<Merge<Source>>,
    reads: Arc<Reads>,
    moment: u64,
}

impl PinnedCursor {
    /// A cursor over the present.
    pub fn present(reads: &Arc<Reads>, range: KeyRange) -> Result<PinnedCursor> {
        // The moment first, and the view second. While it is held nothing that it needs goes, and a view that is
        // younger has all of it. An older one may share its memtable with a load that came between, which has its
        // tables in the younger: it would show what was written after the load, and not the load.
        let moment = reads.snapshots.hold();
        let view = reads.views.pin();
        PinnedCursor::over(reads, &view, moment, range)
    }

    /// A cursor over a moment that is held.
    fn past(reads: &Arc<Reads>, moment: u64, range: KeyRange) -> Result<PinnedCursor> {
        let view = reads.views.pin();
        reads.snapshots.hold_again(moment);
        PinnedCursor::over(reads, &view, moment, range)
    }

    fn over(reads: &Arc<Reads>, view: &View, moment: u64, range: KeyRange) -> Result<PinnedCursor> {
        match reads.cursor(view, moment, range) {
            Ok(pairs) => Ok(PinnedCursor { pairs, reads: reads.clone(), moment }),
            Err(error) => {
                reads.snapshots.release(moment);
                Err(error)
            }
        }
    }
}

impl PinnedCursor {
    /// Which write the pair is, and where it stands; not known where the cursor has gone on behind it.
    fn origin(&self) -> (Option<u64>, String) {
        let entries = self.pairs.entries();
        match entries.valid() && user_key(entries.key()) == self.pairs.key() {
            true => (Some(seqno(split(entries.key()).1)), entries.sources()[entries.current()].place()),
            false => (None, MERGED.into()),
        }
    }
}

impl Drop for PinnedCursor {
    fn drop(&mut self) {
        self.reads.snapshots.release(self.moment);
    }
}

impl Cursor for PinnedCursor {
    fn seek_to_first(&mut self) -> Result<()> {
        self.pairs.seek_to_first()
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.pairs.seek_to_last()
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.pairs.seek(key)
    }

    fn next(&mut self) -> Result<()> {
        self.pairs.next()
    }

    fn prev(&mut self) -> Result<()> {
        self.pairs.prev()
    }

    fn valid(&self) -> bool {
        self.pairs.valid()
    }

    fn key(&self) -> &[u8] {
        assert!(self.pairs.valid(), "the caller checked that the cursor is valid");
        self.pairs.key()
    }

    fn value(&mut self) -> Result<&[u8]> {
        assert!(self.pairs.valid(), "the caller checked that the cursor is valid");
        self.pairs.value()
    }
}

/// The store as it was at a moment. Holds the moment, not the files: what it can see is kept by every
/// compaction until it lets go.
#[derive(Debug)]
pub struct Past {
    reads: Arc<Reads>,
    moment: u64,
}

impl Past {
    /// Holds the present.
    pub fn hold(reads: &Arc<Reads>) -> Past {
        Past { reads: reads.clone(), moment: reads.snapshots.hold() }
    }
}

impl Drop for Past {
    fn drop(&mut self) {
        self.reads.snapshots.release(self.moment);
    }
}

impl KvsRead for Past {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.reads.get_at(key, self.moment)
    }

    fn cursor(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(PinnedCursor::past(&self.reads, self.moment, range)?))
    }
}
