//! `kvs crash`.

mod list;
mod text;

use crate::cli::crash::list::word;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::interrupt;
use crate::cli::progress::Progress;
use crate::cli::script as scripts;
use crate::cli::session::Session;
use crate::cli::stream;
use crate::engine::kind::EngineKind;
use crate::engine::options::Durability;
use crate::survive::crash::forget::Forget;
use crate::survive::crash::report::{Example, Summary, Tally};
use crate::survive::crash::shrink::shortest;
use crate::survive::crash::sweep::sweep;
use crate::survive::crash::{self, Effort, Experiment, Watch, Way, script};
use crate::survive::engine::Engine;
use crate::survive::error::Error;
use crate::survive::history::{Setting, Workload};
use crate::survive::workloads;
use clap::Args;
use cpu_time::ProcessTime;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Crash a store at every operation, and judge every disk that could be left
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs crash                                    both engines, a usual budget
  kvs crash compact levels                     these workloads, of the engines that have them
  kvs -e lsm crash singles --forget sync:wal   leave syncs out, and see what breaks
  kvs crash --forget each                      each sync in its turn: is it missed?
  kvs -e bitcask crash --script mine.txt --save shortest.txt
  kvs crash --budget long                      millions of disks; or a time, as 10m or 8h

A life of a store is recorded on a disk in memory; no directory is touched. A crash may leave any
part of what was not synced, in any order, torn in any way. Each such disk is opened: it must hold
a prefix of what was asked for, with all that was acknowledged, batches whole; and go on. Then a
killed process' disk is handed to a second one, and recoveries crash in their turn. Exit code 4: a
promise was broken.")]
pub(crate) struct Crash {
    /// Workloads, by name; --list tells what there is [default: all]
    #[arg(value_name = "WORKLOAD", conflicts_with = "script")]
    workloads: Vec<String>,

    /// Explore what a script does, in place of workloads
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,

    /// Leave syncs out: sync:NAME, rename:manifest, rename:identity; or each, one after the other
    #[arg(long, value_name = "WHAT")]
    forget: Option<String>,

    /// How much is tried: short, long, or for how long, as 30s, 10m, 8h [default: short]
    #[arg(long, value_name = "BUDGET", value_parser = budget)]
    budget: Option<Budget>,

    /// One crash only, or (2) second lives and recoveries that crash too [default: 2]
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2))]
    depth: Option<u8>,

    /// From which everything random is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Threads that explore [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Write the shortest script that shows the first violation
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// List the workloads, and the syncs that can be left out
    #[arg(long)]
    list: bool,
}

/// What is explored of an engine.
enum What {
    /// All of its workloads, and random ones.
    All,
    /// Some of them.
    Named(Vec<Workload>),
    /// What a script does.
    Script(Workload),
}

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Budget {
    Effort(Effort),
    Time(Duration),
}

fn budget(text: &str) -> Result<Budget, String> {
    match text {
        "short" => Ok(Budget::Effort(Effort::Short)),
        "long" => Ok(Budget::Effort(Effort::Long)),
        _ => duration(text).map(Budget::Time).map_err(|error| format!("{error}; or short, long")),
    }
}

/// Reads `90s`, `10m`, `8h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok().filter(|time| !time.is_zero())
    });
    found.ok_or_else(|| format!("{text}: write a time as 90s, 10m or 8h"))
}

/// The engines that are put to the test: the one that was asked for, or both.
pub(crate) fn engines(session: &Session) -> Result<Vec<Engine>, Failure> {
    let kinds = match session.place.named_engine() {
        Some(kind) => vec![kind],
        None => vec![EngineKind::Bitcask, EngineKind::Lsm],
    };
    small(session, &kinds)
}

/// Small engines of these kinds, with the options that were asked for.
fn small(session: &Session, kinds: &[EngineKind]) -> Result<Vec<Engine>, Failure> {
    let settings = session.place.settings();
    if kinds.len() > 1 && !settings.is_empty() {
        return Err(Failure::usage("-o sets an option of one engine: name it with -e"));
    }
    let with =
        |engine: Engine| settings.iter().fold(engine, |engine, (name, value)| engine.with(name, value));
    kinds.iter().map(|kind| Ok(with(Engine::small(*kind)?))).collect()
}

