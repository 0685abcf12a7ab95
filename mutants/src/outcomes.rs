//! What came of the mutants that were tried, in a file that later runs go on from.

use crate::list::Mutant;
use crate::run::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The file.
pub struct Outcomes {
    path: PathBuf,
    by_key: BTreeMap<String, Tried>,
}

/// A mutant that was tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tried {
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took, in tenths of a second.
    pub tenths: u64,
}

impl Outcomes {
    /// Reads the file, if there is one.
    pub fn open(path: &Path) -> Result<Outcomes, String> {
        let by_key = match fs::read(path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?
            }
            Err(_) => BTreeMap::new(),
        };
        Ok(Outcomes { path: path.to_path_buf(), by_key })
    }

    /// What came of a mutant, if it was tried and its function is still the same.
    pub fn of(&self, mutant: &Mutant) -> Option<&Tried> {
        self.by_key.get(&mutant.key)
    }

    /// Remembers what came of a mutant. Not on disk before `save`.
    pub fn put(&mut self, mutant: &Mutant, outcome: Outcome, seconds: f64) {
        let tenths = (seconds * 10.0).round() as u64;
        self.by_key.insert(mutant.key.clone(), Tried { outcome, tenths });
    }

    /// Writes the file, a line a mutant, so that it can be read and compared.
    pub fn save(&self) -> Result<(), String> {
        let line = |(key, tried): (&String, &Tried)| Ok(format!("{}: {}", json(key)?, json(tried)?));
        let lines = self.by_key.iter().map(line).collect::<Result<Vec<_>, String>>()?;
        let new = self.path.with_extension("new");
        let written = fs::write(&new, format!("{{\n{}\n}}\n", lines.join(",\n")));
        written
            .and_then(|()| fs::rename(&new, &self.path))
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// Forgets mutants that are not proposed any more, and those of functions that have changed.
    pub fn keep_only(&mut self, mutants: &[Mutant]) {
        let keys: std::collections::BTreeSet<_> = mutants.iter().map(|mutant| &mutant.key).collect();
        self.by_key.retain(|key, _| keys.contains(key));
    }
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}
