//! The verbs that work on a store: in a shell as well as alone.

use crate::cli::batch::Batch;
use crate::cli::exists::Exists;
use crate::cli::explain::Explain;
use crate::cli::export::Export;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::get::Get;
use crate::cli::import::Import;
use crate::cli::levels::Levels;
use crate::cli::look::{Find, Inspect, Verify};
use crate::cli::options::Options;
use crate::cli::rm::Rm;
use crate::cli::scan::Scan;
use crate::cli::session::Session;
use crate::cli::set::Set;
use crate::cli::stats::StatsVerb;
use crate::cli::upkeep::{Checkpoint, Compact, Flush, Sync};
use clap::Subcommand;

/// A verb with its arguments. The order is the order of the help.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Set(Set),
    Get(Get),
    Exists(Exists),
    Rm(Rm),
    Scan(Scan),
    Batch(Batch),
    Import(Import),
    Export(Export),
    Stats(StatsVerb),
    Compact(Compact),
    Flush(Flush),
    Sync(Sync),
    Checkpoint(Checkpoint),
    Options(Options),
    Verify(Verify),
    Inspect(Inspect),
    Find(Find),
    Explain(Explain),
    Levels(Levels),
}

impl Verb {
    /// Does it, and says how it went.
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome, Failure> {
        match self {
            Verb::Set(verb) => verb.run(session),
            Verb::Get(verb) => verb.run(session),
            Verb::Exists(verb) => verb.run(session),
            Verb::Rm(verb) => verb.run(session),
            Verb::Scan(verb) => verb.run(session),
            Verb::Batch(verb) => verb.run(session),
            Verb::Import(verb) => verb.run(session),
            Verb::Export(verb) => verb.run(session),
            Verb::Stats(verb) => verb.run(session),
            Verb::Compact(verb) => verb.run(session),
            Verb::Flush(verb) => verb.run(session),
            Verb::Sync(verb) => verb.run(session),
            Verb::Checkpoint(verb) => verb.run(session),
            Verb::Options(verb) => verb.run(session),
            Verb::Verify(verb) => verb.run(session),
            Verb::Inspect(verb) => verb.run(session),
            Verb::Find(verb) => verb.run(session),
            Verb::Explain(verb) => verb.run(session),
            Verb::Levels(verb) => verb.run(session),
        }
    }
}
