//! `kvs bench`.

use crate::bench::lab::{self, EngineBench};
use crate::bench::report::{Conditions, Report};
use crate::bench::subject::Configuration;
use crate::bench::trace::TraceWriter;
use crate::bench::workload::Workload;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::lab::{Live, Room, Runs, USUAL, short};
use crate::cli::session::Session;
use crate::cli::table::{self, Side};
use clap::Args;
use indicatif::BinaryBytes;
use parking_lot::Mutex;
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Run workloads on one engine, and tell what they cost, where, and why
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs bench                                    the usual workloads on Bitcask
  kvs -e lsm bench fillrandom readrandom --keys 2M
  kvs -e lsm -o compression=lz4 bench ycsb-a ycsb-b --threads 2 --json
  kvs bench --mix read=90,update=10 --distribution zipfian
  kvs -e lsm bench fillrandom overwrite --stepped    the same bytes on every machine

Stores are made in a directory of their own below the one of -p, or beside it if a store is there,
and are removed; with --stepped, in memory. Every answer is held against what was written: a store
that answers wrongly has no figures. A workload that needs keys gets a fillrandom in front.")]
pub(crate) struct Bench {
    #[command(flatten)]
    runs: Runs,

    /// One line for each workload, as comma-separated values
    #[arg(long)]
    csv: bool,

    /// Record the calls into a new file, to be replayed with --trace
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

impl Bench {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        if self.runs.list {
            return list(session);
        }
        refuse_both(session, self.csv)?;
        let plan = self.runs.plan(&USUAL, &session.voice)?;
        let engine = session.place.wanted_engine();
        let settings = session.place.settings().to_vec();
        let configuration = Configuration { engine, settings, durability: session.place.durability() };
        let room = Room::of(session, &plan)?;
        let mut bench = EngineBench::new(configuration, room.path());
        let sink = self.record.as_deref().map(TraceWriter::create).transpose()?;
        let sink = sink.map(|writer| Arc::new(Mutex::new(writer)));
        if let Some(sink) = &sink {
            bench = bench.recorded(sink.clone());
        }
        let live = Live::new(&session.voice, "bench");
        let reports = lab::run(&mut bench, &plan, &mut |workload, sample| live.see(workload, sample));
        drop(live);
        sink.map(|sink| sink.lock().finish()).transpose()?;
        tell(session, &reports?, self.csv)
    }
}

/// What is told is one or the other.
pub(crate) fn refuse_both(session: &Session, csv: bool) -> Result<(), Failure> {
    match csv && session.out.is_json() {
        true => Err(Failure::usage("--csv cannot be used with --json")),
        false => Ok(()),
    }
}

/// Lists the workloads.
pub(crate) fn list(session: &mut Session) -> Result<Outcome, Failure> {
    if session.out.is_json() {
        let object = |workload: Workload| json!({ "workload": workload.name, "about": workload.about });
        Workload::all().into_iter().try_for_each(|workload| session.out.object(&object(workload)))?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<_> =
        Workload::all().into_iter().map(|workload| [workload.name, workload.about.to_string()]).collect();
    let head = [("workload", Side::Left), ("what it does", Side::Left)];
    session.out.put(|out, color| table::put(out, head, &rows, color))?;
    Ok(Outcome::Done)
}

/// Tells what came of runs, as is wanted.
pub(crate) fn tell(session: &mut Session, reports: &[Report], csv: bool) -> Result<Outcome, Failure> {
    match (session.out.is_json(), csv) {
        (true, _) => reports.iter().try_for_each(|report| session.out.object(report))?,
        (false, true) => put_csv(session, reports)?,
        (false, false) => {
            for (at, report) in reports.iter().enumerate() {
                session.out.put(|out, color| put(out, at, report, color))?;
            }
        }
    }
    Ok(Outcome::Done)
}

/// One line for each.
pub(crate) fn put_csv(session: &mut Session, reports: &[Report]) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = [
        "configuration",
        "workload",
        "durability",
        "keys",
        "key_bytes",
        "value_bytes",
        "threads",
        "seed",
        "stepped",
        "calls",
        "pairs",
        "seconds",
        "cpu_seconds",
        "pairs_per_second",
        "p50_us",
        "p99_us",
        "p999_us",
        "max_us",
        "user_written_bytes",
        "user_read_bytes",
        "written_bytes",
        "read_bytes",
        "syncs",
        "write_amplification",
        "read_amplification",
        "space_amplification",
        "memory_bytes",
        "disk_bytes",
    ];
    let written = writer
        .write_record(head)
        .and_then(|()| reports.iter().try_for_each(|report| writer.write_record(csv_row(report))));
    let bytes =
        written.map_err(io::Error::other).and_then(|()| writer.into_inner().map_err(|e| e.into_error()));
    session.out.raw(&bytes.map_err(|error| Failure::output("standard output", error))?)
}

