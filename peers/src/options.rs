//! The command line.

use crate::peer::Terms;
use crate::stage::Stage;
use crate::stores::Store;
use clap::Parser;
use kvs::bench::error::Result;
use kvs::bench::keys::Sizes;
use kvs::bench::lab::Plan;
use kvs::engine::options::parse_bytes;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Runs the workloads of `kvs bench` on kvs and on other stores, on equal terms, and prints tables in
/// Markdown: medians of all rounds, and what kvs does in times of the best of the others.
///
/// Each store, each fill and what follows it, and each round is a process of its own; stores take turns.
/// Every answer is held against what was written: a store that answers wrongly has no figures.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// Stores, with commas between: lsm and bitcask (kvs), rocksdb, fjall, leveldb, redb, sled, lmdb.
    /// Without it, all that are built in.
    #[arg(long, value_delimiter = ',')]
    pub stores: Vec<String>,

    /// Workloads of `kvs bench`, with commas between; each that begins with `fill` (but fillsync) makes a
    /// new store. Without this and --threads: reads, writes, scans and deletes with one thread, gets with
    /// two, durable writes with one and eight.
    #[arg(long)]
    pub workloads: Option<String>,

    /// Threads that make calls; 1 if not said.
    #[arg(long)]
    pub threads: Option<usize>,

    /// Keys that a fill sets.
    #[arg(long, default_value_t = 1_000_000)]
    pub keys: u64,

    /// Calls of a workload that is not done once a key; as many as keys if not said.
    #[arg(long)]
    pub calls: Option<u64>,

    /// Bytes of a key: `16`, or `16..64` for sizes between.
    #[arg(long, default_value = "16")]
    pub key: Sizes,

    /// Bytes of a value: `100`, or `10..1000` for sizes between.
    #[arg(long, default_value = "100")]
    pub value: Sizes,

    /// Memtable or write buffer.
    #[arg(long, default_value = "64MiB", value_parser = bytes)]
    pub buffer: u64,

    /// Block or page cache.
    #[arg(long, default_value = "64MiB", value_parser = bytes)]
    pub cache: u64,

    /// Bits of a Bloom filter for each key; 0: none.
    #[arg(long, default_value_t = 10)]
    pub filter_bits: u32,

    /// The seed of everything that is drawn.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// How often everything is run.
    #[arg(long, default_value_t = 3, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub rounds: usize,

    /// Where the stores are made, each in a directory of its own that is removed; the system's temporary
    /// directory if not said, which may be in memory.
    #[arg(long)]
    pub dir: Option<PathBuf>,

    /// Keeps everything that was measured in this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Runs one stage on one store, in this directory, and prints its reports as JSON.
    #[arg(long, hide = true)]
    pub child: Option<PathBuf>,
}

fn bytes(text: &str) -> std::result::Result<u64, String> {
    parse_bytes(text).map_err(|error| error.to_string())
}

impl Options {
    /// The stores that are asked for.
    pub fn stores(&self) -> Result<Vec<Store>> {
        match self.stores.is_empty() {
            true => Ok(Store::all()),
            false => self.stores.iter().map(|name| Store::named(name)).collect(),
        }
    }

    /// The stages that are asked for.
    pub fn stages(&self) -> Result<Vec<Stage>> {
        Stage::all(self.workloads.as_deref(), self.threads)
    }

    /// Calls of a workload that is not done once a key.
    pub fn calls(&self) -> u64 {
        self.calls.unwrap_or(self.keys)
    }

    /// What every store gets.
    pub fn terms(&self) -> Terms {
        Terms { buffer_bytes: self.buffer, cache_bytes: self.cache, filter_bits: self.filter_bits }
    }

    /// A stage, as the laboratory runs it.
    pub fn plan(&self, stage: &Stage) -> Plan {
        Plan {
            workloads: stage.workloads.clone(),
            keys: self.keys,
            calls: self.calls(),
            limit: None,
            threads: stage.threads,
            key: self.key,
            value: self.value,
            seed: self.seed,
            is_stepped: false,
        }
    }

    /// The arguments of a process that runs one stage on one store.
    pub fn of_child(&self, store: &str, stage: &Stage, dir: &Path) -> Vec<OsString> {
        let values = [
            ("--stores", store.to_string()),
            ("--workloads", stage.names()),
            ("--threads", stage.threads.to_string()),
            ("--keys", self.keys.to_string()),
            ("--calls", self.calls().to_string()),
            ("--key", self.key.to_string()),
            ("--value", self.value.to_string()),
            ("--buffer", self.buffer.to_string()),
            ("--cache", self.cache.to_string()),
            ("--filter-bits", self.filter_bits.to_string()),
            ("--seed", self.seed.to_string()),
        ];
        let values = values.into_iter().flat_map(|(name, value)| [name.into(), value.into()]);
        values.chain(["--child".into(), dir.into()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Options;
    use clap::{CommandFactory, Parser};
    use std::path::Path;

    #[test]
    fn a_child_is_told_everything() {
        Options::command().debug_assert();
        let line = "peers --keys 77 --calls 5 --key 16..20 --value 1..9 --buffer 1MiB --cache 2k --filter-bits 3 \
                    --seed 9 --workloads fillseq,readseq --threads 2 --rounds 7";
        let parent = Options::parse_from(line.split(' ').filter(|word| !word.is_empty()));
        let stage = &parent.stages().unwrap()[0];
        let words = parent.of_child("lsm", stage, Path::new("/somewhere"));
        let child = Options::parse_from(["peers".into()].into_iter().chain(words));
        assert_eq!(child.stages().unwrap(), std::slice::from_ref(stage));
        assert_eq!(format!("{:?}", child.plan(stage)), format!("{:?}", parent.plan(stage)));
        assert_eq!(format!("{:?}", child.terms()), format!("{:?}", parent.terms()));
        assert_eq!((child.stores, child.child), (vec!["lsm".to_string()], Some("/somewhere".into())));
    }
}
