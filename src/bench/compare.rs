//! The same workloads on several configurations, side by side.
//!
//! A machine drifts: it is faster in one minute than in the next, by tens of per cent. So configurations
//! take turns, in one order and then in the other, and what is compared are the ratios *within* a round;
//! their spread over the rounds says what they are worth. A verdict is given where every round agrees.

use crate::bench::error::Result;
use crate::bench::report::Report;
use serde::Serialize;

/// What was compared, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The command that makes it again.
    pub command: String,
    /// What they are called, each otherwise than the others. The first is what the others are compared with.
    pub configurations: Vec<String>,
    /// The workloads, in the order in which they were run.
    pub workloads: Vec<String>,
    /// Figure by figure.
    pub rows: Vec<Row>,
    /// For each configuration, for each round, for each workload: everything that was measured.
    pub runs: Vec<Vec<Vec<Report>>>,
}

/// One figure of one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The workload.
    pub workload: String,
    /// The figure.
    pub figure: Figure,
    /// In what it is counted.
    pub unit: &'static str,
    /// For each configuration, what it was; `None` where it says nothing.
    pub sides: Vec<Option<Spread>>,
    /// For each configuration but the first: how many times the first one's it is.
    pub ratios: Vec<Option<Spread>>,
    /// In words, where every round agrees.
    pub verdict: Option<String>,
}

/// The middle of several measurements, and the ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half are below.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of some numbers; `None` without any.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let (least, most) = (*numbers.first()?, *numbers.last()?);
        let (upper, lower) = (numbers[numbers.len() / 2], numbers[(numbers.len() - 1) / 2]);
        Some(Spread { median: (upper + lower) / 2.0, least, most })
    }

    /// Of ratios: whether every one says that there is a difference, and the same one.
    pub fn is_telling(&self) -> bool {
        self.least > 1.0 + TELLING || self.most < 1.0 - TELLING
    }
}

/// A figure that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Pairs a second.
    Throughput,
    /// What 99 calls in a hundred take at most, of the kind of call that is made most.
    P99,
    /// Time of the processor for a pair, background included.
    Cpu,
    /// Bytes written for a byte of the user's.
    WriteAmplification,
    /// Bytes read for a byte that the user got.
    ReadAmplification,
    /// Bytes of files for a byte that is there.
    SpaceAmplification,
    /// Bytes of memory for a key.
    Memory,
}

