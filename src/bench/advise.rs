//! Which engine suits a workload, with reasons in numbers.
//!
//! What decides, in this order: a store whose keys do not fit into memory can not be a Bitcask; else the
//! engine that needs less time for the workload, if every round agrees; else the one that writes less, for
//! that wears out devices and leaves them free for others. The rest is told, and decides nothing.

use crate::bench::compare::{Comparison, Figure, Row};
use crate::bench::report::Report;
use serde::Serialize;

/// What the store will have to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// Keys that it will hold; those of the run, if nobody says.
    pub keys: Option<u64>,
    /// Bytes of memory that it may take; any, if nobody says.
    pub memory_bytes: Option<u64>,
}

/// What is recommended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The engine; `None`: the run shows no difference that counts.
    pub engine: Option<String>,
    /// What decided.
    pub because: String,
    /// What speaks for it.
    pub reasons: Vec<String>,
    /// What speaks against it.
    pub but: Vec<String>,
}

/// What decides of one side, round by round: what was asked for. Filling the store is work too, but done
/// once; it counts where nothing else was asked for.
fn counting(comparison: &Comparison, side: usize) -> Vec<Vec<&Report>> {
    let fills = |name: &str| name.starts_with("fill") || name == "load";
    let only_fills = comparison.workloads.iter().all(|name| fills(name));
    let rounds = comparison.runs.get(side).map_or(&[][..], |rounds| rounds);
    let counts = |report: &&Report| only_fills || !fills(&report.conditions.workload);
    rounds.iter().map(|reports| reports.iter().filter(counts).collect()).collect()
}

/// What one side spent on what decides, in each round: on each workload, what it spent on a call, times the
/// calls of the first side. Where time is the limit, each side makes the calls that it has time for.
fn spent(comparison: &Comparison, side: usize, on: fn(&Report) -> f64) -> Vec<f64> {
    let like_the_first = |(report, first): (&&Report, &&Report)| {
        on(report) * first.calls.max(1) as f64 / report.calls.max(1) as f64
    };
    let rounds = counting(comparison, side).into_iter().zip(counting(comparison, 0));
    rounds.map(|(reports, first)| reports.iter().zip(&first).map(like_the_first).sum()).collect()
}

/// What one side took for what decides, in each round.
fn seconds(comparison: &Comparison, side: usize) -> Vec<f64> {
    spent(comparison, side, |report| report.seconds)
}

/// Bytes that one side wrote for what decides, in the last round.
fn written(comparison: &Comparison, side: usize) -> f64 {
    let bytes =
        |report: &Report| report.ledger.as_ref().map_or(0.0, |ledger| ledger.total.written_bytes as f64);
    spent(comparison, side, bytes).last().copied().unwrap_or_default()
}

/// Bytes of memory for a key that grow with the keys: the keydir; filters and indexes. Memtables and the
/// cache do not.
fn growing_bytes_per_key(comparison: &Comparison, side: usize) -> Option<f64> {
    let reports = comparison.runs.get(side)?.last()?;
    let growing = |report: &Report| -> u64 {
        let grows = |name: &str| matches!(name, "keydir" | "table indexes" | "filters");
        report.memory.parts.iter().filter(|(name, _)| grows(name)).map(|(_, bytes)| bytes).sum()
    };
    reports
        .iter()
        .filter(|report| report.shape.keys > 0)
        .map(|r| growing(r) as f64 / r.shape.keys as f64)
        .reduce(f64::max)
}

