//! The scoreboard of survival: runs what looks for failures, for as long as one likes, and writes what came of
//! it into `notes/reliability.md`.
//!
//! ```sh
//! cargo run --release --example scoreboard -- 10m
//! cargo run --release --example scoreboard -- 8h crashes torture
//! ```
//!
//! The first word is the budget, shared by the parts that search; parts that try a fixed number of things take
//! the time that they take. Parts that are named are run alone, and the other rows stay. Each part is a command
//! that anybody can type; the row says which. What a part came to is kept in `notes/scoreboard.json`, from which
//! the page is made.

#![expect(clippy::disallowed_methods, reason = "the notes are written where they lie")]

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The page, and what stands around the part of it that is written here.
const PAGE: &str = "notes/reliability.md";
const BEGIN: &str =
    "<!-- scoreboard: written by `cargo run --release --example scoreboard`, never by hand -->";
const END: &str = "<!-- /scoreboard -->";

/// What was found so far, part by part.
const KEPT: &str = "notes/scoreboard.json";

/// What fuzzing came to in all sittings, which go on where the last one stopped.
const FUZZED: &str = "notes/fuzzing.json";

/// When a target has been fuzzed enough: so many executions, or so many seconds.
const FUZZED_RUNS: u64 = 100_000_000;
const FUZZED_SECONDS: u64 = 3600;

/// With at least so many seconds for an engine, its crashes are explored to the end of the long budget.
const LONG_CRASHES: u64 = 600;

/// The command line, as it was built beside this program.
const KVS: &str = "target/release/kvs";

/// One line of the scoreboard.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    /// What was tried on what.
    what: String,
    /// How much.
    tried: String,
    /// What was found.
    found: String,
}

/// What a part came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    rows: Vec<Row>,
    /// What anybody can type.
    commands: Vec<String>,
    /// Of the source that it ran.
    commit: String,
    seconds: u64,
}

/// A part: its name, its share of the budget in hundredths, and what it does.
type Search = fn(u64) -> Result<(Vec<Row>, Vec<String>)>;
const PARTS: [(&str, u64, Search); 9] = [
    ("crashes", 30, crashes),
    ("syncs", 0, syncs),
    ("torture", 22, torture),
    ("linearizability", 10, linearizability),
    ("fuzzing", 38, fuzzing),
    ("errors", 0, errors),
    ("damage", 0, damage),
    ("museum", 0, museum),
    ("faults", 0, faults),
];

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let budget = words.next().as_deref().and_then(seconds);
    let budget = budget.ok_or("usage: scoreboard BUDGET [PART...], as 10m or 8h; parts: see the source")?;
    let named: Vec<String> = words.collect();
    if let Some(unknown) = named.iter().find(|name| !PARTS.iter().any(|(part, ..)| part == name)) {
        let parts: Vec<_> = PARTS.iter().map(|(part, ..)| *part).collect();
        return Err(format!("{unknown}: no such part; there are {}", parts.join(", ")).into());
    }
    // Before this program writes its own notes.
    let commit = commit()?;
    run("cargo build --release")?;
    let chosen = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    let shares: u64 = PARTS.iter().filter(|(part, ..)| chosen(part)).map(|(_, share, _)| share).sum();
    let mut kept: BTreeMap<String, Part> = match std::fs::read_to_string(KEPT) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => BTreeMap::new(),
    };
    for (name, share, search) in PARTS.into_iter().filter(|(part, ..)| chosen(part)) {
        println!("== {name}");
        let begun = Instant::now();
        let (rows, commands) = search((budget * share).checked_div(shares).unwrap_or(0).max(2))?;
        for row in &rows {
            println!("{}: {}: {}", row.what, row.tried, row.found);
        }
        let part = Part { rows, commands, commit: commit.clone(), seconds: begun.elapsed().as_secs() };
        kept.insert(name.to_string(), part);
        // After each, so that what was found stays if the next is interrupted.
        std::fs::write(KEPT, serde_json::to_string_pretty(&kept)? + "\n")?;
        write_page(&kept)?;
    }
    Ok(())
}

