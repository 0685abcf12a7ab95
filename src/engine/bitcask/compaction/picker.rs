//! What to merge next: looks at numbers only, and decides.
//!
//! # When
//!
//! A segment is worth merging when a certain *part* of it is garbage, not a number of bytes. With the
//! part `g`, a merge writes `1 - g` to free `g`: each byte that a user writes is copied
//! `(1 - g) / g` times in the long run, so write amplification is `1 / g`, whatever the store's size.
//! A trigger of so many *bytes* of garbage copies all live data each time: its amplification grows
//! with the store.
//!
//! # What stands in the way of tombstones
//!
//! A tombstone goes only when nothing older can hold a value of its key, and one dead record in a segment that
//! is otherwise cold is enough to leave that open: never worth a merge of its own, it would keep the tombstones
//! of all keys that are ever removed. So such segments are merged when that frees enough *elsewhere*: by the same
//! part, of what is copied of them and what goes with the tombstones.

use crate::engine::bitcask::options::BitcaskOptions;
use crate::engine::bitcask::segment::Segment;
use crate::record::frame::HEADER_LEN;

/// What [`pick`] looks at: a segment in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its number.
    pub number: u64,
    /// Bytes of its records.
    pub bytes: u64,
    /// Of these, bytes that the keydir points to.
    pub live_bytes: u64,
    /// Of these, bytes of tombstones.
    pub tombstone_bytes: u64,
    /// The highest sequence number in it.
    pub last_seqno: u64,
    /// It holds no value that a write up to this one has replaced.
    pub purged_upto: u64,
    /// It is left alone: a merge of it failed on damage, or nobody asked for it.
    pub is_left_alone: bool,
}

impl Facts {
    /// A segment now; `visible` is the newest write that the keydir shows. `None` while it is active.
    pub fn of(segment: &Segment, visible: u64) -> Option<Facts> {
        let sealed = segment.sealed()?;
        let bytes = sealed.len - HEADER_LEN;
        let (live_bytes, tombstone_bytes) = (segment.live_bytes(), segment.tombstone_bytes());
        let all_current = live_bytes + tombstone_bytes == bytes;
        Some(Facts {
            number: segment.number,
            bytes,
            live_bytes,
            tombstone_bytes,
            last_seqno: sealed.last_seqno,
            purged_upto: if all_current { visible } else { sealed.purged_upto },
            is_left_alone: false,
        })
    }

    /// Bytes that a merge would not copy.
    fn garbage(&self, tombstones: Tombstones) -> u64 {
        let kept = match tombstones {
            Tombstones::Kept => self.live_bytes + self.tombstone_bytes,
            Tombstones::Dropped => self.live_bytes,
        };
        self.bytes.saturating_sub(kept)
    }
}

/// Whether a merge that begins at some segment can prove its tombstones needless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tombstones {
    Kept,
    Dropped,
}

/// What makes a segment worth merging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The background's: enough garbage by the options, or too many small files.
    Ratio,
    /// The user's: everything that can be reclaimed.
    All,
}

/// How many small neighbours are put together.
const SMALL_RUN: usize = 4;

/// Chooses the run to merge next: numbers of segments that follow each other in age. `by_age` are the
/// sealed segments from the oldest to the newest. Pure: the same numbers give the same answer.
pub fn pick(by_age: &[Facts], options: &BitcaskOptions, aim: Aim) -> Option<Vec<u64>> {
    let mut best: Option<(u64, &[Facts])> = None;
    let mut start = 0;
    // What all segments before `start` are purged up to.
    let mut purged = u64::MAX;
    while start < by_age.len() {
        let (mut end, mut garbage, mut copied) = (start, 0, 0);
        // One job copies at most two segments' worth, so that what it needs beside the old files, and
        // in memory, is bounded.
        while let Some(facts) = by_age.get(end)
            && (end == start || copied < 2 * options.segment_bytes)
            && let Some(worth) = worth(facts, purged, options, aim)
        {
            garbage += worth;
            copied += facts.bytes - worth;
            end += 1;
        }
        // The user's merge goes from the oldest on, so that later jobs find older segments purged.
        if aim == Aim::All && end > start {
            return Some(numbers(&by_age[start..end]));
        }
        if end > start && best.is_none_or(|(most, _)| garbage > most) {
            best = Some((garbage, &by_age[start..end]));
        }
        let next = end.max(start + 1);
        purged = by_age[start..next].iter().fold(purged, |purged, facts| purged.min(facts.purged_upto));
        start = next;
    }
    let best = best.map(|(_, run)| run);
    let best = best.or_else(|| pick_in_the_way(by_age, options, aim));
    best.or_else(|| pick_small(by_age, options, aim)).map(numbers)
}

