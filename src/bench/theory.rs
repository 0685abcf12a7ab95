//! What theory says a run should cost, beside what it did.
//!
//! Closed formulas, for keys that are drawn alike, with `u` the bytes of a key and its value:
//!
//! | what | formula | from |
//! |---|---|---|
//! | Bitcask, a write | `r = (u + 9) / u`: a record is its key and value and about nine bytes | the format |
//! | Bitcask, write amplification | `r (1 + (1 - g) / g * (1 + h))`: a merge of segments with garbage `g` frees `g`, copies `1 - g`, and writes hints, `h` for a byte of copies | Rosenblum and Ousterhout, 1991 |
//! | Bitcask, space | `r * -ln(1 - g) / g`: a segment's live part falls from 1 to `1 - g` as `e^-t` | the same |
//! | Bitcask, memory | key and 14 bytes in chunks of 64 KiB, 5 bytes a slot, slots a power of two, at most 7/8 full, in each of 16 shards | the keydir |
//! | LSM, levels | the bottom has all `n` bytes, each level above it `1/f`, down to `level_bytes` | dynamic level sizes |
//! | LSM, write amplification | log `w`, flush 1, level 0 into the base `1 + s/m`, each level below `1 + s / 2a - s/n` | O'Neil et al., 1996; see below |
//! | LSM, space | `sum of levels / n` | |
//! | LSM, reads of a key that is not there | `runs * p`, `p` what the filter lets pass | Bloom, 1970 |
//!
//! Level 0 is merged into the base level as a whole: `m` bytes of it meet all `s` bytes of that level.
//! From there on a table at a time goes down. The table that is taken is the one whose part of the level
//! has waited longest since it was last emptied, and so is twice as dense as the level is on average:
//! a byte of it meets not `s/a` bytes of the level below (`a` being the size of the level it leaves) but
//! half as many. Of what is merged, `s/n` replaces what is there, and is not written twice.

use crate::bench::distribution::Distribution;
use crate::bench::plan::Plan;
use crate::bench::report::{Prediction, Report};
use crate::bench::subject::Configuration;
use crate::bench::workload::{Call, Work, Workload};
use crate::engine::options::parse_bytes;
use crate::vfs::Cause;
use std::collections::BTreeMap;

/// Bytes of a Bitcask record beside its key and value.
const RECORD: f64 = 9.0;

/// Bytes of a hint's entry beside its key.
const HINT_ENTRY: f64 = 10.0;

/// The keydir: shards, bytes of an entry beside its key, of a chunk of entries, of a slot.
const SHARDS: f64 = 16.0;
const KEYDIR_ENTRY: f64 = 14.0;
const KEYDIR_CHUNK: f64 = 65536.0;
const KEYDIR_SLOT: f64 = 5.0;

/// Bytes of a record of the write-ahead log beside key and value.
const WAL_RECORD: f64 = 12.0;

/// Bytes of an entry in a memtable beside key and value.
const MEMTABLE_ENTRY: f64 = 32.0;

/// The numbers that formulas take.
#[derive(Clone, Debug)]
pub struct Setting {
    options: BTreeMap<String, String>,
    /// Bytes of a key and its value.
    pair: f64,
    key: f64,
    /// Keys that are there.
    keys: f64,
}

impl Setting {
    /// Of a configuration, and of what is written with it.
    pub fn new(configuration: &Configuration, plan: &Plan) -> Setting {
        let defaults = configuration.engine.options();
        let mut options: BTreeMap<String, String> =
            defaults.iter().map(|option| (option.name.to_string(), option.default.clone())).collect();
        for (name, value) in &configuration.settings {
            // `memtable` is short for `memtable_bytes`.
            let bytes = format!("{name}_bytes");
            let name = if options.contains_key(&bytes) { bytes } else { name.clone() };
            options.insert(name, value.clone());
        }
        Setting {
            options,
            pair: plan.key.mean() + plan.value.mean(),
            key: plan.key.mean(),
            keys: plan.keys as f64,
        }
    }

    fn bytes(&self, name: &str) -> f64 {
        self.options.get(name).and_then(|text| parse_bytes(text).ok()).unwrap_or_default() as f64
    }