/// What is built; `-dirty`, if that is more than was committed. The notes are no source.
fn commit() -> Result<String> {
    let head = run("git rev-parse --short HEAD")?;
    let changed = run("git status --porcelain --untracked-files=no -- . :!notes")?;
    Ok(format!("{}{}", head.trim(), if changed.is_empty() { "" } else { "-dirty" }))
}

/// Reads `90s`, `10m`, `8h`.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let unit = [("s", 1), ("m", 60), ("h", 3600)].into_iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(unit).filter(|seconds| *seconds > 0)
}

fn write_page(kept: &BTreeMap<String, Part>) -> Result<()> {
    let page = std::fs::read_to_string(PAGE)?;
    let (head, rest) = page.split_once(BEGIN).ok_or("the page has no place for the scoreboard")?;
    let (_, tail) = rest.split_once(END).ok_or("the scoreboard has no end")?;
    let mut table = String::from("| what | tried | found |\n|---|---|---|\n");
    let mut commands = String::from("| part | commit | took | command |\n|---|---|---|---|\n");
    for (name, part) in PARTS.iter().filter_map(|(name, ..)| Some((name, kept.get(*name)?))) {
        for row in &part.rows {
            table += &format!("| {} | {} | {} |\n", row.what, row.tried, row.found);
        }
        let all = part.commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>().join("<br>");
        commands += &format!("| {name} | {} | {} s | {all} |\n", part.commit, grouped(part.seconds));
    }
    std::fs::write(PAGE, format!("{head}{BEGIN}\n\n{table}\n{commands}\n{END}{tail}"))?;
    Ok(())
}

// ---- the parts ----

fn crashes(budget: u64) -> Result<(Vec<Row>, Vec<String>)> {
    let (mut rows, mut commands) = (Vec::new(), Vec::new());
    for engine in ["bitcask", "lsm"] {
        let budget = match budget / 2 {
            LONG_CRASHES.. => "long".to_string(),
            seconds => format!("{}s", seconds.max(1)),
        };
        let command = format!("kvs -e {engine} crash --budget {budget} --json");
        let report: Value = serde_json::from_str(&kvs(&command)?)?;
        rows.push(Row {
            what: format!("{engine}: disks that a crash could leave"),
            tried: format!(
                "{} different disks, {} states, {} judgements, {} a second of processor",
                number(&report["distinct_disks"]),
                number(&report["states"]),
                number(&report["judgements"]),
                number(&report["states_per_second"])
            ),
            found: format!("{} violations", number(&report["violations"])),
        });
        commands.push(command);
    }
    Ok((rows, commands))
}

fn syncs(_: u64) -> Result<(Vec<Row>, Vec<String>)> {
    let command = "kvs crash --forget each --json";
    let mut counts: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for omission in objects(&kvs(command)?)? {
        let engine = omission["engine"].as_str().unwrap_or("?").to_string();
        let verdict = match &omission["verdict"] {
            Value::Object(verdict) if verdict.contains_key("caught") => "caught",
            Value::Object(verdict) if verdict.contains_key("not_needed") => "not needed",
            _ => "wrong",
        };
        *counts.entry((engine, verdict)).or_default() += 1;
    }
    let rows = ["bitcask", "lsm"].map(|engine| {
        let count = |verdict| counts.get(&(engine.to_string(), verdict)).copied().unwrap_or(0);
        let (caught, not_needed, wrong) = (count("caught"), count("not needed"), count("wrong"));
        Row {
            what: format!("{engine}: kinds of syncs left out"),
            tried: format!("{}, {not_needed} of them not needed for a reason", caught + not_needed + wrong),
            found: format!("{caught} caught, {wrong} missed"),
        }
    });
    Ok((rows.into(), vec![command.into()]))
}

