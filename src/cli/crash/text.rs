//! What `kvs crash` found, for people.

use crate::cli::lab::short;
use crate::cli::table::{self, Side};
use crate::survive::crash::report::{Example, Summary};
use crate::survive::crash::sweep::{Omission, Verdict};
use std::io::{self, Write};

pub(super) fn put(out: &mut impl Write, summary: &Summary, color: bool) -> io::Result<()> {
    let rounds = if summary.rounds > 1 { format!(", {} rounds", summary.rounds) } else { String::new() };
    writeln!(out, "{}, seed {}{rounds}", summary.engine, summary.seed)?;
    if !summary.forgotten.is_empty() {
        writeln!(out, "left out: {}, {} times", summary.forgotten.join(", "), summary.left_out)?;
    }
    writeln!(out)?;
    let right = |name| (name, Side::Right);
    let head = [
        ("", Side::Left),
        right("workloads"),
        right("cuts"),
        right("states"),
        right("disks"),
        right("violations"),
    ];
    let rows: Vec<_> = summary
        .ways
        .iter()
        .map(|row| {
            let numbers = [row.workloads, row.cuts, row.states, row.disks, row.violations];
            let [workloads, cuts, states, disks, violations] = numbers.map(|n| n.to_string());
            [row.way.clone(), workloads, cuts, states, disks, violations]
        })
        .collect();
    table::put(out, head, &rows, color)?;
    writeln!(
        out,
        "\n{} different disks, {} judgements, {} violations; {} states a second of processor",
        summary.distinct_disks,
        summary.judgements,
        summary.violations,
        short(summary.states_per_second)
    )?;
    if summary.truncated > 0 {
        writeln!(out, "{} cuts had no room for all states that are made by rule", summary.truncated)?;
    }
    if let Some(example) = &summary.first {
        put_example(out, example)?;
    }
    writeln!(out)
}

fn put_example(out: &mut impl Write, example: &Example) -> io::Result<()> {
    writeln!(out, "\nThe first: {}, in {}\n  {}", example.message, example.experiment, example.description)?;
    writeln!(out, "\nThe shortest script that shows one:\n")?;
    example.script.lines().try_for_each(|line| writeln!(out, "{}", format!("  {line}").trim_end()))?;
    writeln!(out, "\nIts crash: {}\n", example.shortest_message)?;
    example.timeline.iter().chain(&example.missing).try_for_each(|line| writeln!(out, "  {line}"))
}

pub(super) fn put_omissions(out: &mut impl Write, omissions: &[Omission], color: bool) -> io::Result<()> {
    let head = [
        ("engine", Side::Left),
        ("left out", Side::Left),
        ("times", Side::Right),
        ("noticed", Side::Left),
        ("where, or why not", Side::Left),
    ];
    let rows: Vec<_> = omissions
        .iter()
        .map(|omission| {
            let (noticed, why) = match &omission.verdict {
                Verdict::Caught { by, message } => ("yes", format!("{by}: {message}")),
                Verdict::NotNeeded { because } => ("no need", (*because).to_string()),
                Verdict::Missed => ("MISSED", "nothing breaks, and nobody knows why".to_string()),
                Verdict::NeededAfterAll { message } => ("NEEDED", message.clone()),
            };
            let sync = format!("sync:{}", omission.sync);
            [omission.engine.to_string(), sync, omission.times.to_string(), noticed.to_string(), why]
        })
        .collect();
    table::put(out, head, &rows, color)?;
    let caught = omissions.iter().filter(|omission| matches!(omission.verdict, Verdict::Caught { .. }));
    let not_needed =
        omissions.iter().filter(|omission| matches!(omission.verdict, Verdict::NotNeeded { .. }));
    let wrong = omissions.iter().filter(|omission| !omission.verdict.is_right()).count();
    let (caught, not_needed) = (caught.count(), not_needed.count());
    writeln!(out, "\n{caught} caught, {not_needed} not needed for a reason, {wrong} wrong")
}
