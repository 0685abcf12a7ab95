//! What several threads on one store came to, for people.

use serde::Serialize;
use std::fmt::{Display, Formatter, Result};

/// What was done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The engine.
    pub engine: String,
    /// Threads that called at once.
    pub clients: usize,
    /// Stores that came to the end of their lives.
    pub stores: u64,
    /// Rounds that were judged.
    pub rounds: u64,
    /// Calls of clients.
    pub operations: u64,
    /// Reads of one key among them.
    pub gets: u64,
    /// Sets, swaps and removals of one key.
    pub writes: u64,
    /// Batches over a whole group.
    pub batches: u64,
    /// Scans, snapshots and cursors over all groups, each equal to a prefix of the batches.
    pub cuts: u64,
    /// Flushes and compactions that were asked for beside them.
    pub compactions: u64,
    /// Stores that were closed and opened again.
    pub reopens: u64,
    /// Different sets of options.
    pub option_sets: u64,
    /// How long it took, judging included.
    pub seconds: f64,
    /// What can not have happened one step at a time, if anything.
    pub anomaly: Option<Anomaly>,
}

impl Report {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.seconds.max(1e-9)
    }
}

/// Answers that no order of the calls explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anomaly {
    /// The number of the store.
    pub store: u64,
    /// Its options.
    pub options: String,
    /// What is wrong.
    pub what: String,
    /// The calls around it.
    pub calls: Vec<String>,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Report { engine, clients, stores, rounds, operations, gets, writes, batches, cuts, .. } = self;
        let (sets, rate) = (self.option_sets, self.rate());
        writeln!(f, "{engine}: {operations} operations of {clients} threads, {rate:.0} a second")?;
        writeln!(f, "  options       {sets} sets, {stores} whole lives of stores, {rounds} rounds")?;
        writeln!(f, "  single keys   {gets} gets, {writes} writes, linearizable key by key")?;
        writeln!(f, "  batches       {batches}, each with the same number in all keys of its group")?;
        writeln!(f, "  snapshots     {cuts}, scans and cursors too, each a prefix of the batches")?;
        writeln!(f, "  compactions   {} asked for beside them, flushes among them", self.compactions)?;
        writeln!(f, "  reopens       {}", self.reopens)?;
        match &self.anomaly {
            None => writeln!(f, "  anomalies     0"),
            Some(anomaly) => write!(f, "  anomalies     1\n\n{anomaly}"),
        }
    }
}

impl Display for Anomaly {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Anomaly { store, options, what, calls } = self;
        writeln!(f, "store {store}, options: {options}\n{what}")?;
        calls.iter().try_for_each(|call| writeln!(f, "  {call}"))
    }
}
