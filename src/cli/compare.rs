//! `kvs compare`.

use crate::bench::compare::{Comparison, Figure, Row, Spread, interleave};
use crate::bench::lab::{self, EngineBench};
use crate::bench::page;
use crate::bench::plan::Plan;
use crate::bench::report::Report;
use crate::bench::subject::Configuration;
use crate::cli::bench::{list, pairs, put_csv, refuse_both};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::lab::{Live, Room, Runs, USUAL, configuration, short};
use crate::cli::session::Session;
use crate::cli::stream;
use crate::cli::table::{self, Side};
use crate::engine::options::Durability;
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;

/// Run the same workloads on both engines, side by side
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs compare                                   both engines, the usual workloads
  kvs compare ycsb-a ycsb-c ycsb-e --report compare.html
  kvs compare fillrandom readrandom --config lsm --config lsm:compression=lz4,mmap=true
  kvs compare overwrite --stepped --config bitcask --config bitcask:merge_garbage_ratio=0.25

Configurations take turns, so that the machine's drift falls on all; ratios are those within a
round, to the first configuration. A verdict in words stands where every round agrees. Without
--config, buffers are a tenth of the usual ones, so that a store of some 60 MB lives as one of 600
MB does.")]
pub(crate) struct Compare {
    #[command(flatten)]
    runs: Runs,

    /// An engine and its options, as lsm:compression=lz4; several times
    #[arg(long, value_name = "ENGINE[:NAME=VALUE,...]")]
    config: Vec<String>,

    /// How often each runs [default: 3, in steps 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// Write a page with tables and plots, which needs no network
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Write each plot of the page as an SVG file
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,

    /// One line for each run of each workload, as comma-separated values
    #[arg(long)]
    csv: bool,
}

/// What is compared when nobody says: stores that rotate, flush, merge and compact in a short run.
pub(crate) const CONFIGURATIONS: [&str; 2] = [
    "bitcask:segment_bytes=12MiB",
    "lsm:memtable_bytes=6MiB,cache_bytes=6MiB,table_bytes=3MiB,level_bytes=25MiB",
];

impl Compare {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        if self.runs.list {
            return list(session);
        }
        refuse_both(session, self.csv)?;
        session
            .place
            .refuse_engine("compare takes --config ENGINE[:NAME=VALUE,...] in place of -e and -o")?;
        let usual: Vec<String> = CONFIGURATIONS.map(String::from).to_vec();
        let texts = if self.config.is_empty() { &usual } else { &self.config };
        let configurations: Vec<Configuration> =
            texts.iter().map(|text| configuration(text, session)).collect::<Result<_, _>>()?;
        let plan = self.runs.plan(&USUAL, &session.voice)?;
        self.report.as_deref().map_or(Ok(()), stream::check_text)?;
        self.svg.as_deref().map_or(Ok(()), stream::check_dir)?;
        let rounds = self.rounds.unwrap_or(if plan.is_stepped { 1 } else { 3 }) as usize;
        let command = self.command(&plan, rounds, &configurations);
        let names = configurations.iter().map(Configuration::name).collect();
        let runs = run(session, &plan, &configurations, rounds)?;
        let comparison = Comparison::of(command, names, runs);
        self.tell(session, &plan, &comparison)
    }

    /// What makes the same comparison again.
    fn command(&self, plan: &Plan, rounds: usize, configurations: &[Configuration]) -> String {
        let mut words = vec!["kvs".to_string(), "compare".to_string()];
        words.extend(self.runs.words(plan));
        let durability = configurations.first().map(|configuration| configuration.durability);
        if let Some(durability) = durability.filter(|durability| *durability != Durability::Os) {
            words.extend(["--sync".to_string(), durability.to_string()]);
        }
        words.extend(["--rounds".to_string(), rounds.to_string()]);
        for configuration in configurations {
            words.extend(["--config".to_string(), configuration.name()]);
        }
        words.join(" ")
    }

    /// First what was measured: a page that can not be written must not take it along.
    fn tell(&self, session: &mut Session, plan: &Plan, comparison: &Comparison) -> Result<Outcome, Failure> {
        let told = self.print(session, plan, comparison).and_then(|()| session.out.flush());
        self.save(session, comparison)?;
        told.map(|()| Outcome::Done)
    }

    fn save(&self, session: &Session, comparison: &Comparison) -> Result<(), Failure> {
        if let Some(file) = &self.report {
            stream::write_text(file, &page::html(comparison))?;
            session.voice.note(&format!("the page is in {}", file.display()));
        }
        if let Some(dir) = &self.svg {
            let plots = page::plots(comparison);
            for (name, svg) in &plots {
                stream::write_text(&dir.join(name), svg)?;
            }
            session.voice.note(&format!("{} plots are in {}", plots.len(), dir.display()));
        }
        Ok(())
    }

    fn print(&self, session: &mut Session, plan: &Plan, comparison: &Comparison) -> Result<(), Failure> {
        if session.out.is_json() {
            return session.out.object(comparison);
        }
        if self.csv {
            let reports: Vec<Report> = comparison.runs.iter().flatten().flatten().cloned().collect();
            return put_csv(session, &reports);
        }
        session.out.put(|out, color| put(out, plan, comparison, color))
    }
}