    fn number(&self, name: &str) -> f64 {
        self.options.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Bytes of the pairs that are there.
    fn live(&self) -> f64 {
        self.pair * self.keys
    }

    // ---- Bitcask ----

    /// Bytes of a record for one of the user's.
    pub fn record(&self) -> f64 {
        (self.pair + RECORD) / self.pair
    }

    /// Write amplification of overwriting keys alike, in the long run.
    pub fn bitcask_write(&self) -> f64 {
        let garbage = self.number("merge_garbage_ratio");
        let writes_hints = self.options.get("hints").is_some_and(|hints| hints == "true");
        let hints = if writes_hints { (self.key + HINT_ENTRY) / (self.pair + RECORD) } else { 0.0 };
        self.record() * (1.0 + (1.0 - garbage) / garbage * (1.0 + hints))
    }

    /// Space amplification of the same.
    pub fn bitcask_space(&self) -> f64 {
        let garbage = self.number("merge_garbage_ratio").min(0.999);
        self.record() * -(1.0 - garbage).ln() / garbage
    }

    /// Bytes of memory for a key.
    pub fn keydir(&self) -> f64 {
        let keys = self.keys / SHARDS;
        let entries = keys * (self.key + KEYDIR_ENTRY);
        // The first chunk grows with what is in it, the others come whole.
        let chunks = match entries <= KEYDIR_CHUNK {
            true => (entries.ceil() as u64).next_power_of_two() as f64,
            false => (entries / KEYDIR_CHUNK).ceil() * KEYDIR_CHUNK,
        };
        let slots = ((keys * 8.0 / 7.0).ceil() as u64).next_power_of_two() as f64;
        SHARDS * (chunks + slots * KEYDIR_SLOT) / self.keys
    }

    // ---- the LSM tree ----

    /// The levels below level 0, from the base to the bottom.
    pub fn levels(&self) -> Vec<f64> {
        let (least, factor) = (self.bytes("level_bytes"), self.number("level_factor").max(2.0));
        let mut levels = vec![self.live()];
        while levels[0] > least && levels.len() < 6 {
            levels.insert(0, (levels[0] / factor).max(least));
            if levels[0] <= least {
                break;
            }
        }
        levels
    }

    /// Bytes of the tables that one merge of level 0 takes.
    fn level0(&self) -> f64 {
        let entries = self.bytes("memtable_bytes") / (self.pair + MEMTABLE_ENTRY);
        self.number("level0_tables") * entries * self.pair
    }

    /// Write amplification of overwriting keys alike, in the long run.
    pub fn lsm_write(&self) -> f64 {
        let (levels, live, level0) = (self.levels(), self.live(), self.level0());
        let log = (self.pair + WAL_RECORD) / self.pair;
        let base = 1.0 + levels[0] / level0 - levels[0] / live;
        let deeper = levels.windows(2).map(|pair| {
            let (above, below) = (pair[0], pair[1]);
            (1.0 + below / (2.0 * above) - below / live).max(0.0)
        });
        log + 1.0 + base + deeper.sum::<f64>()
    }

    /// Space amplification of the same.
    pub fn lsm_space(&self) -> f64 {
        (self.levels().iter().sum::<f64>() + self.level0() / 2.0) / self.live()
    }

    /// The part of absent keys that a filter lets pass: each line of 64 bytes is a filter of its own.
    pub fn filter_passes(&self) -> f64 {
        let bits = self.number("filter_bits");
        if bits == 0.0 {
            return 1.0;
        }
        let probes = (bits * 0.6).floor().clamp(1.0, 16.0);
        // How many keys a line has is drawn as by Poisson's law.
        let mean = 512.0 / bits;
        let mut weight = (-mean).exp();
        let mut passes = 0.0;
        for keys in 0..500 {
            let set = 1.0 - (1.0 - 1.0 / 512.0_f64).powf(probes * f64::from(keys));
            passes += weight * set.powf(probes);
            weight *= mean / f64::from(keys + 1);
        }
        passes
    }
}

/// Theory beside what was measured in a run of a workload; nothing where theory says nothing.
pub fn of(
    configuration: &Configuration,
    plan: &Plan,
    workload: &Workload,
    report: &Report,
) -> Vec<Prediction> {
    let setting = Setting::new(configuration, plan);
    let mut predictions = Vec::new();
    let mut say = |what, unit, predicted: f64, measured: Option<f64>, reason| {
        if let Some(measured) = measured.filter(|measured| *measured > 0.0 && predicted > 0.0) {
            predictions.push(Prediction { what, unit, predicted, measured, reason });
        }
    };
    let amplification = &report.amplification;
    let overwrites = matches!(&workload.work, Work::Mixed { mix, distribution: Distribution::Uniform, beside: None, .. }
        if mix.part(Call::Update) + mix.part(Call::ReadModifyWrite) == 1.0);
    let is_short = overwrites && report.pairs < 3 * plan.keys;
    let is_fill = matches!(workload.work, Work::Fill { .. });
    match report.conditions.engine.as_str() {
        "bitcask" => {
            let merges = "theory is of a store overwritten many times, whose segments are all merged just at the ratio; hints are files too";
            let short = "too few overwrites for the long run: the first garbage comes for nothing";
            let why = if is_short { short } else { merges };
            if overwrites {
                say("write amplification", "B/B", setting.bitcask_write(), amplification.write, why);
                say("space amplification", "B/B", setting.bitcask_space(), amplification.space, why);
            }
            if is_fill {
                let why = "headers of segments, the manifest";
                say("write amplification", "B/B", setting.record(), amplification.write, why);
                let why = "shards do not fill alike";
                say("memory", "B/key", setting.keydir(), report.memory.bytes_per_key, why);
            }
        }
        "lsm" => {
            let greedy = "tables are chosen where they overlap least, which theory does not do; keys overwritten \
                          on the way down go no further; level 0 is not always merged whole";
            let short = "too few overwrites for the long run";
            let why = if is_short { short } else { greedy };
            if overwrites {
                say("write amplification", "B/B", setting.lsm_write(), amplification.write, why);
                say("space amplification", "B/B", setting.lsm_space(), amplification.space, why);
            }
            if let Work::Mixed { mix, .. } = &workload.work
                && mix.part(Call::Missing) == 1.0
                && setting.bytes("cache_bytes") == 0.0
            {
                let reads = report.ledger.as_ref().map(|ledger| ledger.of_cause(Cause::Read).read_calls);
                let runs = report.shape.levels.iter().filter(|level| level.level.is_some());
                let runs: u64 = runs.map(|level| if level.level == Some(0) { level.files } else { 1 }).sum();
                let measured = reads.map(|reads| reads as f64 / report.calls.max(1) as f64);
                let why = "filters and indexes are read once, when a table is opened; small filters have more bits a key; a table is not asked for keys \
                           beyond its ends";
                say("blocks read a miss", "reads", runs as f64 * setting.filter_passes(), measured, why);
            }
        }
        _ => {}
    }
    predictions
}

#[cfg(test)]
mod tests {
    use super::Setting;
    use crate::bench::plan::Plan;
    use crate::bench::subject::Configuration;
    use crate::engine::kind::EngineKind;
    use crate::engine::options::Durability;

