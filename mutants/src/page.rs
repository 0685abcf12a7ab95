//! Writes the figures and the survivors into `notes/mutation.md`, between its markers.

use crate::list::Mutant;
use crate::outcomes::Outcomes;
use crate::run::Outcome;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- mutants: written by the program from here -->\n";
const END: &str = "<!-- mutants: to here -->";

/// Reasons why a mutant can not be told from the original, by the title of the mutant.
pub type Reasons = BTreeMap<String, String>;

/// The figures of a file, or of all.
#[derive(Debug, Default, Clone)]
struct Row {
    mutants: usize,
    killed: usize,
    timeout: usize,
    survived: usize,
    explained: usize,
    unviable: usize,
    fixed: usize,
    untried: usize,
    /// Those among them that the unit tests let pass.
    undecided: usize,
    tenths: u64,
}

impl Row {
    fn count(&mut self, mutant: &Mutant, outcomes: &Outcomes, reasons: &Reasons) {
        self.mutants += 1;
        let Some(tried) = outcomes.of(mutant) else {
            self.untried += 1;
            return;
        };
        self.tenths += tried.tenths;
        match tried.outcome {
            Outcome::Killed(_) => self.killed += 1,
            Outcome::Timeout(_) => self.timeout += 1,
            Outcome::Survived | Outcome::Unreached | Outcome::SurvivedUnitTests
                if reasons.contains_key(&mutant.title) =>
            {
                self.explained += 1
            }
            Outcome::Survived | Outcome::Unreached => self.survived += 1,
            Outcome::SurvivedUnitTests => {
                self.untried += 1;
                self.undecided += 1;
            }
            Outcome::Unviable => self.unviable += 1,
            Outcome::Fixed => self.fixed += 1,
        }
    }

    /// Of the mutants that were run, those that a test told, in per cent.
    fn score(&self, of_explained: usize) -> String {
        let told = self.killed + self.timeout;
        match told + self.survived + of_explained {
            0 => "–".into(),
            all => format!("{:.1} %", told as f64 * 100.0 / all as f64),
        }
    }

    fn line(&self, name: &str) -> String {
        let Row { mutants, killed, timeout, survived, explained, unviable, fixed, untried, .. } = self;
        let score = self.score(*explained);
        format!(
            "| {name} | {mutants} | {killed} | {timeout} | {survived} | {explained} | {unviable} | {fixed} | {untried} | {score} |\n"
        )
    }
}

/// The figures of all files in a sentence.
pub fn summary(mutants: &[Mutant], outcomes: &Outcomes, reasons: &Reasons) -> String {
    let mut all = Row::default();
    mutants.iter().for_each(|mutant| all.count(mutant, outcomes, reasons));
    let run = all.killed + all.timeout + all.survived + all.explained;
    let undecided = match all.undecided {
        0 => String::new(),
        n => {
            let least = Row { survived: all.survived + n, ..all.clone() };
            format!(
                " {n} more passed the unit tests and have not met the others; if none of these kills one, the \
                 score is {}.",
                least.score(all.explained)
            )
        }
    };
    format!(
        "{run} of {} mutants run, {:.1} s each: {} killed, {} timeouts, {} survived, {} explained. \
         Mutation score {}, and {} without those explained.{undecided}",
        all.mutants,
        all.tenths as f64 / 10.0 / run.max(1) as f64,
        all.killed,
        all.timeout,
        all.survived,
        all.explained,
        all.score(all.explained),
        all.score(0),
    )
}

/// Writes the page.
pub fn write(page: &Path, mutants: &[Mutant], outcomes: &Outcomes, reasons: &Reasons) -> Result<(), String> {
    let told = |error| format!("{}: {error}", page.display());
    let text = fs::read_to_string(page).map_err(told)?;
    let begin = text.find(BEGIN).map(|at| at + BEGIN.len());
    let (Some(begin), Some(end)) = (begin, text.find(END)) else {
        return Err(format!("{}: its markers are not there", page.display()));
    };
    let middle = middle(mutants, outcomes, reasons);
    fs::write(page, format!("{}\n{middle}\n{}", &text[..begin], &text[end..])).map_err(told)
}

fn middle(mutants: &[Mutant], outcomes: &Outcomes, reasons: &Reasons) -> String {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for mutant in mutants {
        rows.entry(&mutant.file).or_default().count(mutant, outcomes, reasons);
        rows.entry("~").or_default().count(mutant, outcomes, reasons);
    }
    let mut text = summary(mutants, outcomes, reasons) + "\n\n";
    text += "| file | mutants | killed | timeout | survived | explained | unviable | fixed | not tried yet | score |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|\n";
    for (file, row) in rows {
        let name = if file == "~" { "all".to_string() } else { format!("`{file}`") };
        text += &row.line(&name);
    }
    let survivors = mutants.iter().filter(|mutant| {
        let outcome = outcomes.of(mutant).map(|tried| &tried.outcome);
        matches!(outcome, Some(Outcome::Survived | Outcome::Unreached))
    });
    let (explained, open): (Vec<_>, Vec<_>) =
        survivors.partition(|mutant| reasons.contains_key(&mutant.title));
    text += "\n### Survivors that nobody has looked at\n\n";
    for mutant in &open {
        let note = match outcomes.of(mutant).map(|tried| &tried.outcome) {
            Some(Outcome::Unreached) => " (no test reaches it)",
            _ => "",
        };
        text += &format!("- {}{note}\n", said(mutant));
    }
    text += if open.is_empty() { "None.\n" } else { "" };
    text += "\n### Survivors that are explained\n\n";
    for mutant in &explained {
        text += &format!("- {}: {}\n", said(mutant), reasons[&mutant.title]);
    }
    text += if explained.is_empty() { "None.\n" } else { "" };
    text
}

/// A mutant in words: code in quotes would be looked up as a path.
fn said(mutant: &Mutant) -> String {
    let (file, change) = mutant.title.split_once(": ").unwrap_or(("", &mutant.title));
    let mut place = mutant.name.splitn(4, ':');
    let line = place.nth(1).unwrap_or("?");
    let change = change.replace('<', "&lt;").replace('*', "\\*").replace('[', "\\[").replace('_', "\\_");
    format!("`{file}`, line {line}: {change}")
}

/// Reads `explained.txt`: titles of mutants, a line each, and under them the reason, indented.
pub fn reasons(path: &Path) -> Result<Reasons, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (mut reasons, mut titles, mut reason) = (Reasons::new(), Vec::new(), String::new());
    for line in text.lines().chain(["#"]) {
        if line.starts_with("    ") {
            reason += if reason.is_empty() { "" } else { " " };
            reason += line.trim();
            continue;
        }
        if !reason.is_empty() {
            reasons.extend(titles.drain(..).map(|title| (title, reason.clone())));
            reason.clear();
        }
        if !line.trim().is_empty() && !line.starts_with('#') {
            titles.push(line.to_string());
        }
    }
    match titles.first() {
        Some(title) => Err(format!("{}: no reason for {title}", path.display())),
        None => Ok(reasons),
    }
}
