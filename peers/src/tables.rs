//! The tables: medians over the rounds, and kvs in times of the best of the others.

use crate::stores::{NOT_DURABLE, OWN};
use crate::suite::{Run, Suite};
use kvs::bench::compare::Spread;
use serde::Deserialize;
use std::fmt::Write;

/// What the tables need of a report.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Figures {
    workload: String,
    calls: u64,
    pairs: u64,
    seconds: f64,
    latencies: Vec<Latency>,
    written_bytes: Option<u64>,
    usage: Usage,
    shape: Shape,
    memory: Memory,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Latency {
    call: String,
    calls: u64,
    p99_us: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    key_bytes_written: u64,
    value_bytes_written: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Shape {
    user_bytes: u64,
    disk_bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    peak_resident_bytes: Option<u64>,
}

/// Which of two numbers is better.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Better {
    More,
    Less,
}

/// Takes a number from a stage's reports.
type Take = Box<dyn Fn(&[Figures]) -> Option<f64>>;

/// One line of a table: what it is called, and how it is taken from a stage's reports.
struct Line {
    title: String,
    stage: usize,
    of: Take,
}

/// Lines of one kind.
struct Table {
    title: &'static str,
    /// `None` where kvs is not compared.
    better: Option<Better>,
    show: fn(f64) -> String,
    lines: Vec<Line>,
}

/// Everything that was printed, in Markdown.
pub fn markdown(suite: &Suite) -> String {
    let mut text = conditions(suite);
    for table in tables(suite).iter().filter(|table| !table.lines.is_empty()) {
        text += &table.markdown(suite);
    }
    for run in &suite.runs {
        if let Some(failure) = &run.failure {
            _ = writeln!(text, "\nRound {}: {failure}.", run.round + 1);
        }
    }
    text
}

fn conditions(suite: &Suite) -> String {
    let c = &suite.conditions;
    let stores: Vec<_> = suite.stores.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let load = c.load.map(|load| load.map_or("unknown".to_string(), |load| format!("{load:.1}")));
    let mib = |bytes: u64| format!("{} MiB", bytes as f64 / f64::from(1 << 20));
    format!(
        "{} keys of {} bytes with values of {}, {} calls, seed {}; write buffer {}, cache {}, filters of {} bits \
         a key, no compression, not synced but in fillsync. Medians of {} round{}; {} cores; load {} when it \
         began, {} when it ended. {}.\n",
        c.keys,
        c.key_bytes,
        c.value_bytes,
        c.calls,
        c.seed,
        mib(c.buffer_bytes),
        mib(c.cache_bytes),
        c.filter_bits,
        c.rounds,
        if c.rounds == 1 { "" } else { "s" },
        c.cores,
        load[0],
        load[1],
        stores.join(", "),
    )
}

/// Each stage once: its number, its threads, and its workloads.
fn stages(suite: &Suite) -> Vec<(usize, usize, Vec<String>)> {
    let mut stages: Vec<(usize, usize, Vec<String>)> = Vec::new();
    for run in &suite.runs {
        if stages.iter().all(|(stage, ..)| *stage != run.stage) {
            stages.push((run.stage, run.threads, run.workloads.split(',').map(String::from).collect()));
        }
    }
    stages
}