impl Figure {
    /// All, in the order in which they are shown.
    pub const ALL: [Figure; 7] = [
        Figure::Throughput,
        Figure::P99,
        Figure::Cpu,
        Figure::WriteAmplification,
        Figure::ReadAmplification,
        Figure::SpaceAmplification,
        Figure::Memory,
    ];

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Figure::Throughput => "throughput",
            Figure::P99 => "p99 latency",
            Figure::Cpu => "processor time",
            Figure::WriteAmplification => "write amplification",
            Figure::ReadAmplification => "read amplification",
            Figure::SpaceAmplification => "space amplification",
            Figure::Memory => "memory",
        }
    }

    /// In what it is counted.
    pub fn unit(self) -> &'static str {
        match self {
            Figure::Throughput => "pairs/s",
            Figure::P99 => "us",
            Figure::Cpu => "us/pair",
            Figure::WriteAmplification | Figure::ReadAmplification | Figure::SpaceAmplification => "B/B",
            Figure::Memory => "B/key",
        }
    }

    /// What it was in a run; `None` where it says nothing.
    pub fn of(self, report: &Report) -> Option<f64> {
        let pairs = report.pairs.max(1) as f64;
        let is_timed = report.seconds > 0.0;
        match self {
            Figure::Throughput => (is_timed && report.pairs > 0).then(|| report.pairs_per_second()),
            Figure::P99 => {
                let most = report.latencies.iter().max_by_key(|latency| latency.calls);
                most.filter(|latency| latency.calls >= 100).map(|latency| latency.p99_us)
            }
            Figure::Cpu => (is_timed && report.pairs > 0).then(|| report.cpu_seconds * 1e6 / pairs),
            Figure::WriteAmplification => report.amplification.write,
            Figure::ReadAmplification => report.amplification.read,
            Figure::SpaceAmplification => report.amplification.space.filter(|_| report.writes()),
            Figure::Memory => report.memory.bytes_per_key,
        }
    }

    /// What one says of a configuration of which this is `ratio` times as much as of another.
    fn verdict(self, name: &str, other: &str, ratio: f64) -> String {
        let times = |more: &str, less: &str| match ratio > 1.0 {
            true => format!("{name} {more} {ratio:.2} times as much as {other}"),
            false => format!("{name} {less} {:.2} times less than {other}", 1.0 / ratio),
        };
        match self {
            Figure::Throughput if ratio > 1.0 => format!("{name} is {ratio:.2} times as fast as {other}"),
            Figure::Throughput => format!("{name} is {:.2} times slower than {other}", 1.0 / ratio),
            Figure::P99 if ratio > 1.0 => format!("{name}'s slow calls take {ratio:.2} times as long"),
            Figure::P99 => format!("{other}'s slow calls take {:.2} times as long", 1.0 / ratio),
            Figure::Cpu => times("takes", "takes"),
            Figure::WriteAmplification => times("writes", "writes"),
            Figure::ReadAmplification => times("reads", "reads"),
            Figure::SpaceAmplification => times("needs", "needs"),
            Figure::Memory => times("keeps", "keeps"),
        }
    }
}

/// A difference below this part is none.
const TELLING: f64 = 0.05;

impl Comparison {
    /// Compares runs: for each configuration, for each round, for each workload.
    pub fn of(command: String, configurations: Vec<String>, runs: Vec<Vec<Vec<Report>>>) -> Comparison {
        let first = runs.first().and_then(|rounds| rounds.first());
        let workloads: Vec<String> =
            first.into_iter().flatten().map(|report| report.conditions.workload.clone()).collect();
        let configurations = distinct(configurations);
        let mut rows = Vec::new();
        for (at, workload) in workloads.iter().enumerate() {
            for figure in Figure::ALL {
                let of = |rounds: &Vec<Vec<Report>>| -> Vec<Option<f64>> {
                    rounds.iter().map(|reports| figure.of(reports.get(at)?)).collect()
                };
                let figures: Vec<Vec<Option<f64>>> = runs.iter().map(of).collect();
                rows.extend(Row::of(workload, figure, &configurations, &figures));
            }
        }
        Comparison { command, configurations, workloads, rows, runs }
    }
}

impl Row {
    /// `figures`: for each configuration, for each round. `None`: nobody has such a figure.
    fn of(workload: &str, figure: Figure, names: &[String], figures: &[Vec<Option<f64>>]) -> Option<Row> {
        let sides: Vec<_> =
            figures.iter().map(|rounds| Spread::of(rounds.iter().copied().flatten())).collect();
        sides.iter().any(Option::is_some).then_some(())?;
        let (first, others) = figures.split_first()?;
        let ratios: Vec<_> = others
            .iter()
            .map(|rounds| {
                let pairs = rounds.iter().zip(first).filter_map(|(a, b)| {
                    let [a, b] = [(*a)?, (*b)?];
                    // Nothing is no number of times something.
                    (a > 0.0 && b > 0.0).then(|| a / b)
                });
                Spread::of(pairs)
            })
            .collect();
        let (workload, unit) = (workload.to_string(), figure.unit());
        let mut row = Row { workload, figure, unit, sides, ratios, verdict: None };
        row.verdict = row.words(names);
        Some(row)
    }