fn torture(budget: u64) -> Result<(Vec<Row>, Vec<String>)> {
    let command = format!("kvs torture --for {budget}s --threads {} --json", threads());
    let reports = objects(&kvs(&command)?)?;
    let rows = reports.iter().map(|report| Row {
        what: format!("{}: random histories beside the model", text(&report["engine"])),
        tried: format!(
            "{} operations in {} histories, {} sets of options, {} power cuts, {} kills, {} errors injected",
            number(&report["operations"]),
            number(&report["histories"]),
            number(&report["option_sets"]),
            number(&report["power_cuts"]),
            number(&report["kills"]),
            number(&report["errors_injected"])
        ),
        found: format!("{} differences", u8::from(!report["finding"].is_null())),
    });
    Ok((rows.collect(), vec![command]))
}

fn linearizability(budget: u64) -> Result<(Vec<Row>, Vec<String>)> {
    let command = format!("kvs -p target torture --concurrent --for {budget}s --json");
    let reports = objects(&kvs(&command)?)?;
    let rows = reports.iter().map(|report| Row {
        what: format!(
            "{}: threads on one store, linearizable, snapshots equal to a prefix",
            text(&report["engine"])
        ),
        tried: format!(
            "{} operations of {} threads, {} snapshots and scans, {} flushes and compactions beside them",
            number(&report["operations"]),
            number(&report["clients"]),
            number(&report["cuts"]),
            number(&report["compactions"])
        ),
        found: format!("{} anomalies", u8::from(!report["anomaly"].is_null())),
    });
    Ok((rows.collect(), vec![command]))
}

fn fuzzing(budget: u64) -> Result<(Vec<Row>, Vec<String>)> {
    let names = fuzz("cargo run --release -- --list")?;
    let before = fuzzed()?;
    let least = names.lines().map(|name| before.get(name).map_or(0, |done| done.1 as u64)).min();
    let each = (budget * threads().min(2) / names.lines().count().max(1) as u64).max(1);
    let seconds = (least.unwrap_or(0) + each).min(FUZZED_SECONDS);
    let shown = format!(
        "cargo run --release -- all --runs {FUZZED_RUNS} --seconds {seconds} --jobs 2 --json ../{FUZZED} --resume --notes ../{PAGE}"
    );
    // Findings end it with an error, and are in its figures.
    let ran = fuzz(&shown);
    let all = fuzzed()?;
    if all.len() < names.lines().count() {
        return Err(format!("{ran:?}").into());
    }
    let is_enough = |(runs, seconds, _): &&(f64, f64, f64)| {
        *runs >= FUZZED_RUNS as f64 || *seconds >= FUZZED_SECONDS as f64
    };
    let sum = |of: fn(&(f64, f64, f64)) -> f64| all.values().map(of).sum::<f64>() as u64;
    let row = Row {
        what: format!("both: fuzzing of {} targets, in all sittings", all.len()),
        tried: format!(
            "{} executions in {} s of a processor; {} targets have {} executions or an hour",
            grouped(sum(|done| done.0)),
            grouped(sum(|done| done.1)),
            all.values().filter(is_enough).count(),
            grouped(FUZZED_RUNS),
        ),
        // What was found in earlier sittings became tests: `cargo test` gives it again.
        found: match sum(|done| done.2) {
            0 => "0 findings".into(),
            found => format!("{found} in all, [told here](fuzzing.md#what-was-found)"),
        },
    };
    Ok((vec![row], vec![format!("cd fuzz && {shown}")]))
}

