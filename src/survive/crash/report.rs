//! What came of exploring, summed up: for people and as JSON.

use crate::survive::crash::shrink::Shortest;
use crate::survive::crash::{Effort, Experiment, Outcome};
use crate::survive::engine::Engine;
use crate::vfs::crash::state::Violation;
use serde::Serialize;
use std::collections::HashSet;

/// What came of one engine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The engine, and its options that are not as usual.
    pub engine: String,
    /// From which everything random was drawn.
    pub seed: u64,
    /// How much was tried in each round: `short`, `long`.
    pub effort: &'static str,
    /// How often: once, or, with a budget of time, until it was over; each time with other random disks.
    pub rounds: u64,
    /// What was left out on purpose, and how often; empty if nothing was.
    pub forgotten: Vec<String>,
    /// Operations that were left out on purpose.
    pub left_out: u64,
    /// One row for each way.
    pub ways: Vec<Row>,
    /// Different disks that were judged, each counted once.
    pub distinct_disks: u64,
    /// States that were worked out.
    pub states: u64,
    /// Cuts at which there was no room for all states that are made by rule; the next ones show some of these.
    pub truncated: u64,
    /// States that were held against the history: a disk may be judged several times, with other promises.
    pub judgements: u64,
    /// Promises that were found broken; no more than the first ten of each part of an experiment.
    pub violations: u64,
    /// Seconds of processor.
    pub cpu_seconds: f64,
    /// States for each second of processor.
    pub states_per_second: f64,
    /// The first violation, with the shortest workload that shows one.
    pub first: Option<Example>,
}

/// What came of one way of crashing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// One crash, a second life, a recovery that crashes.
    pub way: String,
    /// How many workloads, each counted once, in however many rounds.
    pub workloads: u64,
    /// Places at which recordings were cut.
    pub cuts: u64,
    /// States that were worked out.
    pub states: u64,
    /// Different disks.
    pub disks: u64,
    /// Promises that were found broken.
    pub violations: u64,
}

/// A promise that was found broken.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// The experiment that found it.
    pub experiment: String,
    /// Which promise.
    pub message: String,
    /// The crash that shows it, in one line.
    pub description: String,
    /// The shortest workload that shows one, in the words of scripts.
    pub script: String,
    /// What breaks there.
    pub shortest_message: String,
    /// What was done there before the crash, and what became of it.
    pub timeline: Vec<String>,
    /// The syncs that would have kept what was lost.
    pub missing: Vec<String>,
}

impl Effort {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Effort::Short => "short",
            Effort::Long => "long",
        }
    }
}

/// Sums up round by round. Keeps two numbers for each disk: some 40 bytes.
pub struct Tally {
    summary: Summary,
    /// What identifies a disk: half of its hash.
    all: HashSet<u64>,
    of_way: Vec<HashSet<u64>>,
    /// The workloads of each way, by name.
    workloads: Vec<HashSet<String>>,
}

impl Tally {
    /// Nothing yet, of this engine.
    pub fn new(engine: &Engine, seed: u64) -> Tally {
        let summary = Summary { engine: engine.to_string(), seed, ..Summary::default() };
        Tally { summary, all: HashSet::new(), of_way: Vec::new(), workloads: Vec::new() }
    }

    /// What came of these experiments; `cpu_seconds` is what they took of the processor.
    pub fn add(&mut self, experiments: &[Experiment], outcomes: &[Outcome], cpu_seconds: f64) {
        let Tally { summary, all, of_way, workloads } = self;
        summary.cpu_seconds += cpu_seconds;
        summary.rounds += 1;
        for (experiment, outcome) in experiments.iter().zip(outcomes) {
            summary.effort = experiment.effort.name();
            let way = experiment.way.words();
            let at = summary.ways.iter().position(|row| row.way == way).unwrap_or_else(|| {
                summary.ways.push(Row { way, ..Row::default() });
                of_way.push(HashSet::new());
                workloads.push(HashSet::new());
                of_way.len() - 1
            });
            let (row, report) = (&mut summary.ways[at], &outcome.report);
            workloads[at].insert(experiment.workload.name.clone());
            row.workloads = workloads[at].len() as u64;
            row.cuts += report.cuts;
            row.states += report.states;
            row.violations += report.violations.len() as u64;
            let disks = outcome.disks.iter().map(|hash| *hash as u64);
            of_way[at].extend(disks.clone());
            all.extend(disks);
            summary.left_out += outcome.left_out as u64;
            summary.judgements += report.distinct;
            summary.truncated += report.truncated;
        }
    }

    /// All of it.
    pub fn summary(self) -> Summary {
        let Tally { mut summary, all, of_way, .. } = self;
        for (row, disks) in summary.ways.iter_mut().zip(of_way) {
            row.disks = disks.len() as u64;
        }
        summary.distinct_disks = all.len() as u64;
        summary.states = summary.ways.iter().map(|row| row.states).sum();
        summary.violations = summary.ways.iter().map(|row| row.violations).sum();
        summary.states_per_second = summary.states as f64 / summary.cpu_seconds.max(1e-9);
        summary
    }
}

impl Example {
    /// A violation, and the shortest workload that shows one.
    pub fn of(
        experiment: &Experiment,
        violation: &Violation,
        shortest: &Shortest,
        script: String,
    ) -> Example {
        let timeline = &shortest.violation.timeline;
        let lines = timeline.to_string();
        Example {
            experiment: experiment.name(),
            message: violation.message.clone(),
            description: violation.description.clone(),
            script,
            shortest_message: shortest.violation.message.clone(),
            timeline: lines.lines().take(timeline.lines.len()).map(str::to_string).collect(),
            missing: timeline.missing.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use crate::survive::crash::{Effort, Experiment, Outcome, Way};
    use crate::survive::engine::Engine;
    use crate::survive::workloads;

    /// With a budget of time, a workload was counted again in each round.
    #[test]
    fn a_workload_of_many_rounds_is_one() {
        let engine = Engine::lsm();
        let round = |seed| {
            let of = |workload| Experiment { workload, way: Way::Crash, effort: Effort::Short, seed };
            vec![of(workloads::singles(&engine)), of(workloads::random(&engine, seed))]
        };
        let mut tally = Tally::new(&engine, 1);
        for seed in 1..=3 {
            tally.add(&round(seed), &[Outcome::default(), Outcome::default()], 0.0);
        }
        let summary = tally.summary();
        assert_eq!((summary.rounds, summary.ways[0].workloads), (3, 1 + 3));
    }
}