fn tables(suite: &Suite) -> Vec<Table> {
    let table = |title, better, show| Table { title, better, show, lines: Vec::new() };
    let mut rates = table("operations a second", Some(Better::More), rate);
    let mut slow = table("99 calls in a hundred take at most (us)", Some(Better::Less), number);
    let mut bytes = table("bytes written for a byte of the user's", Some(Better::Less), number);
    let mut space = table("bytes of files for a byte that is there", Some(Better::Less), number);
    let mut memory = table("peak memory of the process (MB)", Some(Better::Less), number);
    let mut waits = table("seconds until the background is through", None, number);
    for (stage, threads, names) in stages(suite) {
        let beside = if threads == 1 { String::new() } else { format!(", {threads} threads") };
        let line = |title: String, of: Take| Line { title, stage, of };
        for (at, name) in names.iter().enumerate() {
            let title = |suffix: &str| format!("{name}{suffix}{beside}");
            let after = || format!("{}, settled{beside}", names[at.saturating_sub(1)]);
            if name == "settle" || name == "compact" {
                let verb = if name == "settle" { "after" } else { "compact after" };
                let title = format!("{verb} {}{beside}", names[at.saturating_sub(1)]);
                waits.lines.push(line(title, Box::new(move |all| Some(all.get(at)?.seconds))));
                space.lines.push(line(after(), Box::new(move |all| all.get(at)?.space())));
                continue;
            }
            match name.as_str() {
                "readwhilewriting" => {
                    for (call, what) in [("read", ": reads"), ("update", ": writes")] {
                        rates
                            .lines
                            .push(line(title(what), Box::new(move |all| all.get(at)?.kind_rate(call))));
                        slow.lines.push(line(title(what), Box::new(move |all| all.get(at)?.kind_p99(call))));
                    }
                }
                _ => {
                    rates.lines.push(line(title(unit(name)), Box::new(move |all| all.get(at)?.rate())));
                    slow.lines.push(line(title(""), Box::new(move |all| all.get(at)?.p99())));
                }
            }
            let writes = name.starts_with("fill") || name.starts_with("delete") || name == "overwrite";
            if writes && name != "fillsync" {
                memory.lines.push(line(title(""), Box::new(move |all| all.get(at)?.peak_megabytes())));
                if names.get(at + 1).is_some_and(|next| next == "settle") {
                    let title = title(", settled");
                    bytes.lines.push(line(title, Box::new(move |all| amplification(all, at))));
                }
            }
        }
    }
    for table in [&mut slow, &mut bytes, &mut space] {
        table.lines.retain(|line| suite.runs.iter().any(|run| line.of_run(run).is_some()));
    }
    vec![rates, slow, bytes, space, memory, waits]
}

/// What is counted, where it is not calls of one pair.
fn unit(name: &str) -> &'static str {
    match name {
        "seekrandom" => " (scans)",
        "fillbatch" | "readseq" | "readreverse" => " (pairs)",
        _ => "",
    }
}

/// Bytes that were written for a byte of the user's; with those of the settling that follows.
fn amplification(all: &[Figures], at: usize) -> Option<f64> {
    let (work, settling) = (all.get(at)?, all.get(at + 1)?);
    let user = work.usage.key_bytes_written + work.usage.value_bytes_written;
    let written = work.written_bytes? + settling.written_bytes?;
    (user > 0).then(|| written as f64 / user as f64)
}

impl Figures {
    fn rate(&self) -> Option<f64> {
        let count = if self.workload == "seekrandom" { self.calls } else { self.pairs };
        (self.seconds > 0.0 && count > 0).then(|| count as f64 / self.seconds)
    }

    fn kind(&self, call: &str) -> Option<&Latency> {
        self.latencies.iter().find(|latency| latency.call == call)
    }

    fn kind_rate(&self, call: &str) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.kind(call).map(|kind| kind.calls as f64 / self.seconds))?
    }

    fn kind_p99(&self, call: &str) -> Option<f64> {
        Some(self.kind(call).filter(|kind| kind.calls >= 100)?.p99_us)
    }

    fn p99(&self) -> Option<f64> {
        let most = self.latencies.iter().max_by_key(|latency| latency.calls)?;
        (most.calls >= 100).then_some(most.p99_us)
    }

    fn space(&self) -> Option<f64> {
        let Shape { user_bytes, disk_bytes } = self.shape;
        (user_bytes > 0).then(|| disk_bytes as f64 / user_bytes as f64)
    }

    fn peak_megabytes(&self) -> Option<f64> {
        Some(self.memory.peak_resident_bytes? as f64 / 1e6)
    }
}

impl Line {
    fn of_run(&self, run: &Run) -> Option<f64> {
        if run.stage != self.stage {
            return None;
        }
        let figures = run.reports.iter().map(Figures::deserialize).collect::<Result<Vec<_>, _>>();
        (self.of)(&figures.ok()?)
    }