/// The oldest segments that stand in the way of tombstones, where these are worth it.
fn pick_in_the_way<'a>(by_age: &'a [Facts], options: &BitcaskOptions, aim: Aim) -> Option<&'a [Facts]> {
    if aim != Aim::Ratio {
        return None;
    }
    // Behind one that is left alone nothing can be proven.
    let until = by_age.iter().position(|facts| facts.is_left_alone).unwrap_or(by_age.len());
    let by_age = &by_age[..until];
    // What each would free if nothing stood in its way.
    let freed = |facts: &Facts| worth(facts, u64::MAX, options, aim);
    let would_go = |facts: &Facts| freed(facts).is_some();
    let newest = by_age.iter().rposition(would_go)?;
    let (last_seqno, older) = (by_age[newest].last_seqno, &by_age[..newest]);
    let is_in_the_way = |facts: &Facts| facts.purged_upto < last_seqno && !would_go(facts);
    let kept = |facts: &Facts| facts.live_bytes + facts.tombstone_bytes;
    let freed: u64 = by_age[..=newest].iter().filter_map(freed).sum();
    let copied: u64 = older.iter().filter(|facts| is_in_the_way(facts)).map(kept).sum();
    if (freed as f64) < options.merge_garbage_ratio * (freed + copied) as f64 {
        return None;
    }
    let start = older.iter().position(is_in_the_way)?;
    let (mut end, mut copied) = (start, 0);
    while end < older.len() && is_in_the_way(&older[end]) && copied < 2 * options.segment_bytes {
        copied += kept(&older[end]);
        end += 1;
    }
    Some(&older[start..end])
}

/// The garbage of a segment, if it is worth merging, in a job before which everything is purged up to
/// `purged`.
fn worth(facts: &Facts, purged: u64, options: &BitcaskOptions, aim: Aim) -> Option<u64> {
    let proven = purged >= facts.last_seqno;
    let garbage = facts.garbage(if proven { Tombstones::Dropped } else { Tombstones::Kept });
    let enough = match aim {
        _ if facts.is_left_alone || garbage == 0 => false,
        Aim::All => true,
        Aim::Ratio if options.merge_garbage_ratio >= 1.0 => false,
        Aim::Ratio => garbage as f64 >= options.merge_garbage_ratio * facts.bytes as f64,
    };
    enough.then_some(garbage)
}

/// Neighbours that fit into one segment together, so that the number of files stays bounded. Each
/// time a byte is copied for this, it lands in a file of at least twice as many.
fn pick_small<'a>(by_age: &'a [Facts], options: &BitcaskOptions, aim: Aim) -> Option<&'a [Facts]> {
    if aim == Aim::Ratio && options.merge_garbage_ratio >= 1.0 {
        return None;
    }
    by_age.windows(SMALL_RUN).find(|run| {
        let bytes: u64 = run.iter().map(|facts| facts.bytes).sum();
        let largest = run.iter().map(|facts| facts.bytes).max().unwrap_or(0);
        // None of them may be large beside the others: else it would be copied for their sake.
        let balanced = largest <= bytes / 2;
        bytes + HEADER_LEN <= options.segment_bytes
            && balanced
            && !run.iter().any(|facts| facts.is_left_alone)
    })
}

fn numbers(run: &[Facts]) -> Vec<u64> {
    run.iter().map(|facts| facts.number).collect()
}

#[cfg(test)]
mod tests {
    use super::{Aim, Facts, pick};
    use crate::engine::bitcask::options::BitcaskOptions;
    use crate::record::frame::HEADER_LEN;

    fn facts(number: u64, bytes: u64, live_bytes: u64, tombstone_bytes: u64) -> Facts {
        let last_seqno = number * 100;
        Facts { number, bytes, live_bytes, tombstone_bytes, last_seqno, purged_upto: 0, is_left_alone: false }
    }

    fn options() -> BitcaskOptions {
        BitcaskOptions { segment_bytes: 10_000, ..BitcaskOptions::default() }
    }

    #[test]
    fn garbage_is_what_counts_not_size() {
        let segments = [facts(1, 9000, 5000, 0), facts(2, 9000, 4000, 0), facts(3, 9000, 1000, 0)];
        assert_eq!(pick(&segments, &options(), Aim::Ratio), Some(vec![2, 3]));
        assert_eq!(pick(&segments[..1], &options(), Aim::Ratio), None);
        assert_eq!(pick(&segments, &options(), Aim::All), Some(vec![1, 2, 3]));
        let never = BitcaskOptions { merge_garbage_ratio: 1.0, ..options() };
        assert_eq!(pick(&segments, &never, Aim::Ratio), None);
    }

    #[test]
    fn a_run_never_skips_a_segment() {
        let segments = [facts(1, 9000, 0, 0), facts(2, 9000, 9000, 0), facts(3, 9000, 100, 0)];
        assert_eq!(pick(&segments, &options(), Aim::Ratio), Some(vec![1]));
        assert_eq!(pick(&segments[1..], &options(), Aim::Ratio), Some(vec![3]));
    }

    #[test]
    fn tombstones_are_garbage_only_where_nothing_older_stays() {
        let dead = facts(2, 9000, 0, 9000);
        assert_eq!(pick(&[facts(1, 9000, 9000, 0), dead], &options(), Aim::All), None);
        assert_eq!(pick(&[dead], &options(), Aim::Ratio), Some(vec![2]), "nothing is older");
        let purged = Facts { purged_upto: 200, ..facts(1, 9000, 9000, 0) };
        assert_eq!(pick(&[purged, dead], &options(), Aim::Ratio), Some(vec![2]));
        let purged_before = Facts { purged_upto: 199, ..purged };
        assert_eq!(pick(&[purged_before, facts(2, 9000, 4000, 5000)], &options(), Aim::Ratio), None);
    }

