//! What `bench`, `compare` and `advise` share: what is run, and where.

use crate::bench::distribution::Distribution;
use crate::bench::error::Error;
use crate::bench::keys::Sizes;
use crate::bench::plan::Plan;
use crate::bench::report::Sample;
use crate::bench::subject::Configuration;
use crate::bench::trace::Trace;
use crate::bench::workload::{Mix, Workload};
use crate::cli::failure::Failure;
use crate::cli::interrupt;
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::cli::voice::Voice;
use crate::engine::kind::EngineKind;
use crate::vfs::dir::Dir;
use clap::Args;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// What is run.
#[derive(Args, Debug, Clone)]
pub(crate) struct Runs {
    /// The workloads, one after the other; --list tells what there is
    #[arg(value_name = "WORKLOAD", value_delimiter = ',')]
    pub workloads: Vec<String>,

    /// Calls of several kinds, as read=90,update=10; in place of workloads, or after them
    #[arg(long, value_name = "CALL=WEIGHT,...")]
    pub mix: Option<Mix>,

    /// Which keys a mix calls: uniform, zipfian[:0.99], latest[:0.99], sequential, hot[:0.01:0.99]
    #[arg(long, value_name = "NAME", default_value = "uniform", requires = "mix")]
    pub distribution: Distribution,

    /// Replay a trace; in place of workloads, or after them
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// Keys that a fill sets [default: 500000, in steps 20000]
    #[arg(long, value_name = "N", value_parser = count)]
    pub keys: Option<u64>,

    /// Calls of what is not done once a key [default: as many as keys]
    #[arg(long, value_name = "N", value_parser = count)]
    pub calls: Option<u64>,

    /// End each workload after so long; what fills the store goes on to its end
    #[arg(long, value_name = "SECS", value_parser = crate::cli::watch::seconds)]
    pub seconds: Option<Duration>,

    /// Threads that make calls
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,

    /// Bytes of a key, as 16 or 16..64
    #[arg(long, value_name = "SIZES", default_value = "16")]
    pub key_size: Sizes,

    /// Bytes of a value, as 100 or 10..1KiB
    #[arg(long, value_name = "SIZES", default_value = "100")]
    pub value_size: Sizes,

    /// The seed of everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// No threads, a disk in memory: the same calls and bytes on every run, and no times
    #[arg(long)]
    pub stepped: bool,

    /// List the workloads
    #[arg(long)]
    pub list: bool,
}

/// Reads a number that may be written `1_000_000`, `500k` or `2M`.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let (number, times) = match digits.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1000),
        None => match digits.strip_suffix('M') {
            Some(number) => (number, 1_000_000),
            None => (&digits[..], 1),
        },
    };
    let number: Option<u64> = number.parse().ok();
    let count = number.and_then(|number| number.checked_mul(times));
    count.filter(|count| *count > 0).ok_or(format!("{text}: a number above 0, as 20000, 500k, 2M"))
}

/// What is run when nobody says.
pub(crate) const USUAL: [&str; 8] = [
    "fillrandom",
    "overwrite",
    "settle",
    "readrandom",
    "readmissing",
    "seekrandom",
    "readseq",
    "deleterandom",
];

/// Keys of a fill, unless somebody says.
const KEYS: u64 = 500_000;

/// The same, in steps.
const STEPPED_KEYS: u64 = 20_000;

impl Runs {
    /// Only a trace.
    pub(crate) fn of_trace(file: PathBuf, stepped: bool) -> Runs {
        Runs {
            workloads: Vec::new(),
            mix: None,
            distribution: Distribution::Uniform,
            trace: Some(file),
            keys: None,
            calls: None,
            seconds: None,
            threads: 1,
            key_size: Sizes::fixed(16),
            value_size: Sizes::fixed(100),
            seed: 1,
            stepped,
            list: false,
        }
    }

