//! What the notes say about the code is there: paths, symbols, links, pages.
//!
//! In backticks, a path of the repository (`src/codec.rs`) must exist. A second pair of backticks right
//! behind a path of a Rust file names a symbol in it, which that file must define: `src/codec.rs`
//! `Reader::take`; `src/codec.rs:Reader` and `src/codec.rs::Reader` in one pair mean the same. Names
//! with `NN`, `…`, `*` or `<` stand for many files and are passed over, as is what stands between
//! fences.

#![expect(clippy::disallowed_methods, reason = "reads and writes pages, not stores")]

mod common;

use common::source::{code, files, tokens, without_prose};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Words that begin a path of the repository.
const ROOTS: &[&str] = &[
    "src/",
    "tests/",
    "notes/",
    "examples/",
    "benches/",
    "peers/",
    "fuzz/",
    "museum/",
    "mutants/",
    ".github/",
];

/// A page that was read: its path from the root, and its text without fenced blocks.
struct Page {
    name: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<Page> {
    let notes = files(&root().join("notes"), "md");
    let mut pages: Vec<_> =
        notes.into_iter().map(|(name, text)| page(format!("notes/{name}"), &text)).collect();
    let museum = files(&root().join("museum"), "md");
    pages.extend(museum.into_iter().map(|(name, text)| page(format!("museum/{name}"), &text)));
    if let Ok(text) = fs::read_to_string(root().join("README.md")) {
        pages.push(page("README.md".into(), &text));
    }
    pages
}

fn page(name: String, text: &str) -> Page {
    let mut fenced = false;
    let keep = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    };
    Page { name, text: text.lines().filter(keep).collect::<Vec<_>>().join("\n") }
}

/// A path of the repository, and the symbol that is said to be in it.
#[derive(Debug, PartialEq, Eq)]
struct Mention {
    path: String,
    symbol: Option<String>,
}

fn mentions(text: &str) -> Vec<Mention> {
    // Odd pieces stand in backticks; the even one between two of them is what is said in between.
    let pieces: Vec<&str> = text.split('`').collect();
    let mut mentions = Vec::new();
    for at in (1..pieces.len()).step_by(2) {
        let Some(mut mention) = mention(pieces[at]) else { continue };
        let beside = pieces.get(at + 1).is_some_and(|gap| !gap.is_empty() && gap.trim().is_empty());
        if mention.symbol.is_none()
            && mention.path.ends_with(".rs")
            && beside
            && !pieces[at + 1].contains("\n\n")
        {
            mention.symbol = pieces.get(at + 2).map(|symbol| (*symbol).to_string());
        }
        mentions.push(mention);
    }
    mentions
}

fn mention(quoted: &str) -> Option<Mention> {
    let stands_for_many = ["NN", "…", "*", "<", "{", " "].iter().any(|sign| quoted.contains(sign));
    if stands_for_many || !ROOTS.iter().any(|root| quoted.starts_with(root)) {
        return None;
    }
    match quoted.split_once(".rs:") {
        None => Some(Mention { path: quoted.to_string(), symbol: None }),
        Some((stem, symbol)) => {
            let symbol = symbol.trim_start_matches(':').to_string();
            Some(Mention { path: format!("{stem}.rs"), symbol: Some(symbol) })
        }
    }
}

/// What is wrong with a mention, if anything.
fn fault(root: &Path, mention: &Mention) -> Option<String> {
    let path = root.join(mention.path.split('#').next().unwrap_or(&mention.path));
    if !path.exists() {
        return Some(format!("{} does not exist", mention.path));
    }
    let symbol = mention.symbol.as_ref()?;
    let text = fs::read_to_string(path).ok()?;
    if symbol.chars().all(|c| c.is_ascii_digit()) {
        return Some(format!(
            "{}:{symbol} is a line number and will be wrong soon: name the symbol",
            mention.path
        ));
    }
    let missing = symbol_names(symbol).into_iter().find(|name| !is_defined(name, &text))?;
    Some(format!("{} does not define {missing} (of {symbol})", mention.path))
}

/// `Keydir::get()` names `get`, and `Keydir`, which may be defined elsewhere: only the last counts.
fn symbol_names(symbol: &str) -> Vec<String> {
    let plain: String = symbol.chars().take_while(|c| c.is_alphanumeric() || "_:!".contains(*c)).collect();
    plain.rsplit("::").next().map(|name| name.trim_end_matches(['!', ':']).to_string()).into_iter().collect()
}

