//! `kvs crash --list`: the workloads, and the syncs that can be left out.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::session::Session;
use crate::cli::table::{self, Side};
use crate::survive::crash::forget::{Forget, count};
use crate::survive::engine::Engine;
use crate::survive::workloads;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;

pub(super) fn put(session: &mut Session, engines: &[Engine]) -> Result<Outcome, Failure> {
    let mut of: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut counts = Vec::new();
    for engine in engines {
        let workloads = workloads::fixed(engine);
        for workload in &workloads {
            of.entry(word(&workload.name)).or_default().push(engine.name());
        }
        counts.push(count(&workloads)?);
    }
    let mut syncs = Vec::new();
    for (name, what) in Forget::names() {
        let forget: Forget = format!("sync:{name}").parse()?;
        let times: Vec<usize> = counts.iter().map(|counts| forget.count(counts)).collect();
        syncs.push((format!("sync:{name}"), times, what));
    }
    if session.out.is_json() {
        return put_json(session, engines, &of, &syncs);
    }
    let rows = of.into_iter().map(|(name, engines)| [name, engines.join(", ")]);
    let random = ["random-N".to_string(), "anything, from the seed N".to_string()];
    let rows: Vec<_> = rows.chain([random]).collect();
    session.out.put(|out, color| {
        table::put(out, [("workload", Side::Left), ("engines", Side::Left)], &rows, color)?;
        writeln!(out)?;
        let names: Vec<_> = engines.iter().map(Engine::name).collect();
        writeln!(
            out,
            "Syncs that --forget leaves out, and how often these workloads make them ({}):\n",
            names.join(" / ")
        )?;
        let row = |(sync, times, what): (String, Vec<usize>, String)| {
            let times: Vec<_> = times.iter().map(ToString::to_string).collect();
            [sync, times.join(" / "), what]
        };
        let syncs: Vec<_> = syncs.into_iter().map(row).collect();
        table::put(
            out,
            [("sync", Side::Left), ("times", Side::Right), ("what is synced", Side::Left)],
            &syncs,
            color,
        )
    })?;
    Ok(Outcome::Done)
}

/// The same as objects: the workloads, then the syncs, how often each engine's workloads make them.
fn put_json(
    session: &mut Session,
    engines: &[Engine],
    of: &BTreeMap<String, Vec<&str>>,
    syncs: &[(String, Vec<usize>, String)],
) -> Result<Outcome, Failure> {
    for (workload, engines) in of {
        session.out.object(&json!({ "workload": workload, "engines": engines }))?;
    }
    for (sync, times, about) in syncs {
        let times: BTreeMap<_, _> = engines.iter().map(Engine::name).zip(times).collect();
        session.out.object(&json!({ "sync": sync, "times": times, "about": about }))?;
    }
    Ok(Outcome::Done)
}

/// How workloads are written on the command line.
pub(super) fn word(name: &str) -> String {
    name.replace(',', "").replace(' ', "-")
}