/// Judges a comparison of two configurations, of which the first is a Bitcask.
pub fn advise(comparison: &Comparison, needs: Needs) -> Advice {
    let names: Vec<&str> =
        comparison.configurations.iter().map(|name| name.split(':').next().unwrap_or(name)).collect();
    let [bitcask, lsm] = [0, 1].map(|side| names.get(side).copied().unwrap_or("?"));
    let keys = needs.keys.or_else(|| Some(comparison.runs.first()?.last()?.last()?.shape.keys)).unwrap_or(0);
    let memory = |side| growing_bytes_per_key(comparison, side).map(|bytes| bytes * keys as f64);
    let keydir = memory(0).unwrap_or_default();
    if let Some(most) = needs.memory_bytes.filter(|most| keydir > *most as f64) {
        let because = format!(
            "the keydir of {keys} keys takes {:.1} MiB, more than the {:.1} MiB that there are",
            keydir / f64::from(1 << 20),
            most as f64 / f64::from(1 << 20)
        );
        return told(comparison, 1, lsm, because);
    }
    let (a, b) = (seconds(comparison, 0), seconds(comparison, 1));
    let ratios: Vec<f64> =
        a.iter().zip(&b).filter(|(a, b)| **a > 0.0 && **b > 0.0).map(|(a, b)| a / b).collect();
    let all = |test: fn(f64) -> bool| !ratios.is_empty() && ratios.iter().all(|ratio| test(*ratio));
    let middle = |numbers: &[f64]| {
        crate::bench::compare::Spread::of(numbers.iter().copied()).map_or(0.0, |s| s.median)
    };
    if all(|ratio| ratio < 0.95) {
        let because =
            format!("it needs {:.2} of the time of {lsm} for the calls that were asked for", middle(&ratios));
        return told(comparison, 0, bitcask, because);
    }
    if all(|ratio| ratio > 1.05) {
        let inverse: Vec<f64> = ratios.iter().map(|ratio| 1.0 / ratio).collect();
        let because = format!(
            "it needs {:.2} of the time of {bitcask} for the calls that were asked for",
            middle(&inverse)
        );
        return told(comparison, 1, lsm, because);
    }
    let (a, b) = (written(comparison, 0), written(comparison, 1));
    if a < 0.9 * b {
        let because = format!("both take about as long, and it writes {:.2} of the bytes of {lsm}", a / b);
        return told(comparison, 0, bitcask, because);
    }
    if b < 0.9 * a {
        let because =
            format!("both take about as long, and it writes {:.2} of the bytes of {bitcask}", b / a);
        return told(comparison, 1, lsm, because);
    }
    Advice {
        engine: None,
        because: "the run shows no difference that counts: make it longer, or closer to what you will do"
            .into(),
        reasons: Vec::new(),
        but: Vec::new(),
    }
}

/// The advice for one side, with what speaks for it and against it.
fn told(comparison: &Comparison, side: usize, name: &str, because: String) -> Advice {
    let (mut reasons, mut but) = (Vec::new(), Vec::new());
    for row in &comparison.rows {
        let Some((is_better, line)) = judge(row, side) else { continue };
        if is_better { reasons.push(line) } else { but.push(line) }
    }
    match side {
        0 => but.push("all keys stay in memory, and opening reads a hint of each".into()),
        _ => but.push("background compaction takes its time and its bytes whenever it wants".into()),
    }
    Advice { engine: Some(name.to_string()), because, reasons, but }
}

/// Whether a figure speaks for a side, in words; `None` where the rounds do not agree.
fn judge(row: &Row, side: usize) -> Option<(bool, String)> {
    let ratio = row.ratios.first().copied().flatten()?;
    row.verdict.as_ref()?;
    let more_is_better = row.figure == Figure::Throughput;
    let second_is_better = (ratio.median > 1.0) == more_is_better;
    let is_better = second_is_better == (side == 1);
    let [mine, other] = [side, 1 - side].map(|side| row.sides.get(side).copied().flatten());
    let (mine, other) = (mine?.median, other?.median);
    let number = |number: f64| if number >= 1000.0 { format!("{number:.0}") } else { format!("{number:.2}") };
    let (figure, unit) = (row.figure.name(), row.unit);
    Some((
        is_better,
        format!("{}: {figure} {} {unit}, the other {}", row.workload, number(mine), number(other)),
    ))
}

#[cfg(test)]
mod tests {
    use super::{Needs, advise};
    use crate::bench::compare::Comparison;
    use crate::bench::report::Report;

    fn run(workload: &str, seconds: f64, written: u64, keydir: u64) -> Report {
        let mut report = Report { seconds, pairs: 1000, ..Report::default() };
        report.conditions.workload = workload.into();
        report.shape.keys = 1000;
        report.memory.parts = vec![("keydir".into(), keydir)];
        let mut ledger = crate::vfs::counting::Ledger::default();
        ledger.total.written_bytes = written;
        report.ledger = Some(ledger);
        report
    }

