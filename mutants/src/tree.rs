//! A copy of the repository with every mutant in it, each behind its number.

use crate::list::{Mutant, hash};
use crate::rewrite::{Rewritten, rewrite};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the tests need of the repository. Nothing that a run writes: the tree would not be the same any more.
const PARTS: &[&str] = &["Cargo.toml", "Cargo.lock", "src", "tests", "benches", "examples"];

/// What makes a mutated tree compile: not a lint of ours, and not one that denies what a mutant does.
const HEAD: &str = "#![allow(warnings, arithmetic_overflow, unconditional_panic, overflowing_literals)]\n";

/// The module that says which mutant is on.
const SWITCH: &str = include_str!("switch.rs.txt");

/// The copy.
pub struct Tree {
    /// Where it is.
    pub path: PathBuf,
    /// The rewritten files, by their names.
    pub files: BTreeMap<String, Rewritten>,
    /// A hash of all that was written.
    pub hash: u64,
}

impl Tree {
    /// Writes the tree at `path` with these mutants, without those that are `dropped`. A file that would not
    /// change is left alone, so that it is not compiled again.
    pub fn write(
        root: &Path,
        path: &Path,
        mutants: &[Mutant],
        dropped: &BTreeSet<u32>,
    ) -> Result<Tree, String> {
        let mut tree = Tree { path: path.to_path_buf(), files: BTreeMap::new(), hash: 0 };
        let mut by_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
        for mutant in mutants.iter().filter(|mutant| !dropped.contains(&mutant.number)) {
            by_file.entry(&mutant.file).or_default().push(mutant);
        }
        for (file, mutants) in by_file {
            let rewritten =
                rewrite(&read(&root.join(file))?, &mutants).map_err(|error| format!("{file}: {error}"))?;
            tree.files.insert(file.to_string(), rewritten);
        }
        for part in PARTS {
            tree.copy(root, part)?;
        }
        tree.put("src/mutation.rs", SWITCH.as_bytes())?;
        Ok(tree)
    }

    fn copy(&mut self, root: &Path, part: &str) -> Result<(), String> {
        let from = root.join(part);
        if from.is_dir() {
            let here = names(&from).map_err(|error| told(&from, &error))?;
            self.remove_others(part, &here)?;
            return here.iter().try_for_each(|name| self.copy(root, &format!("{part}/{name}")));
        }
        match (part, self.files.get(part)) {
            (_, Some(rewritten)) => self.put(part, rewritten.text.clone().as_bytes()),
            ("src/lib.rs", _) => {
                let switch = "\n#[doc(hidden)]\npub mod mutation;\n";
                self.put(part, format!("{HEAD}{}{switch}", read(&from)?).as_bytes())
            }
            ("Cargo.toml", _) => self.put(part, without_lints(&read(&from)?).as_bytes()),
            _ => self.put(part, &fs::read(&from).map_err(|error| told(&from, &error))?),
        }
    }

    /// What is not in the repository any more goes, so that it is no test any more.
    fn remove_others(&self, part: &str, here: &[String]) -> Result<(), String> {
        for name in names(&self.path.join(part)).unwrap_or_default() {
            if !here.contains(&name) && name != "mutation.rs" {
                let old = self.path.join(part).join(name);
                let gone = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
                gone.map_err(|error| told(&old, &error))?;
            }
        }
        Ok(())
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        self.hash = hash(format!("{:x} {name} {:x}", self.hash, hash(bytes)).as_bytes());
        let path = self.path.join(name);
        if fs::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(&path, bytes)
        };
        write().map_err(|error| told(&path, &error))
    }
}

/// A manifest without its tables of lints, which are its last.
fn without_lints(manifest: &str) -> String {
    let mut kept = true;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            kept = !line.starts_with("[lints");
        }
        kept
    });
    lines.collect::<Vec<_>>().join("\n") + "\n\n[workspace]\n"
}

/// Sorted, so that the hash is the same.
fn names(path: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = entries.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| told(path, &error))
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
