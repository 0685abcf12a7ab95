//! The machine-written parts of `notes/museum.md`: the list of exhibits, and tests against mutants.

use crate::museum_support::page::{Exhibit, Whose};
use crate::museum_support::run::{Outcome, TARGETS};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The page that they stand in.
pub(crate) const PAGE: &str = "notes/museum.md";

/// Rows of the matrix by the names of their mutants: one cell a target, and the killer.
pub(crate) type Rows = BTreeMap<String, Vec<String>>;

/// What stands between the markers of a part.
pub(crate) fn part<'a>(page: &'a str, name: &str) -> Result<&'a str, String> {
    let (begin, end) = markers(name);
    let after = page.split_once(&begin).ok_or_else(|| format!("{PAGE}: no {begin}"))?.1;
    Ok(after.split_once(&end).ok_or_else(|| format!("{PAGE}: no {end}"))?.0.trim())
}

/// Puts a text between the markers of a part.
pub(crate) fn put_part(root: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    part(&page, name)?;
    let (begin, end) = markers(name);
    let (before, rest) = page.split_once(&begin).ok_or("the marker was there")?;
    let (_, after) = rest.split_once(&end).ok_or("the marker was there")?;
    let page = format!("{before}{begin}\n\n{text}\n\n{end}{after}");
    fs::write(&path, page).map_err(|error| error.to_string())
}

fn markers(name: &str) -> (String, String) {
    (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"))
}

/// The list of exhibits as a table.
pub(crate) fn index(exhibits: &[Exhibit]) -> String {
    let mut lines = vec!["| | mutant | engine | source | killed by |".into(), "|---|---|---|---|---|".into()];
    for exhibit in exhibits {
        let number = exhibit.file.split('-').next().unwrap_or_default();
        let whose = match exhibit.whose {
            Whose::Bitcask => "Bitcask",
            Whose::Lsm => "LSM",
            Whose::Both => "both",
        };
        let (name, file, source) = (&exhibit.name, &exhibit.file, &exhibit.source);
        let killer = killer(exhibit);
        lines.push(format!("| {number} | [{name}](../museum/{file}) | {whose} | {source} | {killer} |"));
    }
    lines.join("\n")
}

fn killer(exhibit: &Exhibit) -> String {
    format!("`{}: {}`", exhibit.killer.target, exhibit.killer.test)
}

/// What stands in a cell of a target that was not asked yet.
const NOT_ASKED: &str = "?";

/// Notes that the named test failed: in the exhibit's row, or in a new one that knows no more than that.
pub(crate) fn note_killer(rows: &mut Rows, exhibit: &Exhibit) {
    let row = rows.entry(exhibit.name.clone()).or_insert_with(|| short_row(exhibit));
    row[TARGETS.len()] = killer(exhibit);
}

/// Whether all targets were asked.
pub(crate) fn is_whole(row: &[String]) -> bool {
    row.iter().all(|cell| cell != NOT_ASKED)
}

fn short_row(exhibit: &Exhibit) -> Vec<String> {
    let cell = |target: &&str| if **target == exhibit.killer.target { "1+" } else { NOT_ASKED }.to_string();
    TARGETS.iter().map(cell).chain([killer(exhibit)]).collect()
}

/// A row: how many tests of each target failed. A target that has no test of this engine is not asked.
pub(crate) fn row(exhibit: &Exhibit, outcomes: &BTreeMap<&str, Outcome>) -> Vec<String> {
    let cell = |target: &&str| match outcomes.get(target) {
        None => "–".to_string(),
        Some(outcome) if outcome.is_green() => String::new(),
        Some(outcome) => {
            let how = match (outcome.hung, outcome.died) {
                (true, _) => " did not end",
                (_, true) => " died",
                _ => "",
            };
            format!("{}{how}", outcome.failed.len())
        }
    };
    TARGETS.iter().map(cell).chain([killer(exhibit)]).collect()
}

fn header() -> String {
    format!("| mutant | {} | killed by |", TARGETS.join(" | "))
}

/// The matrix as a table, in the order of the exhibits; those without a row are left out.
pub(crate) fn table(exhibits: &[Exhibit], rows: &Rows) -> String {
    let mut lines = vec![header(), "|---".repeat(TARGETS.len() + 2) + "|"];
    for exhibit in exhibits {
        let Some(cells) = rows.get(&exhibit.name) else { continue };
        lines.push(format!("| {} | {} |", exhibit.name, cells.join(" | ")));
    }
    lines.join("\n")
}

/// The rows that a table has. None if its columns are others than today's.
pub(crate) fn rows(table: &str) -> Option<Rows> {
    let mut lines = table.lines();
    if lines.next()? != header() {
        return None;
    }
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_string());
        Some((cells.next()?, cells.collect::<Vec<_>>()))
    };
    lines.skip(1).map(row).collect()
}
