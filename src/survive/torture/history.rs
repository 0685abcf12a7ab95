//! A history: an engine, its options, and what is done to it.

use crate::dice::Dice;
use crate::engine::kind::EngineKind;
use crate::survive::script::{Command, Settings};
use std::fmt;

/// What is done to a store, and how the store is set up.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Whose store it is.
    pub kind: EngineKind,
    /// How it is opened at first.
    pub settings: Settings,
    /// What is done to it.
    pub commands: Vec<Command>,
}

impl fmt::Display for History {
    /// As a script.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<_> = self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        writeln!(f, "engines: {}\noptions: {}\n", self.kind, options.join(" "))?;
        self.commands.iter().try_for_each(|command| writeln!(f, "{command}"))
    }
}

/// The engine's options that histories vary: each is left alone or gets one of these values.
pub fn knobs(kind: EngineKind) -> &'static [(&'static str, &'static [&'static str])] {
    match kind {
        EngineKind::Memory => &[],
        EngineKind::Bitcask => &[
            ("segment_bytes", &["4096", "8192", "64KiB", "1MiB"]),
            ("merge_garbage_ratio", &["0.05", "0.3", "0.95", "1"]),
            ("max_open_segments", &["1", "2", "8"]),
            ("mmap", &["true", "false"]),
            ("hints", &["true", "false"]),
        ],
        EngineKind::Lsm => &[
            ("memtable_bytes", &["4096", "16KiB", "1MiB"]),
            ("sealed_memtables", &["1", "2", "4"]),
            ("cache_bytes", &["0", "2048", "1MiB"]),
            ("block_bytes", &["256", "1024", "4096"]),
            ("restart_interval", &["1", "3", "16"]),
            ("filter_bits", &["0", "1", "10"]),
            ("compression", &["none", "lz4", "zstd", "none,lz4,zstd"]),
            ("table_bytes", &["1024", "4096", "1MiB"]),
            ("level0_tables", &["1", "2", "4"]),
            ("level_bytes", &["1024", "8192", "1MiB"]),
            ("level_factor", &["2", "3", "10"]),
            ("max_open_tables", &["1", "4", "512"]),
            ("mmap", &["true", "false"]),
        ],
    }
}

/// Options of an engine, drawn.
pub fn settings(kind: EngineKind, dice: &mut Dice) -> Settings {
    let mut settings = Settings::new();
    for (name, values) in knobs(kind) {
        if dice.below(10) < 7 {
            settings.push(((*name).into(), (*pick(dice, values)).into()));
        }
    }
    settings
}

/// One of these.
pub(super) fn pick<'a, T>(dice: &mut Dice, all: &'a [T]) -> &'a T {
    &all[dice.below(all.len() as u64) as usize]
}