    /// For each round, the figure of a store.
    fn of_store(&self, suite: &Suite, store: &str) -> Vec<Option<f64>> {
        let in_round = |round| {
            let runs = suite.runs.iter().filter(|run| run.round == round && run.store == store);
            runs.filter_map(|run| self.of_run(run)).next()
        };
        (0..suite.conditions.rounds).map(in_round).collect()
    }
}

impl Table {
    fn markdown(&self, suite: &Suite) -> String {
        let names: Vec<&str> = suite.stores.iter().map(|(name, _)| *name).collect();
        let own: Vec<&str> = names.iter().copied().filter(|name| OWN.contains(name)).collect();
        let better = self.better.filter(|_| own.len() < names.len());
        let mut heads: Vec<String> = vec![self.title.to_string()];
        heads.extend(names.iter().map(|name| match OWN.contains(name) {
            true => format!("kvs {name}"),
            false => name.to_string(),
        }));
        if better.is_some() {
            heads.extend(own.iter().map(|name| format!("{name} / best peer")));
        }
        let mut text = format!("\n| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
        for line in &self.lines {
            let rounds: Vec<_> = names.iter().map(|name| line.of_store(suite, name)).collect();
            let medians: Vec<_> = rounds.iter().map(|rounds| median(rounds.iter().copied())).collect();
            let mut cells = vec![line.title.clone()];
            cells.extend(medians.iter().map(|median| median.map_or("-".into(), self.show)));
            if let Some(better) = better {
                let best = best(better, &names, &medians, &line.title);
                cells.extend(own.iter().map(|name| ratio(&names, &rounds, name, best)));
            }
            _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}

/// The peer with the best median.
fn best(better: Better, names: &[&str], medians: &[Option<f64>], title: &str) -> Option<usize> {
    let is_out = |name| OWN.contains(name) || title.starts_with("fillsync") && NOT_DURABLE.contains(name);
    let peers = (0..names.len()).filter(|&at| !is_out(&names[at]));
    let mut known: Vec<_> = peers.filter_map(|at| Some((medians[at]?, at))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let best = if better == Better::More { known.last() } else { known.first() };
    best.map(|(_, at)| *at)
}

/// A store in times of the best peer: the median of what it was within each round, and whose.
fn ratio(names: &[&str], rounds: &[Vec<Option<f64>>], own: &str, best: Option<usize>) -> String {
    let ratio = || {
        let (own, best) = (names.iter().position(|name| *name == own)?, best?);
        let within = |(a, b): (&Option<f64>, &Option<f64>)| Some((*a)? / (*b).filter(|b| *b > 0.0)?);
        let ratios = rounds[own].iter().zip(&rounds[best]).map(within);
        Some(format!("{:.2} {}", median(ratios)?, names[best]))
    };
    ratio().unwrap_or("-".into())
}

fn median(numbers: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    Some(Spread::of(numbers.flatten())?.median)
}

/// `1.20 M`, `359 k`, `4.8 k`, `120`.
fn rate(n: f64) -> String {
    match n {
        n if n >= 9.995e6 => format!("{:.1} M", n / 1e6),
        n if n >= 999_500.0 => format!("{:.2} M", n / 1e6),
        n if n >= 9_950.0 => format!("{:.0} k", n / 1e3),
        n if n >= 1_000.0 => format!("{:.1} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

fn number(n: f64) -> String {
    if n >= 100.0 {
        format!("{n:.0}")
    } else if n >= 10.0 {
        format!("{n:.1}")
    } else {
        format!("{n:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Better, best, markdown, number, rate};
    use crate::suite::{Conditions, Run, Suite};
    use serde_json::{Value, json};

    fn fill(rate: f64, written: u64) -> Value {
        json!({
            "workload": "fillrandom", "calls": 1000, "pairs": 1000, "seconds": 1000.0 / rate,
            "latencies": [{"call": "update", "calls": 1000, "p99_us": 2.5}], "written_bytes": written,
            "usage": {"key_bytes_written": 1600, "value_bytes_written": 8400},
            "shape": {"user_bytes": 10_000, "disk_bytes": 12_000}, "memory": {"peak_resident_bytes": null},
        })
    }

    fn settle(written: u64, disk: u64) -> Value {
        json!({
            "workload": "settle", "calls": 1, "pairs": 0, "seconds": 0.5, "latencies": [],
            "written_bytes": written, "usage": {}, "shape": {"user_bytes": 10_000, "disk_bytes": disk},
            "memory": {"peak_resident_bytes": 5_000_000},
        })
    }

    fn suite() -> Suite {
        let run = |store, round, rate, written| Run {
            store,
            round,
            stage: 0,
            threads: 1,
            workloads: "fillrandom,settle".into(),
            reports: vec![fill(rate, written), settle(10_000, 15_000)],
            failure: None,
        };
        let failed =
            Run { reports: Vec::new(), failure: Some("lmdb: full".into()), ..run("lmdb", 1, 1.0, 1) };
        Suite {
            command: "peers".into(),
            conditions: Conditions {
                keys: 1000,
                calls: 1000,
                key_bytes: "16".into(),
                value_bytes: "84".into(),
                buffer_bytes: 64 << 20,
                cache_bytes: 64 << 20,
                filter_bits: 10,
                seed: 1,
                rounds: 2,
                cores: 2,
                load: [Some(0.25), None],
            },
            stores: [("lsm", "0.1.0"), ("fjall", "3.1"), ("lmdb", "0.9")]
                .map(|(name, version)| (name, version.to_string()))
                .to_vec(),
            runs: vec![
                run("lsm", 0, 600_000.0, 10_000),
                run("fjall", 0, 300_000.0, 20_000),
                run("lmdb", 0, 100_000.0, 5_000),
                failed,
                run("fjall", 1, 500_000.0, 20_000),
                run("lsm", 1, 1_000_000.0, 10_000),
            ],
        }
    }

    #[test]
    fn kvs_is_told_in_times_of_the_best_peer() {
        let text = markdown(&suite());
        let has = |line: &str| assert!(text.lines().any(|other| other == line), "no {line} in\n{text}");
        has("| operations a second | kvs lsm | fjall | lmdb | lsm / best peer |");
        has("| fillrandom | 800 k | 400 k | 100 k | 2.00 fjall |");
        // The bytes of the settling are those of what was settled; the best is the one that writes least.
        has("| fillrandom, settled | 2.00 | 3.00 | 1.50 | 1.33 lmdb |");
        has("| fillrandom, settled | 1.50 | 1.50 | 1.50 | 1.00 fjall |");
        has("| after fillrandom | 0.50 | 0.50 | 0.50 |");
        has("Round 2: lmdb: full.");
        assert!(text.contains("load 0.2 when it began, unknown when it ended"), "{text}");
        assert!(text.contains("cache 64 MiB") && text.contains("lsm 0.1.0, fjall 3.1, lmdb 0.9."), "{text}");
    }

    #[test]
    fn who_does_not_sync_is_not_the_best_at_syncing() {
        let (names, medians) = (["lsm", "sled", "fjall"], [Some(9.0), Some(8.0), Some(7.0)]);
        let best = |title| best(Better::More, &names, &medians, title);
        assert_eq!((best("overwrite"), best("fillsync, 8 threads")), (Some(1), Some(2)));
    }

    #[test]
    fn without_peers_there_is_nobody_to_be_compared_with() {
        let mut suite = suite();
        suite.stores.truncate(1);
        let text = markdown(&suite);
        assert!(
            text.contains("| operations a second | kvs lsm |\n") && !text.contains("best peer"),
            "{text}"
        );
    }

    #[test]
    fn numbers_are_short() {
        let rates = [1_204_000.0, 17_060_000.0, 359_400.0, 4_830.0, 120.4].map(rate);
        assert_eq!(rates, ["1.20 M", "17.1 M", "359 k", "4.8 k", "120"]);
        assert_eq!([3.214, 83.04, 274.4].map(number), ["3.21", "83.0", "274"]);
    }
}
