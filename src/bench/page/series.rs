//! What plots are made of: the runs of one workload, and their samples as points.

use crate::bench::compare::Comparison;
use crate::bench::page::lines::Points;
use crate::bench::report::{Report, Sample};

/// One configuration's runs of one workload.
#[derive(Clone, Debug)]
pub(super) struct Side<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// Its number among all, which is its colour.
    pub(super) at: usize,
    /// Its rounds; at least one.
    rounds: Vec<&'a Report>,
    /// The one in the middle.
    middle: usize,
}

impl<'a> Side<'a> {
    /// The sides of the workload with a number. Who has no such run is left out.
    pub(super) fn all(comparison: &'a Comparison, workload: usize) -> Vec<Side<'a>> {
        let runs = comparison.configurations.iter().zip(&comparison.runs).enumerate();
        runs.filter_map(|(at, (name, rounds))| {
            let rounds: Vec<&Report> = rounds.iter().filter_map(|reports| reports.get(workload)).collect();
            let middle = middle(&rounds)?;
            Some(Side { name, at, rounds, middle })
        })
        .collect()
    }

    /// The round whose throughput is in the middle.
    pub(super) fn report(&self) -> &'a Report {
        self.rounds[self.middle]
    }

    /// The other rounds.
    pub(super) fn others(&self) -> impl Iterator<Item = &'a Report> {
        let others = self.rounds.iter().enumerate().filter(|(at, _)| *at != self.middle);
        others.map(|(_, report)| *report)
    }

    /// Whether time was taken.
    pub(super) fn is_timed(&self) -> bool {
        self.rounds.iter().any(|report| report.seconds > 0.0)
    }
}

/// The number of the run in the middle; `None` without runs. Of two in the middle, the slower.
fn middle(rounds: &[&Report]) -> Option<usize> {
    let mut order: Vec<usize> = (0..rounds.len()).collect();
    order.sort_by(|a, b| rounds[*a].pairs_per_second().total_cmp(&rounds[*b].pairs_per_second()));
    order.get(rounds.len().checked_sub(1)? / 2).copied()
}

/// What stands on an x axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Along {
    /// Time since the workload began.
    Time,
    /// Pairs that were written, read or removed.
    Pairs,
}

impl Along {
    /// Where a sample stands.
    pub(super) fn of(self, sample: &Sample) -> f64 {
        match self {
            Along::Time => sample.seconds,
            Along::Pairs => sample.pairs as f64,
        }
    }
}

/// What becomes of several samples that share a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Their mean.
    Mean,
    /// The largest.
    Most,
    /// The last: of what only adds up.
    Last,
}

/// Points of a line, at most: more can not be told apart.
pub(super) const FINE: usize = 240;

/// Points of a line, of the samples of which `number` knows one.
pub(super) fn points(
    report: &Report,
    along: Along,
    share: Share,
    number: impl Fn(&Sample) -> Option<f64>,
) -> Points {
    let samples = report.samples.iter();
    let all = samples.filter_map(|sample| Some((along.of(sample), number(sample)?)));
    let all: Points = all.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let of_each = all.len().div_ceil(FINE).max(1);
    all.chunks(of_each).filter_map(|chunk| shared(chunk, share)).collect()
}

fn shared(chunk: &[(f64, f64)], share: Share) -> Option<(f64, f64)> {
    let (x, last) = *chunk.last()?;
    let numbers = chunk.iter().map(|(_, y)| *y);
    let y = match share {
        Share::Mean => numbers.sum::<f64>() / chunk.len() as f64,
        Share::Most => numbers.fold(0.0, f64::max),
        Share::Last => last,
    };
    Some((x, y))
}

/// The samples whose rates can be told: the last one may stand right behind the one before, and its
/// rate is chance.
pub(super) fn steady(report: &Report) -> Report {
    let mut report = Report { latencies: Vec::new(), ..report.clone() };
    if let [.., first, second, last] = &report.samples[..] {
        let (usual, rest) = (second.seconds - first.seconds, last.seconds - second.seconds);
        if rest < usual / 2.0 {
            report.samples.pop();
        }
    }
    report
}