fn csv_row(report: &Report) -> Vec<String> {
    let Conditions {
        configuration,
        durability,
        workload,
        keys,
        key_bytes,
        value_bytes,
        threads,
        seed,
        is_stepped,
        ..
    } = &report.conditions;
    let number = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
    let most = report.latencies.iter().max_by_key(|latency| latency.calls);
    let latency = |of: fn(&crate::bench::measure::Latency) -> f64| number(most.map(of));
    let usage = report.usage.unwrap_or_default();
    let total = report.ledger.as_ref().map(|ledger| ledger.total).unwrap_or_default();
    let mut row = vec![configuration.clone(), workload.clone(), durability.clone(), keys.to_string()];
    row.extend([key_bytes.clone(), value_bytes.clone(), threads.to_string(), seed.to_string()]);
    row.extend([is_stepped.to_string(), report.calls.to_string(), report.pairs.to_string()]);
    row.extend(
        [report.seconds, report.cpu_seconds, report.pairs_per_second()].map(|number| number.to_string()),
    );
    row.extend([latency(|l| l.p50_us), latency(|l| l.p99_us), latency(|l| l.p999_us), latency(|l| l.max_us)]);
    row.extend([usage.bytes_written(), usage.bytes_read()].map(|bytes| bytes.to_string()));
    row.extend(
        [total.written_bytes, total.read_bytes + total.mapped_bytes, total.syncs].map(|n| n.to_string()),
    );
    let amplification = &report.amplification;
    row.extend([number(amplification.write), number(amplification.read), number(amplification.space)]);
    row.extend([report.memory.engine_bytes, report.shape.disk_bytes].map(|bytes| bytes.to_string()));
    row
}

/// The conditions of the first, then each workload.
fn put(out: &mut impl Write, at: usize, report: &Report, color: bool) -> io::Result<()> {
    let conditions = &report.conditions;
    if at == 0 {
        writeln!(
            out,
            "{}: {}, {} thread{}, durability {}, seed {}{}",
            conditions.configuration,
            pairs(conditions),
            conditions.threads,
            if conditions.threads == 1 { "" } else { "s" },
            conditions.durability,
            conditions.seed,
            if conditions.is_stepped { ", in steps" } else { "" },
        )?;
    }
    writeln!(out, "\n{}: {}", conditions.workload, headline(report))?;
    put_latencies(out, report, color)?;
    put_ledger(out, report, color)?;
    writeln!(out, "{}", state(report))?;
    for prediction in &report.theory {
        let (predicted, measured) = (prediction.predicted, prediction.measured);
        let (what, unit) = (prediction.what, prediction.unit);
        let percent = prediction.deviation() * 100.0;
        writeln!(out, "  theory {what} {predicted:.3} {unit}, measured {measured:.3} ({percent:+.0} %)")?;
        if percent.abs() >= 10.0 {
            writeln!(out, "         {}", prediction.reason)?;
        }
    }
    Ok(())
}

/// How many keys there are, and the sizes.
pub(crate) fn pairs(conditions: &Conditions) -> String {
    let Conditions { keys, key_bytes, value_bytes, .. } = conditions;
    format!("{keys} key{} of {key_bytes} bytes, values of {value_bytes}", if *keys == 1 { "" } else { "s" })
}

