//! The names of a store's files: what they say, and which names are ours.

/// Which engine a directory belongs to: magic, engine, format, store id.
pub const ENGINE: &str = "ENGINE";

/// What the identity file of a store is called that is not to be found yet: a migration fills it.
pub const UNFINISHED: &str = "ENGINE.unfinished";

/// Which files are live: a log of edits.
pub const MANIFEST: &str = "MANIFEST";

/// A file of a store, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileName {
    /// The identity file.
    Engine,
    /// The list of live files.
    Manifest,
    /// A Bitcask segment.
    Segment(u64),
    /// The hint of a Bitcask segment.
    Hint(u64),
    /// A write-ahead log of the LSM tree.
    Wal(u64),
    /// A sorted table of the LSM tree.
    Table(u64),
    /// One of the above that was being written when its writer died.
    Temporary,
}

/// The name of a Bitcask segment.
pub fn segment(number: u64) -> String {
    format!("{number:06}.seg")
}

/// The name of a segment's hint.
pub fn hint(number: u64) -> String {
    format!("{number:06}.hint")
}

/// The name of a write-ahead log of the LSM tree.
pub fn wal(number: u64) -> String {
    format!("{number:06}.wal")
}

/// The name of a sorted table of the LSM tree.
pub fn table(number: u64) -> String {
    format!("{number:06}.sst")
}

/// Reads a name; `None` if no store of ours has such a file. Other names in the directory belong to
/// somebody else and are never touched.
pub fn parse(name: &str) -> Option<FileName> {
    if let Some(stem) = name.strip_suffix(".tmp") {
        return parse(stem).map(|_| FileName::Temporary);
    }
    match name {
        ENGINE => return Some(FileName::Engine),
        MANIFEST => return Some(FileName::Manifest),
        _ => {}
    }
    let (stem, ending) = name.split_once('.')?;
    let number: u64 = stem.parse().ok()?;
    // One name a number: `6.seg` and `+000006.seg` are not ours.
    if stem != format!("{number:06}") {
        return None;
    }
    match ending {
        "seg" => Some(FileName::Segment(number)),
        "hint" => Some(FileName::Hint(number)),
        "wal" => Some(FileName::Wal(number)),
        "sst" => Some(FileName::Table(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{FileName, hint, parse, segment};

    #[test]
    fn only_our_own_names_are_ours() {
        assert_eq!(parse(&segment(7)), Some(FileName::Segment(7)));
        assert_eq!(parse(&hint(1_234_567)), Some(FileName::Hint(1_234_567)));
        assert_eq!(parse("ENGINE"), Some(FileName::Engine));
        assert_eq!(parse("MANIFEST.tmp"), Some(FileName::Temporary));
        assert_eq!(parse(super::UNFINISHED), None, "it makes no store");
        for foreign in
            ["", ".", "7.seg", "+00007.seg", "000007.seg.bak", "MANIFEST-000005", "a.tmp", "notes.md"]
        {
            assert_eq!(parse(foreign), None, "{foreign}");
        }
    }
}