/// Whether Rust source defines the name: as an item, or as a variant or field of one.
fn is_defined(name: &str, text: &str) -> bool {
    const KEYWORDS: &[&str] = &["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "union"];
    // Tests count: a note may name one.
    let tokens = tokens(&without_prose(text));
    let item = |pair: &[String]| KEYWORDS.contains(&pair[0].as_str()) && pair[1] == name;
    tokens.windows(2).any(item) || macro_rules(&tokens, name) || members(&tokens).contains(name)
}

fn macro_rules(tokens: &[String], name: &str) -> bool {
    tokens.windows(3).any(|words| words[0] == "macro_rules" && words[1] == "!" && words[2] == name)
}

/// The variants and fields: names behind `{`, `,`, `]` or `pub` in the bodies of types, and of macros
/// that are called with braces, which may make types.
fn members(tokens: &[String]) -> BTreeSet<&str> {
    let mut members = BTreeSet::new();
    let (mut depth, mut body) = (0, None);
    let mut opens = false;
    for (before, token) in tokens.iter().zip(&tokens[1..]) {
        opens |= ["struct", "enum", "union"].contains(&token.as_str()) || token == "!";
        opens &= ![";", "=", "("].contains(&token.as_str());
        match token.as_str() {
            "{" => {
                depth += 1;
                body = body.or(opens.then_some(depth));
                opens = false;
            }
            "}" => {
                body = body.filter(|&at| at < depth);
                depth -= 1;
            }
            name if body == Some(depth) && ["{", ",", "]", "pub", ")"].contains(&before.as_str()) => {
                members.insert(name);
            }
            _ => {}
        }
    }
    members
}

#[test]
fn every_path_and_symbol_in_the_notes_is_there() {
    let mut faults = Vec::new();
    for page in pages() {
        let found = mentions(&page.text);
        let found = found.iter().filter_map(|mention| fault(&root(), mention));
        faults.extend(found.map(|fault| format!("{}: {fault}", page.name)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The targets of `[text](target)` that are files.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target.split('#').next().unwrap_or("").to_string());
    targets.filter(|target| !target.is_empty() && !target.contains("://")).collect()
}

#[test]
fn every_link_in_the_notes_leads_somewhere() {
    let mut faults = Vec::new();
    for page in pages() {
        let folder = root().join(&page.name).parent().expect("a page is in a folder").to_path_buf();
        let broken = links(&page.text).into_iter().filter(|link| !folder.join(link).exists());
        faults.extend(broken.map(|link| format!("{}: {link}", page.name)));
    }
    assert!(faults.is_empty(), "links that lead nowhere:\n{}", faults.join("\n"));
}

/// mdBook builds what SUMMARY.md lists, and nothing else.
#[test]
fn the_summary_lists_every_page() {
    let pages = pages();
    let Some(summary) = pages.iter().find(|page| page.name == "notes/SUMMARY.md") else {
        let notes: Vec<_> = pages.iter().filter(|page| page.name.starts_with("notes/")).collect();
        assert!(notes.is_empty(), "there are notes, but no notes/SUMMARY.md");
        return;
    };
    let listed: BTreeSet<_> = links(&summary.text)
        .into_iter()
        .map(|link| format!("notes/{}", link.trim_start_matches("./")))
        .collect();
    let written = pages.iter().map(|page| page.name.clone());
    let written: BTreeSet<_> =
        written.filter(|name| name.starts_with("notes/") && name != "notes/SUMMARY.md").collect();
    let missing: Vec<_> = written.difference(&listed).collect();
    assert!(missing.is_empty(), "pages that notes/SUMMARY.md does not list: {missing:?}");
}

#[test]
fn the_reader_tells_right_from_wrong() {
    let text = "See `src/codec.rs` `Reader::take`, `src/codec.rs` and `Reader`, `src/codec.rs::put_bytes()`,\n\
                `src/engine/stats.rs:Stats`, `src/engine/NN.rs`, `src/engine/options.rs`\n`Durability::Always`.";
    let found = mentions(text);
    assert_eq!(found.len(), 5);
    let symbols: Vec<_> = found.iter().map(|mention| mention.symbol.as_deref().unwrap_or("-")).collect();
    assert_eq!(symbols, ["Reader::take", "-", "put_bytes()", "Stats", "Durability::Always"]);
    for mention in &found {
        assert_eq!(fault(&root(), mention), None);
    }
    let wrong = [
        "`src/nowhere.rs`",
        "`src/codec.rs` `Writer`",
        "`src/codec.rs:17`",
        "`src/engine/stats.rs` `Stats::no_such_field`",
        "`src/engine/memory.rs` `WriteBatch`",
    ];
    for text in wrong {
        assert!(fault(&root(), &mentions(text)[0]).is_some(), "{text}");
    }
    let right = [
        "`src/engine/stats.rs` `Stats::live_bytes`",
        "`src/engine/metered.rs` `Usage::hits`",
        "`src/vfs.rs` `Cause::Compaction`",
        "`tests/notes.rs` `fault`",
    ];
    for text in right {
        assert_eq!(fault(&root(), &mentions(text)[0]), None);
    }
    assert_eq!(links("[a](b.md#c) and [d](https://e.f) [g](#h)"), ["b.md"]);
    assert!(code("// only prose").trim().is_empty());
}

/// What the notes show of real files is what `kvs inspect` prints of them: the block behind
/// `<!-- golden: NAME -->` is `tests/golden/NAME.txt`. `UPDATE_GOLDEN=1` writes the pages anew.
#[test]
fn the_bytes_in_the_notes_are_real() {
    let page = root().join("notes/formats.md");
    let text = fs::read_to_string(&page).unwrap();
    let mut parts = text.split("<!-- golden: ");
    let mut written = parts.next().unwrap_or_default().to_string();
    let mut shown = 0;
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").unwrap();
        let (_, rest) = rest.split_once("```text\n").unwrap();
        let (_, rest) = rest.split_once("\n```").unwrap();
        let golden = fs::read_to_string(root().join(format!("tests/golden/{name}.txt"))).unwrap();
        written += &format!("<!-- golden: {name} -->\n\n```text\n{}\n```{rest}", golden.trim_end());
        shown += 1;
    }
    assert!(shown >= 4, "{shown} blocks");
    match std::env::var_os("UPDATE_GOLDEN") {
        Some(_) => fs::write(&page, written).unwrap(),
        None => assert!(text == written, "notes/formats.md shows old bytes: run with UPDATE_GOLDEN=1"),
    }
}
