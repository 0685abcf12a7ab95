//! Rust source as the tests of the house read it: without comments, strings and tests, and the paths
//! that it names.
//!
//! Not a parser: it knows as much of Rust as the questions need, and errs on the strict side.

use std::collections::BTreeMap;
use std::path::Path;

/// A path as it is written, in pieces: `crate::engine::range::KeyRange`.
pub(crate) type Names = Vec<String>;

/// The code alone: comments, strings and characters are blank, test modules are gone.
pub(crate) fn code(text: &str) -> String {
    without_tests(&without_prose(text))
}

/// Comments, strings and characters are blank; lines stay where they are.
pub(crate) fn without_prose(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = prose_end(&chars, at);
        if end > at {
            out.push(' ');
            out.extend(chars[at..end].iter().filter(|&&c| c == '\n'));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment, string or character that begins here ends; `at` if none begins here.
fn prose_end(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment(rest),
        ['"', ..] => at + quoted(rest, '"'),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => at + quoted(rest, '\''),
        ['r', '"' | '#', ..] if !in_word => at + raw_string(&rest[1..]).map_or(0, |len| len + 1),
        ['b' | 'c', 'r', '"' | '#', ..] if !in_word => at + raw_string(&rest[2..]).map_or(0, |len| len + 2),
        _ => at,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of `#"..."#`; `None` if this is a raw name.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&c| c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[hashes + 1..];
    let len = body.windows(close.len()).position(|window| window == close).unwrap_or(body.len());
    Some((hashes + 1 + len + close.len()).min(rest.len()))
}

/// Cuts out the items below `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let Some(begin) = code.find("#[cfg(test)]") else { return code.to_string() };
    let item = &code[begin..];
    let head = item.find(['{', ';']).unwrap_or(item.len() - 1);
    let len = if item[head..].starts_with('{') { head + braces(&item[head..]) } else { head + 1 };
    code[..begin].to_string() + &without_tests(&item[len..])
}

/// The length of what stands in braces.
fn braces(text: &str) -> usize {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            return i + 1;
        }
    }
    text.len()
}

/// Words, `::`, and other characters by themselves.
pub(crate) fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let (mut in_word, mut last) = (false, ' ');
    for c in code.chars() {
        let word = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(token) if word && in_word => token.push(c),
            Some(token) if c == ':' && last == ':' && token == ":" => token.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.to_string()),
        }
        (in_word, last) = (word, c);
    }
    tokens
}

/// Every path that the code names, `use` trees taken apart, and names that a `use` brought in put
/// back in full.
pub(crate) fn paths(code: &str) -> Vec<Names> {
    let tokens = tokens(code);
    let (mut used, mut inline) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" && tokens.get(at + 1).is_none_or(|next| next != "<") {
            at = use_tree(&tokens, at + 1, &Names::new(), &mut used);
        } else if is_word(&tokens[at]) {
            let mut names = vec![tokens[at].clone()];
            at += 1;
            while at + 1 < tokens.len() && tokens[at] == "::" && is_word(&tokens[at + 1]) {
                names.push(tokens[at + 1].clone());
                at += 2;
            }
            inline.push(names);
        } else {
            at += 1;
        }
    }
    let known: BTreeMap<String, Names> =
        used.iter().map(|(name, path): &(String, Names)| (name.clone(), path.clone())).collect();
    let full = |names: Names| match known.get(&names[0]) {
        Some(path) if names.len() > 1 => path.iter().chain(&names[1..]).cloned().collect(),
        _ => names,
    };
    let inline = inline.into_iter().filter(|names| names.len() > 1).map(full);
    used.iter().map(|(_, path)| path.clone()).chain(inline).collect()
}

/// Reads one branch of a `use` tree into `out`, each leaf with the name that it brings in; returns
/// where the branch ends.
fn use_tree(tokens: &[String], mut at: usize, stem: &Names, out: &mut Vec<(String, Names)>) -> usize {
    let mut path = stem.clone();
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => {}
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = use_tree(tokens, at, &path, out);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            "as" => {
                let name = tokens.get(at + 1).cloned().unwrap_or_default();
                out.push((name, path));
                return at + 2;
            }
            "self" if !path.is_empty() => {}
            word if is_word(word) || word == "*" => path.push(word.to_string()),
            _ => break,
        }
        at += 1;
    }
    if path != *stem || !stem.is_empty() {
        out.push((path.last().cloned().unwrap_or_default(), path));
    }
    // The semicolon of the whole statement, if this was its only branch.
    at + usize::from(stem.is_empty())
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The Rust files below `folder`, by their paths from it, in order.
pub(crate) fn rust_files(folder: &Path) -> Vec<(String, String)> {
    files(folder, "rs")
}

/// The files below `folder` with this ending, by their paths from it, in order.
#[expect(clippy::disallowed_methods, reason = "these are the files of the repository, not of a store")]
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(dir) = folders.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                let name = path.strip_prefix(folder).expect("it is below").to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(&path).expect("source is text")));
            }
        }
    }
    found.sort();
    found
}