    /// Whether nothing is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.workloads.is_empty() && self.mix.is_none() && self.trace.is_none()
    }

    /// The plan; `usual`, the workloads where none is named.
    pub(crate) fn plan(&self, usual: &[&str], voice: &Voice) -> Result<Plan, Failure> {
        let named = |names: Vec<&str>| names.into_iter().map(Workload::named).collect::<Result<Vec<_>, _>>();
        let mut workloads = match &self.workloads[..] {
            [] if self.is_empty() => named(usual.to_vec()),
            names => named(names.iter().map(String::as_str).collect()),
        }?;
        workloads.extend(self.mix.clone().map(|mix| Workload::custom(mix, self.distribution)));
        let trace = self.trace.as_deref().map(|path| read_trace(path, voice)).transpose()?;
        let longest = trace.as_ref().map_or(0, |trace| trace.longest_value() as usize);
        let traced = trace.as_ref().map(|trace| (trace.state.len().max(1) as u64, trace.calls.len() as u64));
        workloads.extend(trace.into_iter().flat_map(Workload::replay));
        let usual = if self.stepped { STEPPED_KEYS } else { KEYS };
        let (keys, calls) = match traced {
            Some((keys, calls)) if self.workloads.is_empty() && self.mix.is_none() => (keys, calls),
            _ => (usual, self.keys.unwrap_or(usual)),
        };
        let keys = self.keys.unwrap_or(keys);
        let plan = Plan {
            workloads,
            keys,
            calls: self.calls.unwrap_or(calls),
            limit: self.seconds,
            threads: self.threads,
            key: self.key_size,
            value: if longest > self.value_size.most { Sizes::fixed(longest) } else { self.value_size },
            seed: self.seed,
            is_stepped: self.stepped,
        };
        let plan = plan.with_fill()?;
        plan.validate()?;
        Ok(plan)
    }

    /// The arguments that make the same runs again.
    pub(crate) fn words(&self, plan: &Plan) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let named = plan
            .workloads
            .iter()
            .filter(|workload| !matches!(workload.name.as_str(), "mix" | "load" | "replay"));
        words.extend(named.map(|workload| workload.name.clone()));
        let mut option = |name: &str, value: String| words.extend([name.to_string(), value]);
        if let Some(mix) = &self.mix {
            option("--mix", mix.to_string());
            option("--distribution", self.distribution.to_string());
        }
        if let Some(trace) = &self.trace {
            option("--trace", trace.display().to_string());
        }
        option("--keys", plan.keys.to_string());
        option("--calls", plan.calls.to_string());
        if let Some(limit) = plan.limit {
            option("--seconds", limit.as_secs_f64().to_string());
        }
        option("--threads", plan.threads.to_string());
        option("--key-size", plan.key.to_string());
        option("--value-size", plan.value.to_string());
        option("--seed", plan.seed.to_string());
        if plan.is_stepped {
            words.push("--stepped".into());
        }
        words
    }
}

/// Reads a trace, and says if it is not all there. What is none, or a damaged one, is no store: there is
/// nothing to repair.
pub(crate) fn read_trace(path: &Path, voice: &Voice) -> Result<Trace, Failure> {
    let hint = "is it a trace? kvs trace record and kvs bench --record make one";
    let trace = Trace::read(path).map_err(|error| match error {
        Error::Store(error) if error.is_corruption() => Failure::from(error).with_hint(hint),
        error => error.into(),
    })?;
    if trace.is_cut {
        let path = path.display();
        voice.note(&format!(
            "{path}: ends in the middle, as what a killed process leaves; calls may be missing"
        ));
    }
    Ok(trace)
}

/// A directory of its own for the stores of a run, gone when it is dropped: below that of `-p`, which is made
/// if it is not there; beside it, on the same disk, if a store is there.
///
/// # Errors
/// Where no directory can be made, and where a store is both there and above it.
pub(crate) fn scratch(session: &Session) -> Result<TempDir, Failure> {
    let disk = crate::cli::place::disk;
    let here = &session.place.path;
    let path = match EngineKind::detect(disk(), here)? {
        None => here.clone(),
        Some(_) => here.join(".."),
    };
    if let Some(owner) = EngineKind::detect(disk(), &path)? {
        let path = path.display();
        return Err(Failure::usage(format!(
            "{path}: a store of {owner} is here; name another directory with -p, in which stores can be made \
             and thrown away"
        )));
    }
    Dir::new(disk(), &path).create_all()?;
    let dir = tempfile::Builder::new().prefix("kvs-bench-").tempdir_in(&path);
    dir.map_err(|error| Failure::from(crate::error::Error::io("create", &path, error)))
}

