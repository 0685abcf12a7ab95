//! The museum of bugs: each bug of `museum/` is caught by the test that its page names.
//!
//! Engine code has no trace of them. A second tree of the sources is made, with every bug in it behind a
//! switch; its tests are built once, and run under one bug after the other. `notes/museum.md` tells how.
//!
//! ```sh
//! cargo test --test museum                                                          # pages and hunks
//! cargo test --test museum each_mutant -- --ignored --nocapture                     # the named tests
//! KVS_EXHIBIT=name cargo test --test museum each_mutant -- --ignored --nocapture    # of one exhibit
//! cargo test --test museum the_matrix -- --ignored --nocapture                      # all tests
//! ```

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reads and writes pages and sources, not stores"
)]

mod museum_support;

use museum_support::matrix::{self, PAGE, Rows};
use museum_support::page::{Exhibit, Whose, exhibits, patched};
use museum_support::run::{Built, TARGETS};
use museum_support::tree;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

/// A museum has at least so many.
const LEAST: usize = 24;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn all() -> Vec<Exhibit> {
    exhibits(&root()).unwrap()
}

fn page() -> String {
    fs::read_to_string(root().join(PAGE)).unwrap()
}

#[test]
fn every_page_tells_a_story_and_has_a_name_of_its_own() {
    let all = all();
    assert!(all.len() >= LEAST, "{} exhibits", all.len());
    let names: BTreeSet<_> = all.iter().map(|exhibit| &exhibit.name).collect();
    assert_eq!(names.len(), all.len(), "two exhibits have one name");
    for (i, exhibit) in all.iter().enumerate() {
        let Exhibit { file, name, story, hunks, .. } = exhibit;
        assert_eq!(*file, format!("{:02}-{name}.md", i + 1), "numbered in order, named as the mutant");
        assert!(story.split_whitespace().count() >= 40, "{file}: who met it, what was lost, how we are");
        let switches: BTreeSet<_> = hunks.iter().flat_map(|hunk| hunk.switches()).collect();
        assert_eq!(switches, BTreeSet::from([&name[..]]), "{file}: its hunks ask for its name alone");
    }
}

#[test]
fn every_hunk_is_of_todays_source() {
    let all = all();
    for (path, hunks) in tree::by_file(&all) {
        assert!(path.starts_with("src/") && path != "src/lib.rs", "{path}: engine code");
        let text = fs::read_to_string(root().join(path)).unwrap();
        assert!(!text.contains("museum"), "{path}: engine code knows nothing of the museum");
        patched(&text, &hunks).unwrap_or_else(|reason| panic!("{reason}"));
    }
}

/// The sources of a test target: its file and what stands beside it, or the library.
fn sources(target: &str) -> Vec<PathBuf> {
    let under = |part: &str| {
        let mut found = vec![root().join(part)];
        let mut at = 0;
        while at < found.len() {
            if let Ok(entries) = fs::read_dir(&found[at]) {
                found.extend(entries.map(|entry| entry.unwrap().path()));
            }
            at += 1;
        }
        found.retain(|path| path.extension().is_some_and(|end| end == "rs"));
        found
    };
    match target {
        "lib" => under("src"),
        _ => [format!("tests/{target}.rs"), format!("tests/{target}"), format!("tests/{target}_support")]
            .iter()
            .flat_map(|part| under(part))
            .filter(|path| path.exists())
            .collect(),
    }
}

#[test]
fn every_killer_is_a_test() {
    for Exhibit { file, killer, .. } in all() {
        assert!(TARGETS.contains(&&killer.target[..]), "{file}: no column for {}", killer.target);
        let name = killer.test.rsplit("::").next().unwrap();
        // As a function, or in a list that a macro makes tests of.
        let found = sources(&killer.target).iter().any(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
        });
        assert!(found, "{file}: {} has no test {name}", killer.target);
    }
}

#[test]
fn the_notes_are_current() {
    let (all, page) = (all(), page());
    let again = "run the command that notes/museum.md names";
    assert_eq!(matrix::part(&page, "exhibits").unwrap(), matrix::index(&all), "{again}");
    let table = matrix::part(&page, "matrix").unwrap();
    let rows = matrix::rows(table).unwrap_or_else(|| panic!("the matrix has other columns; {again}"));
    assert_eq!(table, matrix::table(&all, &rows), "{again}");
    for exhibit in &all {
        let row = rows.get(&exhibit.name).unwrap_or_else(|| panic!("no row {}; {again}", exhibit.name));
        assert_eq!(row.last().unwrap(), &format!("`{}: {}`", exhibit.killer.target, exhibit.killer.test));
        let failed = |cell: &&String| cell.starts_with(|c: char| c.is_ascii_digit());
        assert!(row[..TARGETS.len()].iter().any(|cell| failed(&cell)), "{} lives", exhibit.name);
    }
}

/// One build at a time, whichever test asks for it.
static BUILDING: Mutex<()> = Mutex::new(());

fn build(all: &[Exhibit]) -> Built {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("museum");
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    tree::make(&root(), &scratch, all).unwrap_or_else(|reason| panic!("{reason}"));
    Built::build(&scratch, target_dir).unwrap_or_else(|reason| panic!("{reason}"))
}

