//! The console blocks of the README and of the notes are true: each is run, once on every engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "copies the pages, so that they can be run in a place of their own"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The engines that keep what they are told from one command to the next.
const ENGINES: [&str; 2] = ["bitcask", "lsm"];

/// What the pages find in the directory in which they begin.
const FILES: [(&str, &str); 2] = [
    ("elements.tsv", include_str!("../examples/elements.tsv")),
    ("brews.txt", "# what is on the table\nset tea black\nset teapot '\"full\"'\nrm coffee\n"),
];

/// Every page with a console block.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    let mut folders = vec![root.join("notes")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(ending) if ending == "md" => pages.push(path),
                _ => {}
            }
        }
    }
    pages.retain(|page| fs::read_to_string(page).unwrap().contains("```console"));
    pages.sort();
    pages
}

#[test]
fn what_the_pages_show_is_what_happens() {
    let pages = pages();
    assert!(pages.iter().any(|page| page.ends_with("README.md")));
    for engine in ENGINES {
        let place = tempfile::tempdir().unwrap();
        let cases = trycmd::TestCases::new();
        cases.env("KVS_ENGINE", engine).env("NO_COLOR", "1");
        for page in &pages {
            let name = page.file_stem().unwrap().to_str().unwrap();
            // Each page begins in a directory of its own, two levels down: `../copy` stays inside.
            let page_dir = place.path().join(name);
            let begins_in = page_dir.join(format!("{name}.in"));
            fs::create_dir_all(&begins_in).unwrap();
            for (file, content) in FILES {
                fs::write(begins_in.join(file), content).unwrap();
            }
            let copy = page_dir.join(format!("{name}.md"));
            fs::copy(page, &copy).unwrap();
            cases.case(copy);
        }
        cases.run();
    }
}
