//! What runs came to: a row of a table, and a file for programs.

use crate::targets::ALL;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What one run came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) executions: u64,
    pub(super) seconds: f64,
    /// Edges of the program that were reached.
    pub(super) edges: u64,
    /// Inputs that each reach something of their own.
    pub(super) corpus: u64,
    pub(super) findings: u64,
}

/// The head of the table.
pub(super) const HEAD: &str = "\
| target | executions | executions/s | edges | corpus | findings |
|---|---|---|---|---|---|";

impl Figure {
    /// Takes in a line that libFuzzer prints.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = count.trim().parse().unwrap_or(self.executions);
        }
        let Some((count, rest)) = line.strip_prefix('#').and_then(|line| line.split_once('\t')) else {
            return;
        };
        self.executions = count.parse().unwrap_or(self.executions);
        let mut words = rest.split_whitespace();
        while let Some(word) = words.next() {
            let mut number = || words.next()?.split('/').next()?.parse().ok();
            match word {
                "cov:" => self.edges = number().unwrap_or(self.edges),
                "corp:" => self.corpus = number().unwrap_or(self.corpus),
                _ => {}
            }
        }
    }

    /// As a row.
    pub(super) fn row(&self) -> String {
        let Figure { name, executions, seconds, edges, corpus, findings } = self;
        let rate = (*executions as f64 / seconds.max(0.001)) as u64;
        let [executions, rate] = [*executions, rate].map(grouped);
        format!("| `{name}` | {executions} | {rate} | {edges} | {corpus} | {findings} |")
    }

    fn json(&self) -> Value {
        let seconds = (self.seconds * 10.0).round() / 10.0;
        json!({
            "name": self.name, "executions": self.executions, "seconds": seconds,
            "edges": self.edges, "corpus": self.corpus, "findings": self.findings,
        })
    }
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What stands around the table in a page.
const BEGIN: &str = "<!-- fuzzing -->";
const END: &str = "<!-- /fuzzing -->";

/// All runs so far, and the file that they are written to after each.
#[derive(Debug)]
pub(super) struct Figures {
    path: Option<PathBuf>,
    all: Vec<Figure>,
}

impl Figures {
    pub(super) fn of(path: Option<PathBuf>) -> Figures {
        Figures { path, all: Vec::new() }
    }

    pub(super) fn add(&mut self, figure: Figure) -> Result<(), String> {
        self.all.push(figure);
        self.all.sort_by_key(|figure| ALL.iter().position(|target| target.name == figure.name));
        let Some(path) = &self.path else { return Ok(()) };
        let targets: Vec<Value> = self.all.iter().map(Figure::json).collect();
        let text = format!("{:#}\n", json!({ "targets": targets }));
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Puts the table of all runs into a page, between the marks that it has for that.
    pub(super) fn note(&self, page: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", page.display());
        let text = std::fs::read_to_string(page).map_err(failed)?;
        let parts = text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
        let (head, tail) = parts.ok_or_else(|| format!("{}: no {BEGIN} and {END}", page.display()))?;
        let rows: Vec<String> = self.all.iter().map(Figure::row).collect();
        let text = format!("{head}{BEGIN}\n{HEAD}\n{}\n{END}{tail}", rows.join("\n"));
        std::fs::write(page, text).map_err(failed)
    }

    pub(super) fn findings(&self) -> u64 {
        self.all.iter().map(|figure| figure.findings).sum()
    }
}