fn headline(report: &Report) -> String {
    let pairs = report.pairs;
    if report.conditions.is_stepped || report.seconds == 0.0 {
        return format!("{} calls, {pairs} pairs", report.calls);
    }
    let per_pair = report.cpu_seconds * 1e6 / pairs.max(1) as f64;
    match pairs {
        0 => format!("{:.2} s, {:.2} s of the processor", report.seconds, report.cpu_seconds),
        _ => format!(
            "{} pairs/s; {pairs} pairs in {:.2} s, {per_pair:.2} us of the processor a pair",
            short(report.pairs_per_second()),
            report.seconds
        ),
    }
}

fn put_latencies(out: &mut impl Write, report: &Report, color: bool) -> io::Result<()> {
    if report.latencies.is_empty() {
        return Ok(());
    }
    let head = [
        ("  call", Side::Left),
        ("calls", Side::Right),
        ("mean us", Side::Right),
        ("p50", Side::Right),
        ("p90", Side::Right),
        ("p99", Side::Right),
        ("p99.9", Side::Right),
        ("max", Side::Right),
    ];
    let rows: Vec<_> = report
        .latencies
        .iter()
        .map(|l| {
            let [mean, p50, p90, p99, p999, max] =
                [l.mean_us, l.p50_us, l.p90_us, l.p99_us, l.p999_us, l.max_us].map(|us| format!("{us:.1}"));
            [format!("  {}", l.call), l.calls.to_string(), mean, p50, p90, p99, p999, max]
        })
        .collect();
    table::put(out, head, &rows, color)
}

/// The ledger: what the disk saw, by kind of file and cause, and for a byte of the user's.
fn put_ledger(out: &mut impl Write, report: &Report, color: bool) -> io::Result<()> {
    let (Some(ledger), Some(usage)) = (&report.ledger, &report.usage) else { return Ok(()) };
    if ledger.rows.is_empty() {
        return Ok(());
    }
    let quotient = |bytes: u64, of: u64| match of {
        0 => String::new(),
        of => format!("{:.3}", bytes as f64 / of as f64),
    };
    let line = |name: String, cause: String, counts: &crate::vfs::counting::FileCounts| {
        let read = counts.read_bytes + counts.mapped_bytes;
        [
            format!("  {name}"),
            cause,
            counts.written_bytes.to_string(),
            quotient(counts.written_bytes, usage.bytes_written()),
            counts.write_calls.to_string(),
            read.to_string(),
            quotient(read, usage.bytes_read()),
            counts.read_calls.to_string(),
            counts.syncs.to_string(),
        ]
    };
    let mut rows: Vec<_> =
        ledger.rows.iter().map(|row| line(row.file.clone(), row.cause.to_string(), &row.counts)).collect();
    rows.push(line("all".into(), String::new(), &ledger.total));
    let head = [
        ("  file", Side::Left),
        ("cause", Side::Left),
        ("written", Side::Right),
        ("/ user", Side::Right),
        ("calls", Side::Right),
        ("read", Side::Right),
        ("/ user", Side::Right),
        ("calls", Side::Right),
        ("syncs", Side::Right),
    ];
    table::put(out, head, &rows, color)
}

/// What the store is at the end.
fn state(report: &Report) -> String {
    let shape = &report.shape;
    let levels = shape.levels.iter().map(|level| {
        let name = level.level.map_or("logs".to_string(), |level| format!("L{level}"));
        format!("{name} {} in {}", BinaryBytes(level.bytes), level.files)
    });
    let space =
        report.amplification.space.map_or(String::new(), |space| format!(", {space:.3} of the user's"));
    let memory = report.memory.parts.iter().map(|(name, bytes)| format!("{name} {}", BinaryBytes(*bytes)));
    let per_key = report.memory.bytes_per_key.map_or(String::new(), |bytes| format!(" ({bytes:.1} B a key)"));
    format!(
        "  files  {}{space}: {}\n  memory {}{per_key}: {}",
        BinaryBytes(shape.disk_bytes),
        levels.collect::<Vec<_>>().join(", "),
        BinaryBytes(report.memory.engine_bytes),
        memory.collect::<Vec<_>>().join(", "),
    )
}