impl Crash {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        if let Some(file) = &self.script {
            return self.run_script(session, file);
        }
        let engines = engines(session)?;
        if self.list {
            return list::put(session, &engines);
        }
        if self.forget.as_deref() == Some("each") {
            self.refuse_beside_each()?;
            interrupt::let_it_end();
            return self.sweep(session, &engines);
        }
        interrupt::let_it_end();
        let all = match &self.workloads[..] {
            [] => engines.into_iter().map(|engine| (engine, What::All)).collect(),
            names => those_that_have(engines, names)?,
        };
        self.explore_all(session, &all)
    }

    /// To leave each sync out is a run of its own, which has its workloads and its end.
    fn refuse_beside_each(&self) -> Result<(), Failure> {
        let given = [
            ("WORKLOAD", !self.workloads.is_empty()),
            ("--budget", self.budget.is_some()),
            ("--depth", self.depth.is_some()),
            ("--threads", self.threads.is_some()),
            ("--save", self.save.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => Err(Failure::usage(format!("--forget each takes no {name}"))),
            None => Ok(()),
        }
    }

    /// The script's engines, each with what it says to do.
    fn run_script(&self, session: &mut Session, file: &Path) -> Result<Outcome, Failure> {
        interrupt::let_it_end();
        if self.list || self.forget.as_deref() == Some("each") {
            return Err(Failure::usage(
                "--list and --forget each are about all workloads: they take no --script",
            ));
        }
        let read = scripts::read(file)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let mut all = Vec::new();
        for engine in small(session, &scripts::engines(session, file, &read)?)? {
            let setting = Setting { durability: session.place.durability(), ..Setting::of(&engine) };
            let workload = script::workload(&name, &read, &setting).map_err(|error| match error {
                Error::Plan(reason) => Failure::usage(format!("{}: {reason}", file.display())),
                other => other.into(),
            })?;
            all.push((workload.setting.engine.clone(), What::Script(workload)));
        }
        self.explore_all(session, &all)
    }

    /// Engine by engine.
    fn explore_all(&self, session: &mut Session, all: &[(Engine, What)]) -> Result<Outcome, Failure> {
        self.save.as_deref().map_or(Ok(()), stream::check_text)?;
        let forget: Option<Forget> = self.forget.as_deref().map(str::parse).transpose()?;
        let mut shortest = None;
        let explored = self.explore_each(session, all, forget.as_ref(), &mut shortest);
        // What was found is out before anything can go wrong with the file; and whatever else went wrong takes
        // nothing of it along.
        let told = session.out.flush();
        self.save(session, shortest.as_deref(), &explored);
        let outcome = explored?;
        told.map(|()| outcome)
    }

    /// Keeps the first script that shows a violation.
    fn explore_each(
        &self,
        session: &mut Session,
        all: &[(Engine, What)],
        forget: Option<&Forget>,
        shortest: &mut Option<String>,
    ) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::Done;
        let mut without = Vec::new();
        for (engine, what) in all {
            let Some(mut summary) = self.explore(session, engine, what, forget)? else {
                without.push(engine.name());
                continue;
            };
            let durability = match what {
                What::Script(workload) => workload.setting.durability,
                What::All | What::Named(_) => session.place.durability(),
            };
            if durability != Durability::Os {
                summary.engine += &format!(" durability={durability}");
            }
            if summary.violations > 0 {
                outcome = Outcome::Damaged;
            }
            if let Some(example) = &summary.first {
                shortest.get_or_insert_with(|| example.script.clone());
            }
            self.tell(session, &summary)?;
        }
        let Some(forget) = forget.filter(|_| !without.is_empty()) else { return Ok(outcome) };
        let why = format!("{forget}: no workload here does that, of {}", without.join(" and "));
        if without.len() == all.len() {
            return Err(Failure::usage(format!("{why}; `kvs crash --list` tells which do what")));
        }
        session.voice.note(&why);
        Ok(outcome)
    }

    /// `None` if nothing that is explored does what is to be left out.
    fn explore(
        &self,
        session: &Session,
        engine: &Engine,
        what: &What,
        forget: Option<&Forget>,
    ) -> Result<Option<Summary>, Failure> {
        if let Some(forget) = forget
            && !matches!(what, What::Script(_))
            && !does(engine, forget)?
        {
            return Ok(None);
        }
        let live = Live::new(Progress::words(&session.voice, "crash"), engine.name());
        let begun = Instant::now();
        let mut tally = Tally::new(engine, self.seed);
        let mut found = None;
        let budget = self.budget.unwrap_or(Budget::Effort(Effort::Short));
        for round in 0.. {
            let effort = match budget {
                Budget::Effort(effort) => effort,
                Budget::Time(_) => Effort::Short,
            };
            let seed = self.seed.wrapping_add(round * ROUND);
            let more = self.experiments(session, engine, what, effort, seed);
            let threads = self.threads();
            let start = ProcessTime::now();
            let outcomes = crash::run(&more, forget, threads, &live)?;
            tally.add(&more, &outcomes, start.elapsed().as_secs_f64());
            found = more.into_iter().zip(outcomes).find_map(|(experiment, outcome)| {
                Some((experiment, outcome.report.violations.into_iter().next()?))
            });
            let is_over = match budget {
                Budget::Effort(_) => true,
                Budget::Time(time) => begun.elapsed() >= time,
            };
            if is_over || found.is_some() {
                break;
            }
        }
        let mut summary = tally.summary();
        if let Some(forget) = forget {
            if summary.left_out == 0 {
                return Ok(None);
            }
            summary.forgotten.push(forget.to_string());
        }
        if let Some((experiment, violation)) = &found {
            live.progress.say("looking for the shortest script that shows it".into());
            if let Some(shortest) = shortest(experiment, forget)? {
                let text = script::text(&shortest.experiment.workload);
                summary.first = Some(Example::of(experiment, violation, &shortest, text));
            }
        }
        Ok(Some(summary))
    }

    fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }

    /// What is tried of an engine in one round; rounds after the first have other random workloads, and
    /// draw other disks of the fixed ones.
    fn experiments(
        &self,
        session: &Session,
        engine: &Engine,
        what: &What,
        effort: Effort,
        seed: u64,
    ) -> Vec<Experiment> {
        let durability = session.place.durability();
        let mut all = match what {
            What::All => crash::experiments(engine, effort, seed),
            What::Named(workloads) => each_way(workloads, effort, seed),
            What::Script(workload) => each_way(std::slice::from_ref(workload), effort, seed),
        };
        all.retain(|experiment| self.depth != Some(1) || matches!(experiment.way, Way::Crash));
        // What is asked for holds everywhere; otherwise each workload has its own, as a script has in any case.
        if durability != Durability::Os && !matches!(what, What::Script(_)) {
            all.iter_mut().for_each(|experiment| experiment.workload.setting.durability = durability);
        }
        all
    }

    /// A file that can not be written is told, and changes nothing of what was found.
    fn save(&self, session: &Session, text: Option<&str>, explored: &Result<Outcome, Failure>) {
        let Some(path) = &self.save else { return };
        let Some(text) = text else {
            let why = match explored {
                Ok(Outcome::Damaged) => "no script shows the violation",
                Ok(_) => "no violation to show",
                Err(_) => return,
            };
            return session.voice.note(&format!("{why}: {} is not written", path.display()));
        };
        match stream::write_text(path, text) {
            Ok(()) => session.voice.note(&format!("the shortest script is in {}", path.display())),
            Err(failure) => session.voice.fail(&failure),
        }
    }

    fn tell(&self, session: &mut Session, summary: &Summary) -> Result<(), Failure> {
        match session.out.is_json() {
            true => session.out.object(summary),
            false => session.out.put(|out, color| text::put(out, summary, color)),
        }
    }

    fn sweep(&self, session: &mut Session, engines: &[Engine]) -> Result<Outcome, Failure> {
        let mut all = Vec::new();
        for engine in engines {
            let progress = Progress::words(&session.voice, "crash");
            let found = sweep(engine, self.seed, &mut |site| {
                progress.say(format!("{}: without sync:{}", engine.name(), site.name()));
                interrupt::check().is_ok()
            });
            all.extend(found?);
        }
        let is_right = all.iter().all(|omission| omission.verdict.is_right());
        match session.out.is_json() {
            true => all.iter().try_for_each(|omission| session.out.object(omission))?,
            false => session.out.put(|out, color| text::put_omissions(out, &all, color))?,
        }
        Ok(if is_right { Outcome::Done } else { Outcome::Damaged })
    }
}