/// Executions, seconds and findings of each target, in all sittings.
fn fuzzed() -> Result<BTreeMap<String, (f64, f64, f64)>> {
    let kept = std::fs::read_to_string(FUZZED).unwrap_or_else(|_| r#"{"targets": []}"#.into());
    let read: Value = serde_json::from_str(&kept)?;
    let targets = read["targets"].as_array().ok_or("a list of targets")?;
    let number = |target: &Value, name: &str| target[name].as_f64().unwrap_or(0.0);
    let figures = targets.iter().map(|target| {
        let sums = ["executions", "seconds", "findings"].map(|name| number(target, name));
        (text(&target["name"]).to_string(), sums.into())
    });
    Ok(figures.collect())
}

fn errors(_: u64) -> Result<(Vec<Row>, Vec<String>)> {
    let command = "cargo test --release --test errors --test resources -- --nocapture --test-threads 1";
    let said = run(command)?;
    let injected = said.lines().filter_map(|line| line.split("injected: ").nth(1));
    let injected: u64 = injected.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum();
    let row = Row {
        what: "both: a disk that fails at each of its operations; resources that run out".into(),
        tried: format!("{} faults, {} tests", grouped(injected), passed(&said)),
        found: "0 promises broken".into(),
    };
    Ok((vec![row], vec![command.into()]))
}

fn damage(_: u64) -> Result<(Vec<Row>, Vec<String>)> {
    let command = "cargo test --release --test damage -- --nocapture --test-threads 1";
    let said = run(command)?;
    let rows = said.lines().filter_map(|line| {
        let (what, tally) = line.strip_prefix("damage: ")?.rsplit_once(": ")?;
        let (tried, silent) = tally.rsplit_once(", ")?;
        Some(Row { what: what.into(), tried: tried.into(), found: silent.into() })
    });
    Ok((rows.collect(), vec![command.into()]))
}

fn museum(_: u64) -> Result<(Vec<Row>, Vec<String>)> {
    let command = "cargo test --test museum each_mutant_is_killed -- --ignored --nocapture --test-threads 1";
    let said = run(command)?;
    let killed = said.lines().filter(|line| line.contains(" is killed by ")).count();
    let pages = std::fs::read_dir("museum")?.count();
    let row = Row {
        what: "both: real bugs put into the code (the museum)".into(),
        tried: format!("{pages} mutants"),
        found: format!("{killed} killed by the test that their page names"),
    };
    Ok((vec![row], vec![command.into()]))
}

fn faults(_: u64) -> Result<(Vec<Row>, Vec<String>)> {
    let command = "cargo test --test faults -- --nocapture";
    let said = run(command)?;
    let line = said.lines().find_map(|line| line.strip_suffix(" rows have a named test"));
    let (covered, all) = line.and_then(|line| line.split_once(" of ")).ok_or("no count of rows")?;
    let row = Row {
        what: "both: the catalogue of faults that others met".into(),
        tried: format!("{all} rows"),
        found: format!("{covered} have a named test"),
    };
    Ok((vec![row], vec![command.into()]))
}

// ---- what they share ----

fn threads() -> u64 {
    std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64)
}

/// Runs a command of this directory; what it says, if it ends well.
fn run(command: &str) -> Result<String> {
    start(command, Path::new("."), &[0])
}

/// Runs `kvs`, as it was built here. That it found something is no error.
fn kvs(command: &str) -> Result<String> {
    start(&command.replacen("kvs", KVS, 1), Path::new("."), &[0, 4])
}

/// Runs a command of the fuzzing crate.
fn fuzz(command: &str) -> Result<String> {
    start(command, Path::new("fuzz"), &[0])
}

fn start(command: &str, dir: &Path, fine: &[i32]) -> Result<String> {
    let mut words = command.split(' ');
    let program = words.next().ok_or("a command")?;
    let program = if program == KVS { std::path::absolute(program)? } else { program.into() };
    let output = Command::new(program).args(words).current_dir(dir).stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8(output.stdout)?;
    match output.status.code() {
        Some(code) if fine.contains(&code) => Ok(said),
        _ => Err(format!("{command}: {}\n{said}", output.status).into()),
    }
}

/// One object a line.
fn objects(said: &str) -> Result<Vec<Value>> {
    Ok(said.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?)
}

/// How many tests passed, of what the test runner said.
fn passed(said: &str) -> u64 {
    let counts = said.lines().filter_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next());
    counts.filter_map(|count| count.parse::<u64>().ok()).sum()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn number(value: &Value) -> String {
    value.as_f64().map_or("?".into(), |number| grouped(number as u64))
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