/// The exhibits that `KVS_EXHIBIT` names, with commas between; all, if it names none. `unasked` are those
/// whose row is not whole yet.
fn chosen(all: &[Exhibit]) -> Vec<&Exhibit> {
    let Ok(wanted) = std::env::var("KVS_EXHIBIT") else { return all.iter().collect() };
    if wanted == "unasked" {
        let rows = matrix::rows(matrix::part(&page(), "matrix").unwrap()).unwrap_or_default();
        let is_whole = |exhibit: &&Exhibit| rows.get(&exhibit.name).is_some_and(|row| matrix::is_whole(row));
        return all.iter().filter(|exhibit| !is_whole(exhibit)).collect();
    }
    let find = |name: &str| {
        let found = all.iter().find(|exhibit| exhibit.name == name);
        found.unwrap_or_else(|| panic!("KVS_EXHIBIT: no exhibit {name}"))
    };
    wanted.split(',').map(find).collect()
}

/// Runs an exhibit's test without any bug, and with this one. Says what is wrong, if anything.
fn check(built: &Built, exhibit: &Exhibit) -> Option<String> {
    let Exhibit { name, killer, .. } = exhibit;
    let run = |mutant| built.run_one(&killer.target, &killer.test, mutant).unwrap();
    let (sound, begun) = (run(None), Instant::now());
    if !sound.is_green() || sound.passed != 1 {
        return Some(format!("{name}: without any bug, {} does not pass: {sound:?}", killer.test));
    }
    let outcome = run(Some(name));
    let verdict = if outcome.is_green() { "survives" } else { "is killed by" };
    println!("{name} {verdict} {} in {:.1?}: {outcome:?}", killer.test, begun.elapsed());
    outcome.is_green().then(|| format!("{name} survives {}", killer.test))
}

#[test]
#[ignore = "builds a tree of its own: three minutes, and seconds an exhibit"]
fn each_mutant_is_killed_by_the_test_that_its_page_names() {
    let _alone = BUILDING.lock().unwrap();
    let all = all();
    let built = build(&all);
    matrix::put_part(&root(), "exhibits", &matrix::index(&all)).unwrap();
    let mut rows = matrix::rows(matrix::part(&page(), "matrix").unwrap()).unwrap_or_default();
    let mut survivors = Vec::new();
    for exhibit in chosen(&all) {
        match check(&built, exhibit) {
            Some(survivor) => survivors.push(survivor),
            // Until all tests are asked, the matrix has what is known.
            None => matrix::note_killer(&mut rows, exhibit),
        }
    }
    matrix::put_part(&root(), "matrix", &matrix::table(&all, &rows)).unwrap();
    assert!(survivors.is_empty(), "{}", survivors.join("\n"));
}

#[test]
#[ignore = "runs nearly all tests under each mutant: a minute an exhibit"]
fn the_matrix_of_tests_against_mutants() {
    let _alone = BUILDING.lock().unwrap();
    let all = all();
    let built = build(&all);
    matrix::put_part(&root(), "exhibits", &matrix::index(&all)).unwrap();
    for target in TARGETS {
        let (begun, sound) = (Instant::now(), built.run_all(target, Whose::Both, None).unwrap());
        println!("without any bug: {target}: {} passed, {:.1?}", sound.passed, begun.elapsed());
        assert!(sound.is_green(), "{target}: {sound:?}");
    }
    // Who runs all begins anew; who runs some replaces their rows.
    let old = || matrix::rows(matrix::part(&page(), "matrix").unwrap());
    let mut rows: Rows = std::env::var("KVS_EXHIBIT").ok().and_then(|_| old()).unwrap_or_default();
    let mut survivors = Vec::new();
    for exhibit in chosen(&all) {
        survivors.extend(check(&built, exhibit));
        let (begun, mut outcomes) = (Instant::now(), BTreeMap::new());
        for target in TARGETS {
            let is_of_the_tree = matches!(*target, "lsm_rows" | "verify_tree");
            if exhibit.whose == Whose::Bitcask && is_of_the_tree {
                continue;
            }
            let asked = Instant::now();
            let mut outcome = built.run_all(target, exhibit.whose, Some(&exhibit.name)).unwrap();
            // Its killer may be one of those that are left out.
            let killer = &exhibit.killer;
            if killer.target == *target && outcome.is_green() {
                outcome = built.run_one(target, &killer.test, Some(&exhibit.name)).unwrap();
            }
            println!("{}: {target}: {} failed, {:.1?}", exhibit.name, outcome.failed.len(), asked.elapsed());
            outcomes.insert(*target, outcome);
        }
        let row = matrix::row(exhibit, &outcomes);
        println!("{}: {row:?} {:.0?}", exhibit.name, begun.elapsed());
        rows.insert(exhibit.name.clone(), row);
        matrix::put_part(&root(), "matrix", &matrix::table(&all, &rows)).unwrap();
    }
    assert!(survivors.is_empty(), "{}", survivors.join("\n"));
}