/// Seeds from one round to the next.
const ROUND: u64 = 1000;

fn each_way(workloads: &[Workload], effort: Effort, seed: u64) -> Vec<Experiment> {
    let ways = Way::all();
    let pairs = ways.iter().flat_map(|way| workloads.iter().map(move |workload| (way, workload)));
    pairs
        .map(|(way, workload)| Experiment { workload: workload.clone(), way: way.clone(), effort, seed })
        .collect()
}

/// Whether any of the engine's workloads does what is to be left out. That is asked before hours are spent.
fn does(engine: &Engine, forget: &Forget) -> Result<bool, Failure> {
    for workload in workloads::fixed(engine) {
        if forget.leave_out(&mut workload.record()?) > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The engines that have some of these workloads, each with those; an error for a name that none has.
fn those_that_have(engines: Vec<Engine>, names: &[String]) -> Result<Vec<(Engine, What)>, Failure> {
    let kinds = engines.iter().map(Engine::name).collect::<Vec<_>>().join(" and ");
    let mut unknown: Vec<&String> = names.iter().collect();
    let mut all = Vec::new();
    for engine in engines {
        let fixed = workloads::fixed(&engine);
        let mut workloads = Vec::new();
        for name in names {
            if let Some(workload) = named(&engine, &fixed, name) {
                unknown.retain(|other| *other != name);
                workloads.push(workload);
            }
        }
        if !workloads.is_empty() {
            all.push((engine, What::Named(workloads)));
        }
    }
    match unknown.first() {
        None => Ok(all),
        Some(name) => {
            Err(Failure::usage(format!("{name}: no such workload of {kinds}; `kvs crash --list` names them")))
        }
    }
}

/// The workload of this name, with blanks or as the list writes it.
fn named(engine: &Engine, fixed: &[Workload], name: &str) -> Option<Workload> {
    let wanted = word(name);
    match wanted.strip_prefix("random-").and_then(|seed| seed.parse().ok()) {
        Some(seed) => Some(workloads::random(engine, seed)),
        None => fixed.iter().find(|workload| word(&workload.name) == wanted).cloned(),
    }
}

/// Shows how far it has come, and ends it when somebody interrupts.
struct Live {
    progress: Progress,
    engine: &'static str,
    parts: AtomicU64,
}

impl Live {
    fn new(progress: Progress, engine: &'static str) -> Live {
        Live { progress, engine, parts: AtomicU64::new(0) }
    }
}

impl Watch for Live {
    fn see(&self, experiment: &Experiment, so_far: &crash::Outcome) -> bool {
        let parts = self.parts.fetch_add(1, Ordering::Relaxed) + 1;
        let (engine, name, disks) = (self.engine, experiment.name(), so_far.disks.len());
        self.progress.say(format!("{engine}: {parts} parts; {name}: {disks} disks"));
        interrupt::check().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, budget, duration};
    use crate::survive::crash::Effort;
    use std::time::Duration;

    #[test]
    fn budgets_are_read() {
        assert_eq!(budget("short"), Ok(Budget::Effort(Effort::Short)));
        assert_eq!(budget("1.5m"), Ok(Budget::Time(Duration::from_secs(90))));
        assert_eq!(duration("8h"), Ok(Duration::from_secs(8 * 3600)));
        for wrong in ["", "10", "-1s", "0s", "m", "1d", "inf s", "1e400h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
