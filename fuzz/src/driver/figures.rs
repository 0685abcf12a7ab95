//! What runs came to: a row of a table, and a file for programs.

use crate::targets::ALL;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What the runs of a target came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) executions: u64,
    /// For which it had a processor.
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

    fn of_json(json: &Value) -> Option<Figure> {
        let number = |name: &str| json[name].as_u64();
        Some(Figure {
            name: json["name"].as_str()?.to_string(),
            executions: number("executions")?,
            seconds: json["seconds"].as_f64()?,
            edges: number("edges")?,
            corpus: number("corpus")?,
            findings: number("findings")?,
        })
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
    /// None yet; or those that an earlier call has written to the file.
    pub(super) fn of(path: Option<PathBuf>, resume: bool) -> Figures {
        let text = path.as_ref().filter(|_| resume).and_then(|path| std::fs::read_to_string(path).ok());
        let json: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
        let rows = json.as_ref().and_then(|json| json["targets"].as_array());
        let all = rows.into_iter().flatten().filter_map(Figure::of_json).collect();
        Figures { path, all }
    }

    /// What is known of a target, and is added to.
    pub(super) fn of_target(&mut self, name: &str) -> &mut Figure {
        let at = self.all.iter().position(|figure| figure.name == name).unwrap_or(self.all.len());
        if at == self.all.len() {
            self.all.push(Figure { name: name.into(), ..Figure::default() });
        }
        &mut self.all[at]
    }

    pub(super) fn add(&mut self, figure: Figure) -> Result<(), String> {
        let sum = self.of_target(&figure.name);
        sum.executions += figure.executions;
        sum.seconds += figure.seconds;
        sum.findings += figure.findings;
        // Of the last run: it begins with all that those before have found.
        (sum.edges, sum.corpus) = (figure.edges, figure.corpus);
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
}

#[cfg(test)]
mod tests {
    use super::Figure;

    #[test]
    fn figures_are_read_from_what_the_fuzzer_prints_and_from_what_was_written() {
        let mut figure = Figure { name: "block".into(), seconds: 2.5, findings: 1, ..Figure::default() };
        figure.read("#1000\tNEW    cov: 261 ft: 598 corp: 165/8199b lim: 1024 exec/s: 500 rss: 28Mb");
        figure.read("stat::number_of_executed_units: 1234567");
        assert_eq!(figure.row(), "| `block` | 1,234,567 | 493,826 | 261 | 165 | 1 |");
        assert_eq!(Figure::of_json(&figure.json()).map(|again| again.row()), Some(figure.row()));
    }
}