/// The room in which the stores of a run are made.
pub(crate) struct Room {
    /// `None` in steps: the disk is in memory, and no directory is looked at.
    dir: Option<TempDir>,
}

impl Room {
    /// For a plan.
    pub(crate) fn of(session: &Session, plan: &Plan) -> Result<Room, Failure> {
        let dir = if plan.is_stepped { None } else { Some(scratch(session)?) };
        Ok(Room { dir })
    }

    /// One of its own in this one.
    pub(crate) fn inner(&self) -> Result<Room, Error> {
        let Some(dir) = &self.dir else { return Ok(Room { dir: None }) };
        let own = tempfile::tempdir_in(dir.path());
        let own = own.map_err(|error| crate::error::Error::io("create", dir.path(), error))?;
        Ok(Room { dir: Some(own) })
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new("/"), TempDir::path)
    }
}

/// Reads `lsm:compression=none,lz4,cache_bytes=8MiB`: a part without `=` belongs to the value before.
pub(crate) fn configuration(text: &str, session: &Session) -> Result<Configuration, Failure> {
    let (engine, rest) = text.split_once(':').unwrap_or((text, ""));
    let engine: EngineKind = engine.parse().map_err(Failure::from)?;
    let mut settings: Vec<(String, String)> = Vec::new();
    for part in rest.split(',').filter(|part| !part.is_empty()) {
        match (part.split_once('='), settings.last_mut()) {
            (Some((name, value)), _) => settings.push((name.trim().into(), value.trim().into())),
            (None, Some((_, value))) => *value = format!("{value},{part}"),
            (None, None) => return Err(Failure::usage(format!("{text}: write it as lsm:name=value,..."))),
        }
    }
    Ok(Configuration { engine, settings, durability: session.place.durability() })
}

/// Shows how a run goes, and ends it when somebody interrupts.
pub(crate) struct Live {
    progress: Progress,
    /// What is run: `lsm, round 2 of 3`.
    pub what: String,
}

impl Live {
    pub(crate) fn new(voice: &Voice, verb: &'static str) -> Live {
        interrupt::let_it_end();
        Live { progress: Progress::words(voice, verb), what: String::new() }
    }

    /// One look.
    pub(crate) fn see(&self, workload: &Workload, sample: &Sample) -> ControlFlow<()> {
        let rate = sample.pairs_per_second;
        let mut words = format!("{}{}: {} pairs, {}/s", self.what, workload.name, sample.pairs, short(rate));
        if sample.user_written_bytes > 0 {
            let amplification = sample.written_bytes as f64 / sample.user_written_bytes as f64;
            words += &format!(", write amplification {amplification:.2} so far");
        }
        self.progress.say(words);
        match interrupt::check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// A number in three digits and a unit: `1.23 M`.
pub(crate) fn short(number: f64) -> String {
    let (number, unit) = match number.abs() {
        n if n >= 1e9 => (number / 1e9, " G"),
        n if n >= 1e6 => (number / 1e6, " M"),
        n if n >= 1e3 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    match number.abs() {
        n if n >= 99.95 => format!("{number:.0}{unit}"),
        n if n >= 9.995 => format!("{number:.1}{unit}"),
        _ => format!("{number:.2}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, short};

    #[test]
    fn counts_are_read() {
        assert_eq!(["7", "20_000", "500k", "2M"].map(count), [Ok(7), Ok(20_000), Ok(500_000), Ok(2_000_000)]);
        assert!(["", "0", "x", "-1", "99999999999999999999"].into_iter().all(|text| count(text).is_err()));
    }

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [0.0, 1.234, 99.96, 1234.0, 56_789.0, 1.5e6, 2.5e9].map(short);
        assert_eq!(numbers, ["0.00", "1.23", "100", "1.23 k", "56.8 k", "1.50 M", "2.50 G"]);
    }
}