    /// The verdict, where there is one, in which the configurations have these names.
    pub fn words(&self, names: &[String]) -> Option<String> {
        let (first, others) = names.split_first()?;
        let telling = self.ratios.iter().zip(others).filter_map(|(ratio, name)| {
            let ratio = (*ratio).filter(Spread::is_telling)?;
            Some(self.figure.verdict(name, first, ratio.median))
        });
        let verdicts: Vec<String> = telling.collect();
        (!verdicts.is_empty()).then(|| verdicts.join("; "))
    }
}

/// Names of which one that was there before gets a number behind it: `lsm`, `lsm (2)`.
pub fn distinct(names: Vec<String>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for name in names {
        let others = (2..).map(|number| format!("{name} ({number})"));
        let free = std::iter::once(name.clone()).chain(others).find(|name| !distinct.contains(name));
        distinct.push(free.unwrap_or(name));
    }
    distinct
}

/// Runs each configuration in turn, `rounds` times: in one order, and then in the other. `run` runs the
/// one with a number, in a round.
pub fn interleave(
    configurations: usize,
    rounds: usize,
    mut run: impl FnMut(usize, usize) -> Result<Vec<Report>>,
) -> Result<Vec<Vec<Vec<Report>>>> {
    let mut runs: Vec<Vec<Vec<Report>>> = vec![Vec::new(); configurations];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..configurations).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            runs[at].push(run(at, round)?);
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::{Figure, Row, Spread, distinct, interleave};

    fn row(first: [f64; 3], second: [f64; 3]) -> Row {
        let figures = [first, second].map(|rounds| rounds.map(Some).to_vec());
        let names = ["bitcask", "lsm"].map(String::from);
        Row::of("fillrandom", Figure::Throughput, &names, &figures).unwrap()
    }

    #[test]
    fn a_verdict_needs_every_round() {
        let clear = row([100.0, 50.0, 200.0], [210.0, 100.0, 380.0]);
        assert_eq!(clear.ratios, [Some(Spread { median: 2.0, least: 1.9, most: 2.1 })]);
        assert_eq!(clear.verdict.as_deref(), Some("lsm is 2.00 times as fast as bitcask"));
        let slower = row([100.0, 50.0, 200.0], [50.0, 26.0, 90.0]);
        assert_eq!(slower.verdict.as_deref(), Some("lsm is 2.00 times slower than bitcask"));
        assert_eq!(row([100.0, 50.0, 200.0], [210.0, 49.0, 380.0]).verdict, None, "they do not agree");
        assert_eq!(row([100.0, 50.0, 200.0], [104.0, 52.0, 207.0]).verdict, None, "too little to tell");
        let none = Row::of("fillrandom", Figure::P99, &["a".into()], &[vec![None, None]]);
        assert_eq!(none, None);
    }

    // The words had the names replaced in their text: where two were equal, A was 1.27 times as fast as A.
    #[test]
    fn equal_configurations_are_told_apart() {
        assert_eq!(
            distinct(["lsm", "lsm", "lsm (2)", "lsm"].map(String::from).to_vec()),
            ["lsm", "lsm (2)", "lsm (2) (2)", "lsm (3)"]
        );
        let names = ["A", "B"].map(String::from);
        let words = row([100.0, 50.0, 200.0], [210.0, 100.0, 380.0]).words(&names);
        assert_eq!(words.as_deref(), Some("B is 2.00 times as fast as A"));
    }

    #[test]
    fn configurations_take_turns() {
        let mut order = Vec::new();
        let runs = interleave(3, 2, |at, round| {
            order.push((at, round));
            Ok(Vec::new())
        });
        assert_eq!(order, [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1)]);
        assert_eq!(runs.unwrap().len(), 3);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let median = |numbers: &[f64]| Spread::of(numbers.iter().copied()).map(|spread| spread.median);
        assert_eq!(
            [median(&[]), median(&[3.0, 1.0]), median(&[5.0, 1.0, 2.0])],
            [None, Some(2.0), Some(2.0)]
        );
    }
}