/// Runs all, in turn.
pub(crate) fn run(
    session: &mut Session,
    plan: &Plan,
    configurations: &[Configuration],
    rounds: usize,
) -> Result<Vec<Vec<Vec<Report>>>, Failure> {
    let room = Room::of(session, plan)?;
    let mut live = Live::new(&session.voice, "compare");
    let runs = interleave(configurations.len(), rounds, |at, round| {
        live.what = format!("{}, round {} of {rounds}, ", configurations[at].name(), round + 1);
        let own = room.inner()?;
        let mut bench = EngineBench::new(configurations[at].clone(), own.path());
        lab::run(&mut bench, plan, &mut |workload, sample| live.see(workload, sample))
    });
    Ok(runs?)
}

/// What the configurations are called in a table: A to Z, then AA, AB.
fn letters(count: usize) -> Vec<String> {
    (0..count).map(letter).collect()
}

fn letter(at: usize) -> String {
    let before = (at / 26).checked_sub(1).map(letter).unwrap_or_default();
    format!("{before}{}", char::from(b'A' + (at % 26) as u8))
}

fn put(out: &mut impl Write, plan: &Plan, comparison: &Comparison, color: bool) -> io::Result<()> {
    let names = letters(comparison.configurations.len());
    for (name, configuration) in names.iter().zip(&comparison.configurations) {
        writeln!(out, "{name}  {configuration}")?;
    }
    let rounds = comparison.runs.first().map_or(0, Vec::len);
    let first = comparison.runs.iter().flatten().flatten().next();
    writeln!(
        out,
        "{}, threads: {}, seed {}, rounds: {rounds}{}\n",
        first.map_or(String::new(), |report| pairs(&report.conditions)),
        plan.threads,
        plan.seed,
        if plan.is_stepped { ", in steps" } else { "" }
    )?;
    let mut head = vec![("workload".to_string(), Side::Left), ("figure".to_string(), Side::Left)];
    head.extend(names.iter().map(|name| (name.clone(), Side::Right)));
    head.push(("unit".to_string(), Side::Left));
    for name in names.iter().skip(1) {
        head.push((format!("{name} / {}", names[0]), Side::Right));
        head.push(("least to most".to_string(), Side::Left));
    }
    let mut rows = Vec::new();
    let mut last = "";
    for row in &comparison.rows {
        let workload = if row.workload == last { "" } else { &row.workload };
        last = &row.workload;
        rows.push(cells(workload, row));
    }
    table::put_rows(out, &head, &rows, color)?;
    let verdicts: Vec<_> = comparison.rows.iter().filter_map(|row| Some((row, row.words(&names)?))).collect();
    if !verdicts.is_empty() {
        writeln!(out, "\nIn words, where every round agrees:")?;
    }
    for (row, verdict) in verdicts {
        writeln!(out, "  {}, {}: {verdict}", row.workload, row.figure.name())?;
    }
    writeln!(out, "\nAgain: {}", comparison.command)
}

fn cells(workload: &str, row: &Row) -> Vec<String> {
    let number = |spread: &Option<Spread>| match (spread, row.figure) {
        (None, _) => "-".to_string(),
        (Some(spread), Figure::Throughput) => short(spread.median),
        (Some(spread), _) => format!("{:.2}", spread.median),
    };
    let mut cells = vec![workload.to_string(), row.figure.name().to_string()];
    cells.extend(row.sides.iter().map(number));
    cells.push(row.unit.to_string());
    for ratio in &row.ratios {
        match ratio {
            None => cells.extend(["-".to_string(), String::new()]),
            Some(ratio) => {
                cells.push(format!("{:.2}", ratio.median));
                cells.push(format!("{:.2} to {:.2}", ratio.least, ratio.most));
            }
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::letters;

    /// The 27th was called A, as the first.
    #[test]
    fn letters_are_distinct() {
        let letters = letters(705);
        assert_eq!([0, 25, 26, 27, 701, 702].map(|at| &letters[at][..]), ["A", "Z", "AA", "AB", "ZZ", "AAA"]);
    }
}