    fn comparison(bitcask: &[(f64, u64)], lsm: &[(f64, u64)]) -> Comparison {
        let rounds = |times: &[(f64, u64)]| {
            times
                .iter()
                .map(|&(seconds, written)| vec![run("readrandom", seconds, written, 50_000)])
                .collect()
        };
        let names = ["bitcask:segment_bytes=12MiB", "lsm"].map(String::from).to_vec();
        Comparison::of(String::new(), names, vec![rounds(bitcask), rounds(lsm)])
    }

    #[test]
    fn time_decides_then_bytes() {
        let engine = |a: &[(f64, u64)], b: &[(f64, u64)]| advise(&comparison(a, b), Needs::default()).engine;
        assert_eq!(engine(&[(1.0, 9), (1.1, 9)], &[(2.0, 1), (1.9, 1)]).as_deref(), Some("bitcask"));
        assert_eq!(engine(&[(2.0, 1), (1.9, 1)], &[(1.0, 9), (1.1, 9)]).as_deref(), Some("lsm"));
        assert_eq!(
            engine(&[(1.0, 9), (2.0, 9)], &[(2.0, 4), (1.0, 4)]).as_deref(),
            Some("lsm"),
            "fewer bytes"
        );
        assert_eq!(engine(&[(1.0, 9), (2.0, 9)], &[(2.0, 9), (1.0, 9)]), None);
    }

    /// Where time was the limit, both sides had taken as long, so bytes decided, and the one that had made a third
    /// of the calls had written a third of the bytes: the slower engine was recommended.
    #[test]
    fn who_makes_more_calls_in_the_same_time_needs_less_of_it() {
        let rounds = |calls| {
            let mut report = run("overwrite", 1.0, calls, 1);
            report.calls = calls;
            vec![vec![report]]
        };
        let engine = |a, b| {
            let names = ["bitcask", "lsm"].map(String::from).to_vec();
            let both = Comparison::of(String::new(), names, vec![rounds(a), rounds(b)]);
            advise(&both, Needs::default()).engine
        };
        assert_eq!(engine(3000, 1000).as_deref(), Some("bitcask"));
        assert_eq!(engine(1000, 3000).as_deref(), Some("lsm"));
        assert_eq!(engine(1020, 1000), None, "as many bytes a call");
    }

    /// Bytes that a fill had written decided about reads, though its time did not: of a trace of seven calls on a
    /// store of 118 pairs, the load of the 118 gave the advice.
    #[test]
    fn what_fills_the_store_decides_only_where_nothing_else_is_asked_for() {
        let side = |fill: &str, filled: u64| {
            [(1.0, 2.0), (2.0, 1.0)]
                .map(|(a, b)| vec![run(fill, a, filled, 1), run("replay", b, 9, 1)])
                .to_vec()
        };
        let names = ["bitcask", "lsm"].map(String::from).to_vec();
        for fill in ["load", "fillrandom"] {
            let mut rounds = side(fill, 9);
            rounds.reverse();
            let runs = vec![side(fill, 1), rounds];
            let both = Comparison::of(String::new(), names.clone(), runs);
            assert_eq!(advise(&both, Needs::default()).engine, None, "{fill}");
        }
        let only = |written| vec![vec![run("fillseq", 1.0, written, 1)]];
        let fills = Comparison::of(String::new(), names, vec![only(9), only(1)]);
        assert_eq!(advise(&fills, Needs::default()).engine.as_deref(), Some("lsm"));
    }

    #[test]
    fn keys_that_do_not_fit_rule_bitcask_out() {
        let faster = comparison(&[(1.0, 1)], &[(2.0, 2)]);
        let needs = |keys, bytes| Needs { keys: Some(keys), memory_bytes: Some(bytes) };
        assert_eq!(advise(&faster, needs(1_000_000, 100 << 20)).engine.as_deref(), Some("bitcask"));
        let advice = advise(&faster, needs(100_000_000, 100 << 20));
        assert_eq!(advice.engine.as_deref(), Some("lsm"));
        assert!(advice.because.contains("keydir"), "{}", advice.because);
    }

    #[test]
    fn reasons_are_told_on_both_sides() {
        let advice = advise(&comparison(&[(1.0, 1), (1.0, 1)], &[(2.0, 2), (2.1, 2)]), Needs::default());
        assert!(
            advice.reasons.iter().any(|reason| reason.starts_with("readrandom: throughput 1000")),
            "{advice:?}"
        );
        assert!(!advice.but.is_empty());
    }
}