    // Ninety-eight segments of nothing but tombstones stayed for ever, behind ten dead bytes.
    #[test]
    fn what_stands_in_the_way_of_tombstones_goes_when_they_are_worth_it() {
        let cold = facts(1, 9000, 8990, 0);
        let removed: Vec<_> = (2..100).map(|n| facts(n, 9000, 0, 9000)).collect();
        let all = [&[cold], &removed[..]].concat();
        assert_eq!(pick(&all, &options(), Aim::Ratio), Some(vec![1]));
        let mut after = all.clone();
        after[0] = Facts { purged_upto: 9900, ..facts(1, 8990, 8990, 0) };
        assert_eq!(pick(&after, &options(), Aim::Ratio).unwrap()[0], 2);
        // What is copied is paid for by what goes: by half of both.
        let cold: Vec<_> = (1..=5).map(|n| facts(n, 9000, 8000, 0)).collect();
        let with = |tombstones: &[u64]| {
            let tombstones = (10..).zip(tombstones).map(|(n, bytes)| facts(n, *bytes, 0, *bytes));
            pick(&cold.iter().copied().chain(tombstones).collect::<Vec<_>>(), &options(), Aim::Ratio)
        };
        assert_eq!(with(&[9000, 9000, 9000, 9000, 3999]), None);
        assert_eq!(with(&[9000, 9000, 9000, 9000, 4000]), Some(vec![1, 2, 3]), "as much as one job copies");
        // Not for tombstones that stay in any case, nor behind what is left alone.
        let few: Vec<_> = (10..100).map(|n| facts(n, 9000, 5000, 4000)).collect();
        assert_eq!(pick(&[&cold[..], &few[..]].concat(), &options(), Aim::Ratio), None);
        let damaged = Facts { is_left_alone: true, ..facts(6, 9000, 8000, 0) };
        assert_eq!(pick(&[&cold[..], &[damaged], &removed[8..]].concat(), &options(), Aim::Ratio), None);
    }

    #[test]
    fn small_neighbours_are_put_together_but_no_large_one_for_their_sake() {
        let small: Vec<_> = (1..=4).map(|n| facts(n, 1000, 1000, 0)).collect();
        assert_eq!(pick(&small, &options(), Aim::Ratio), Some(vec![1, 2, 3, 4]));
        assert_eq!(pick(&small[..3], &options(), Aim::Ratio), None);
        let mut uneven = small;
        uneven[0] = facts(1, 6000, 6000, 0);
        assert_eq!(pick(&uneven, &options(), Aim::Ratio), None);
    }

    #[test]
    fn one_job_is_bounded() {
        let segments: Vec<_> = (1..=9).map(|n| facts(n, 10_000, 5000, 0)).collect();
        assert_eq!(pick(&segments, &options(), Aim::All).unwrap().len(), 4);
    }

    #[test]
    fn damage_is_left_alone() {
        let damaged = Facts { is_left_alone: true, ..facts(1, 9000, 0, 0) };
        assert_eq!(pick(&[damaged], &options(), Aim::All), None);
    }

    #[test]
    fn the_user_wants_the_oldest_first_and_the_background_the_worst() {
        let segments = [facts(1, 9000, 3000, 0), facts(2, 9000, 9000, 0), facts(3, 9000, 1000, 0)];
        assert_eq!(pick(&segments, &options(), Aim::All), Some(vec![1]));
        assert_eq!(pick(&segments, &options(), Aim::Ratio), Some(vec![3]));
        let alike = [segments[0], segments[1], facts(3, 9000, 3000, 0)];
        assert_eq!(pick(&alike, &options(), Aim::Ratio), Some(vec![1]), "the older of two that are as bad");
    }

    #[test]
    fn a_ratio_of_1_leaves_all_to_the_user() {
        let never = BitcaskOptions { merge_garbage_ratio: 1.0, ..options() };
        let dead = [facts(1, 9000, 0, 0)];
        let aims = [Aim::Ratio, Aim::All];
        assert_eq!(aims.map(|aim| pick(&dead, &never, aim)), [None, Some(vec![1])]);
        let small: Vec<_> = (1..=4).map(|n| facts(n, 1000, 1000, 0)).collect();
        assert_eq!(aims.map(|aim| pick(&small, &never, aim)), [None, Some(vec![1, 2, 3, 4])]);
    }

    #[test]
    fn small_neighbours_fit_into_a_segment_with_its_header() {
        let four = |bytes| (1..=4).map(|n| facts(n, bytes, bytes, 0)).collect::<Vec<_>>();
        let most = (10_000 - HEADER_LEN) / 4;
        assert_eq!(pick(&four(most), &options(), Aim::Ratio), Some(vec![1, 2, 3, 4]));
        assert_eq!(pick(&four(most + 1), &options(), Aim::Ratio), None);
    }
}
