//! `kvs advise`.

use crate::bench::advise::{Advice, Needs, advise};
use crate::bench::compare::Comparison;
use crate::bench::subject::Configuration;
use crate::cli::bench::list;
use crate::cli::compare;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::lab::{Runs, configuration};
use crate::cli::session::Session;
use crate::engine::options::parse_bytes;
use clap::Args;

/// Say which engine suits a workload, by measuring both
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kvs advise ycsb-a
  kvs advise --mix read=80,scan=15,update=5 --value-size 1KiB
  kvs advise readrandom --store-keys 200M --memory 8GiB
  kvs advise --trace calls.trace

A store whose keys do not fit into --memory can not be a Bitcask; else the engine that needs less
time is recommended, if every round agrees; else the one that writes less. What fills the store
counts only where nothing else is asked for.")]
pub(crate) struct Advise {
    #[command(flatten)]
    runs: Runs,

    /// How often each engine runs
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Keys that the store will hold [default: those of the run]
    #[arg(long, value_name = "N", value_parser = crate::cli::lab::count)]
    store_keys: Option<u64>,

    /// Memory that the store may take
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
}

fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text).map_err(|error| error.to_string())
}

impl Advise {
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        if self.runs.list {
            return list(session);
        }
        session.place.refuse_engine("advise measures both engines: it takes no -e and no -o")?;
        if self.runs.stepped {
            return Err(Failure::usage("advise needs times: a run in steps has none"));
        }
        if self.runs.is_empty() {
            return Err(Failure::usage(
                "name a workload, --mix or --trace: that is what the advice is about",
            ));
        }
        let plan = self.runs.plan(&[], &session.voice)?;
        let configurations: Vec<Configuration> = compare::CONFIGURATIONS
            .iter()
            .map(|text| configuration(text, session))
            .collect::<Result<_, _>>()?;
        let runs = compare::run(session, &plan, &configurations, self.rounds as usize)?;
        let names = configurations.iter().map(Configuration::name).collect();
        let comparison = Comparison::of("kvs advise".into(), names, runs);
        let advice = advise(&comparison, Needs { keys: self.store_keys, memory_bytes: self.memory });
        match session.out.is_json() {
            true => session.out.object(&advice)?,
            false => tell(session, &advice)?,
        }
        Ok(Outcome::Done)
    }
}

fn tell(session: &mut Session, advice: &Advice) -> Result<(), Failure> {
    match &advice.engine {
        None => session.out.text("either engine")?,
        Some(engine) => session.out.text(engine)?,
    }
    session.out.text(&format!("because {}", advice.because))?;
    let groups = [("For it:", &advice.reasons), ("Against it:", &advice.but)];
    for (title, lines) in groups.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        session.out.text(title)?;
        lines.iter().try_for_each(|line| session.out.text(&format!("  {line}")))?;
    }
    Ok(())
}
