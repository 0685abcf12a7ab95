//! What is run: workloads, sizes, threads, a seed.

use crate::bench::error::{Error, Result};
use crate::bench::keys::{Data, Sizes};
use crate::bench::workload::{Call, Work, Workload};
use std::time::Duration;

/// What is run, but for the configuration.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The workloads, in this order.
    pub workloads: Vec<Workload>,
    /// Keys that a fill sets.
    pub keys: u64,
    /// Calls of what is not done once a key.
    pub calls: u64,
    /// A workload ends after so long at most, if it does not make the store.
    pub limit: Option<Duration>,
    /// Threads that make calls.
    pub threads: usize,
    /// Sizes of keys.
    pub key: Sizes,
    /// Sizes of values.
    pub value: Sizes,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Without threads, on a disk in memory: the same seed makes the same calls and the same ledger.
    pub is_stepped: bool,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            workloads: Vec::new(),
            keys: 1_000_000,
            calls: 1_000_000,
            limit: None,
            threads: 1,
            key: Sizes::fixed(16),
            value: Sizes::fixed(100),
            seed: 1,
            is_stepped: false,
        }
    }
}

impl Plan {
    /// Whether it can be run; says why not.
    pub fn validate(&self) -> Result<()> {
        if self.workloads.is_empty() {
            return Err(Error::plan("no workload"));
        }
        if self.keys == 0 || self.keys > 1 << 31 {
            return Err(Error::plan(format!("{} keys: 1 to {}", self.keys, 1u64 << 31)));
        }
        if self.threads == 0 || self.threads > 1024 {
            return Err(Error::plan(format!("{} threads: 1 to 1024", self.threads)));
        }
        if self.is_stepped && self.threads > 1 {
            return Err(Error::plan("a run in steps has one thread"));
        }
        if self.is_stepped && self.limit.is_some() {
            return Err(Error::plan("a run in steps has no clock: it can not end by time"));
        }
        Data::new(self.key, self.value, self.seed).map(|_| ())
    }

    /// With a fill in front, if the first workload needs a store that is full.
    pub fn with_fill(mut self) -> Result<Plan> {
        if self.workloads.first().is_some_and(|first| !first.makes_a_store()) {
            self.workloads.insert(0, Workload::named("fillrandom")?);
        }
        Ok(self)
    }

    /// Keys that there may come to be.
    pub fn capacity(&self) -> u64 {
        let inserts = self.workloads.iter().map(|workload| match &workload.work {
            Work::Mixed { mix, .. } if mix.part(Call::Insert) > 0.0 => workload.calls(self.keys, self.calls),
            _ => 0,
        });
        self.keys + inserts.sum::<u64>()
    }
}