    fn setting(engine: EngineKind, options: &[(&str, &str)]) -> Setting {
        let settings = options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let configuration = Configuration { engine, settings, durability: Durability::Os };
        Setting::new(&configuration, &Plan { keys: 20_000, ..Plan::default() })
    }

    #[test]
    fn bitcask_pays_for_the_garbage_that_it_does_not_keep() {
        let at = |ratio| {
            let setting = setting(EngineKind::Bitcask, &[("merge_garbage_ratio", ratio)]);
            (setting.bitcask_write() / setting.record(), setting.bitcask_space() / setting.record())
        };
        assert!((at("0.5").0 - 2.208).abs() < 0.001, "two, and a fifth for hints");
        assert!((at("0.5").1 - 1.386).abs() < 0.001 && (at("0.2").1 - 1.116).abs() < 0.001);
        assert!(at("0.2").0 > at("0.8").0 && at("0.2").1 < at("0.8").1);
    }

    #[test]
    fn levels_are_reckoned_from_the_bottom() {
        let levels = |options: &[(&str, &str)]| setting(EngineKind::Lsm, options).levels();
        assert_eq!(levels(&[]), [2_320_000.0], "all of it fits into the base");
        assert_eq!(
            levels(&[("level_bytes", "100000"), ("level_factor", "10")]),
            [100_000.0, 232_000.0, 2_320_000.0]
        );
        assert_eq!(levels(&[("level_bytes", "300000"), ("level_factor", "10")]), [300_000.0, 2_320_000.0]);
    }

    #[test]
    fn deeper_levels_cost_more() {
        let write = |factor| {
            setting(
                EngineKind::Lsm,
                &[("level_bytes", "128KiB"), ("memtable", "32KiB"), ("level_factor", factor)],
            )
            .lsm_write()
        };
        assert!(write("10") < write("30"), "{} {}", write("10"), write("30"));
        assert!((5.0..15.0).contains(&write("10")), "{}", write("10"));
    }

    #[test]
    fn a_filter_of_ten_bits_lets_a_hundredth_pass() {
        let passes = |bits| setting(EngineKind::Lsm, &[("filter_bits", bits)]).filter_passes();
        assert!((0.007..0.011).contains(&passes("10")), "{}", passes("10"));
        assert!(passes("5") > 0.05 && passes("20") < 0.0005 && passes("0") == 1.0);
    }
}
