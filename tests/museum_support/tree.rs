//! A second tree of the sources with every bug of the museum in it, each behind its name.

use crate::museum_support::page::{Exhibit, Hunk, patched};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What the tests need of the repository.
const PARTS: &[&str] = &["Cargo.toml", "Cargo.lock", "src", "tests", "benches", "examples"];

/// The module that says which bug is shown.
const SWITCH: &str = r#"//! Which bug of the museum this process shows: the one that `KVS_MUTANT` names.

use std::sync::OnceLock;

static MUTANT: OnceLock<Option<String>> = OnceLock::new();

/// Whether it is this one.
pub fn shows(name: &str) -> bool {
    MUTANT.get_or_init(|| std::env::var("KVS_MUTANT").ok()).as_deref() == Some(name)
}
"#;

/// The hunks by the file that they change.
pub(crate) fn by_file(exhibits: &[Exhibit]) -> BTreeMap<&str, Vec<&Hunk>> {
    let mut files: BTreeMap<&str, Vec<&Hunk>> = BTreeMap::new();
    for hunk in exhibits.iter().flat_map(|exhibit| &exhibit.hunks) {
        files.entry(&hunk.path).or_default().push(hunk);
    }
    files
}

/// Makes the tree at `to`. A file that would not change is left alone, so that its parts are compiled
/// once.
pub(crate) fn make(root: &Path, to: &Path, exhibits: &[Exhibit]) -> Result<(), String> {
    let hunks = by_file(exhibits);
    for part in PARTS {
        copy(root, to, part, &hunks)?;
    }
    let library = read(&root.join("src/lib.rs"))? + "\n#[doc(hidden)]\npub mod museum;\n";
    put(&to.join("src/lib.rs"), library.as_bytes())?;
    put(&to.join("src/museum.rs"), SWITCH.as_bytes())
}

fn copy(root: &Path, to: &Path, part: &str, hunks: &BTreeMap<&str, Vec<&Hunk>>) -> Result<(), String> {
    let from = root.join(part);
    if from.is_file() {
        return match hunks.get(part) {
            Some(hunks) => put(&to.join(part), patched(&read(&from)?, hunks)?.as_bytes()),
            None if part == "src/lib.rs" => Ok(()),
            None => put(&to.join(part), &fs::read(&from).map_err(|error| told(&from, &error))?),
        };
    }
    let names = |path: &Path| -> io::Result<Vec<String>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let here = names(&from).map_err(|error| told(&from, &error))?;
    // What is not there any more goes, so that it is no test any more.
    for name in names(&to.join(part)).unwrap_or_default() {
        if !here.contains(&name) && name != "museum.rs" {
            let old = to.join(part).join(name);
            let gone = if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
            gone.map_err(|error| told(&old, &error))?;
        }
    }
    here.iter().try_for_each(|name| copy(root, to, &format!("{part}/{name}"), hunks))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| told(path, &error))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, bytes)
    };
    write().map_err(|error| told(path, &error))
}

fn told(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
