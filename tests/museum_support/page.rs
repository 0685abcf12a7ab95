//! A page of `museum/`: one exhibit, its story, and its bug as hunks of a diff.
//!
//! ```text
//! # name-of-the-mutant
//!
//! - engine: Bitcask | LSM | both
//! - source: project and report
//! - killed by: `target: path::of::the_test`
//!
//! The story, in words.
//!
//!     a fence of "diff": "--- path", then lines that begin with "-", "+" or a blank
//! ```
//!
//! A hunk's lines without `+` must stand in the file exactly once; its lines without `-` take their
//! place. They hold both the bug and what is right, and ask `crate::museum::shows("name")` which.

use std::fs;
use std::ops::Range;
use std::path::Path;

/// Whose code is wrong: tests of the other engine alone are left out of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Bitcask,
    Lsm,
    Both,
}

/// The test that a reader can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Killer {
    /// `lib`, or the name of a file in `tests/`.
    pub(crate) target: String,
    /// Its full name, as the test binary lists it.
    pub(crate) test: String,
}

/// Some lines of one file, and those that take their place.
#[derive(Clone, Debug)]
pub(crate) struct Hunk {
    pub(crate) path: String,
    old: String,
    new: String,
}

/// One bug.
#[derive(Clone, Debug)]
pub(crate) struct Exhibit {
    /// The page's file in `museum/`.
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) whose: Whose,
    pub(crate) source: String,
    pub(crate) killer: Killer,
    pub(crate) story: String,
    pub(crate) hunks: Vec<Hunk>,
}

/// All pages, in the order of their numbers.
pub(crate) fn exhibits(root: &Path) -> Result<Vec<Exhibit>, String> {
    let dir = fs::read_dir(root.join("museum")).map_err(|error| error.to_string())?;
    let mut names: Vec<String> =
        dir.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.retain(|name| name.ends_with(".md"));
    names.sort();
    let read = |file: String| {
        let text = fs::read_to_string(root.join("museum").join(&file)).map_err(|error| error.to_string())?;
        Exhibit::parse(&file, &text).map_err(|reason| format!("museum/{file}: {reason}"))
    };
    names.into_iter().map(read).collect()
}

impl Exhibit {
    fn parse(file: &str, text: &str) -> Result<Exhibit, String> {
        let name = text.lines().next().and_then(|line| line.strip_prefix("# ")).ok_or("no title")?;
        let field = |what: &str| {
            let prefix = format!("- {what}: ");
            let mut found = text.lines().filter_map(|line| line.strip_prefix(&prefix[..]));
            found.next().map(str::trim).filter(|value| !value.is_empty()).ok_or(format!("no `{what}`"))
        };
        let whose = match field("engine")? {
            "Bitcask" => Whose::Bitcask,
            "LSM" => Whose::Lsm,
            "both" => Whose::Both,
            other => return Err(format!("engine: {other}")),
        };
        let killer = field("killed by")?.trim_matches('`');
        let (target, test) = killer.split_once(": ").ok_or("killed by: `target: path::of::the_test`")?;
        let (story, hunks) = story_and_hunks(text)?;
        Ok(Exhibit {
            file: file.to_string(),
            name: name.to_string(),
            whose,
            source: field("source")?.to_string(),
            killer: Killer { target: target.to_string(), test: test.to_string() },
            story,
            hunks,
        })
    }
}

/// What stands between the list of facts and the first fence, and the fences.
fn story_and_hunks(text: &str) -> Result<(String, Vec<Hunk>), String> {
    let (mut story, mut hunks, mut fence) = (String::new(), Vec::new(), None::<Vec<&str>>);
    for line in text.lines().skip(1) {
        match &mut fence {
            Some(lines) if line == "```" => {
                hunks.push(Hunk::parse(lines)?);
                fence = None;
            }
            Some(lines) => lines.push(line),
            None if line == "```diff" => fence = Some(Vec::new()),
            None if line.starts_with("- ") => {}
            None => story = story + line + "\n",
        }
    }
    match fence {
        Some(_) => Err("a fence has no end".into()),
        None if hunks.is_empty() => Err("no hunk".into()),
        None => Ok((story.trim().to_string(), hunks)),
    }
}

impl Hunk {
    fn parse(lines: &[&str]) -> Result<Hunk, String> {
        let (head, lines) = lines.split_first().ok_or("an empty fence")?;
        let path = head.strip_prefix("--- ").ok_or("a hunk begins with `--- path`")?;
        let (mut old, mut new) = (String::new(), String::new());
        for line in lines {
            let (sign, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
            if !matches!(sign, " " | "-" | "+") {
                return Err(format!("a line of a hunk begins with {sign:?}"));
            }
            if sign != "+" {
                old = old + rest + "\n";
            }
            if sign != "-" {
                new = new + rest + "\n";
            }
        }
        match old.trim().is_empty() || !new.contains("crate::museum::shows(") {
            true => Err("a hunk needs lines to find, and a switch between bug and right".into()),
            false => Ok(Hunk { path: path.to_string(), old, new }),
        }
    }

    /// The names that its switches ask for.
    pub(crate) fn switches(&self) -> Vec<&str> {
        let pieces = self.new.split("crate::museum::shows(\"").skip(1);
        pieces.filter_map(|piece| piece.split('"').next()).collect()
    }

    /// Where its lines stand in the file's text: in one place.
    fn place(&self, text: &str) -> Result<Range<usize>, String> {
        let starts: Vec<usize> = text
            .match_indices(&self.old)
            .map(|(at, _)| at)
            .filter(|&at| at == 0 || text.as_bytes()[at - 1] == b'\n')
            .collect();
        match starts[..] {
            [at] => Ok(at..at + self.old.len()),
            _ => Err(format!("{}: found {} times:\n{}", self.path, starts.len(), self.old)),
        }
    }
}

/// The file's text with all of these hunks, which are of this file, in it.
pub(crate) fn patched(text: &str, hunks: &[&Hunk]) -> Result<String, String> {
    let mut places = Vec::new();
    for hunk in hunks {
        places.push((hunk.place(text)?, &hunk.new));
    }
    places.sort_by_key(|(place, _)| place.start);
    if let Some(pair) = places.windows(2).find(|pair| pair[0].0.end > pair[1].0.start) {
        return Err(format!("two hunks change the same lines:\n{}", &text[pair[1].0.clone()]));
    }
    let (mut out, mut at) = (String::new(), 0);
    for (place, new) in places {
        out = out + &text[at..place.start] + new;
        at = place.end;
    }
    Ok(out + &text[at..])
}
