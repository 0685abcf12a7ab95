//! The mutants that cargo-mutants proposes, and the names by which outcomes are kept.

use serde::Deserialize;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The modules whose mutants are tried: what a store's survival rests on.
pub const MODULES: &[&str] = &[
    "src/record.rs",
    "src/record/**",
    "src/engine/manifest.rs",
    "src/engine/{catalog,commit,health}.rs",
    "src/engine/bitcask/writer.rs",
    "src/engine/lsm/wal.rs",
    "src/engine/{bitcask,lsm}/recover.rs",
    "src/engine/bitcask/merger.rs",
    "src/engine/bitcask/compaction.rs",
    "src/engine/bitcask/compaction/**",
    "src/engine/lsm/iter/**",
    "src/engine/lsm/compaction.rs",
    "src/engine/lsm/compaction/**",
    "src/engine/lsm/table.rs",
    "src/engine/lsm/table/**",
    "src/engine/lsm/version.rs",
    "src/engine/lsm/version/**",
];

/// One small change of the sources.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// What switches it on in a built tree: from 1 on, in the order of the list.
    pub number: u32,
    /// The file that it changes, from the root of the repository.
    pub file: String,
    /// File, line, column and change.
    pub name: String,
    /// File and change without the place, and a `#2` if it is the second of its name: as stable as the
    /// function it is in.
    pub title: String,
    /// The title, and a hash of the function's source.
    pub key: String,
    /// What kind of change it is, in the words of cargo-mutants.
    pub genre: String,
    /// The text in place of the one that goes.
    pub replacement: String,
    /// What goes.
    pub span: Span,
}

/// A stretch of a file.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Span {
    /// Its first character.
    pub start: Place,
    /// The one behind its last.
    pub end: Place,
}

/// A place in a file, both counted from 1.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

#[derive(Deserialize)]
struct Listed {
    file: String,
    name: String,
    genre: String,
    replacement: String,
    span: Span,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    span: Span,
}

/// Asks cargo-mutants for the list.
pub fn list(root: &Path) -> Result<Vec<Mutant>, String> {
    let program = std::env::var("CARGO_MUTANTS").unwrap_or_else(|_| "cargo-mutants".into());
    let mut command = Command::new(&program);
    command.args(["mutants", "--list", "--json", "--no-shuffle"]).current_dir(root);
    command.args(MODULES.iter().flat_map(|module| ["-f", module]));
    let done = command.output().map_err(|error| {
        format!(
            "{program}: {error}; install it with `cargo install cargo-mutants`, or name it in CARGO_MUTANTS"
        )
    })?;
    if !done.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&done.stderr)));
    }
    let listed = serde_json::from_slice(&done.stdout).map_err(|error| format!("{program}: {error}"))?;
    number(root, listed)
}

fn number(root: &Path, listed: Vec<Listed>) -> Result<Vec<Mutant>, String> {
    let (mut texts, mut titles) = (HashMap::new(), HashMap::new());
    let mut mutants = Vec::with_capacity(listed.len());
    for (index, listed) in listed.into_iter().enumerate() {
        if !texts.contains_key(&listed.file) {
            let text = fs::read_to_string(root.join(&listed.file));
            texts.insert(listed.file.clone(), text.map_err(|error| format!("{}: {error}", listed.file))?);
        }
        let source = match &listed.function {
            Some(function) => cut(&texts[&listed.file], function.span),
            None => cut(&texts[&listed.file], listed.span),
        };
        let mut title = without_place(&listed.name);
        let count = titles.entry(title.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count > 1 {
            title += &format!(" #{count}");
        }
        mutants.push(Mutant {
            number: u32::try_from(index + 1).expect("nobody lists so many mutants"),
            key: format!("{title} @{:016x}", hash(source.as_bytes())),
            title,
            file: listed.file,
            name: listed.name,
            genre: listed.genre,
            replacement: listed.replacement,
            span: listed.span,
        });
    }
    Ok(mutants)
}

/// `file:line:column: change` without line and column.
fn without_place(name: &str) -> String {
    let mut parts = name.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(change)) => format!("{file}:{change}"),
        _ => name.to_string(),
    }
}

/// The offset of a place in a text.
pub fn offset(text: &str, place: Place) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(place.line - 1).map(str::len).sum();
    let characters = text[line_start..].char_indices().map(|(at, _)| at);
    line_start + characters.chain([text.len() - line_start]).nth(place.column - 1).unwrap_or(0)
}

fn cut(text: &str, span: Span) -> &str {
    &text[offset(text, span.start)..offset(text, span.end)]
}

/// FNV-1a: short, and the same in each release.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters() {
        assert_eq!(offset("é\näx = y", Place { line: 2, column: 2 }), 5);
        assert_eq!(offset("ab", Place { line: 1, column: 3 }), 2);
    }

    #[test]
    fn a_title_says_no_line() {
        assert_eq!(
            without_place("src/a.rs:4:5: replace f -> a::B with None"),
            "src/a.rs: replace f -> a::B with None"
        );
    }
}
