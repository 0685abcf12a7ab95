//! What a store holds and what it costs, in the same words for both engines.

use serde::{Serialize, Serializer};

/// A look at a store at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// The engine's name.
    pub engine: &'static str,
    /// Keys that are there.
    pub keys: u64,
    /// Whether `keys`, `live_bytes` and `dead_bytes` are estimates: the LSM tree knows which entries are
    /// replaced only when they meet.
    pub is_estimate: bool,
    /// The sequence number of the newest write.
    pub seqno: u64,
    /// Bytes of all files that belong to the store.
    pub disk_bytes: u64,
    /// Of these, bytes of records that a get can still reach.
    pub live_bytes: u64,
    /// Bytes of records that no get can reach: overwritten, removed, or such that say so:
    /// tombstones, and what a clean close writes.
    pub dead_bytes: u64,
    /// Bytes that the engine keeps in memory to find the values.
    pub memory_bytes: u64,
    /// What these bytes are: the parts add up to them.
    pub memory: Vec<Counter>,
    /// Snapshots, cursors included, that are held.
    pub snapshots: u64,
    /// The store's data files.
    pub files: Vec<FileStats>,
    /// What the engine did since it was opened.
    pub counters: Vec<Counter>,
    /// Why writes are refused, if they are.
    pub poisoned: Option<String>,
}

/// One data file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FileStats {
    /// Its name.
    pub name: String,
    /// What it is: `active` or `sealed` for a log, `table`.
    pub state: String,
    /// The level that it stands in; `None` where an engine has no levels.
    pub level: Option<u8>,
    /// Its size.
    pub bytes: u64,
    /// Bytes of its records that a get can still reach.
    pub live_bytes: u64,
    /// Sets and removals in it, dead ones included; `None` if the engine does not count them.
    pub entries: Option<u64>,
    /// Its smallest key, in JSON as text with `\\xNN` for what is not readable ASCII; `None` if the
    /// engine does not know it without reading the file.
    #[serde(serialize_with = "escaped")]
    pub smallest: Option<Vec<u8>>,
    /// Its largest key, likewise.
    #[serde(serialize_with = "escaped")]
    pub largest: Option<Vec<u8>>,
    /// The lowest sequence number that it may hold.
    pub first_seqno: u64,
    /// The highest sequence number that it may hold.
    pub last_seqno: u64,
}

/// Something counted since the store was opened, or bytes of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// What.
    pub name: &'static str,
    /// How many.
    pub value: u64,
}

/// A key as text. [`u8::escape_ascii`] escapes quotes too, for which JSON has its own way.
fn escaped<S: Serializer>(key: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    let Some(key) = key else { return serializer.serialize_none() };
    let mut text = String::with_capacity(key.len());
    for &byte in key {
        match byte {
            b'"' | b'\'' => text.push(byte.into()),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    serializer.serialize_some(&text)
}

#[cfg(test)]
mod tests {
    use super::FileStats;

    #[test]
    fn keys_are_readable_in_json() {
        let key = |key: &[u8]| Some(key.to_vec());
        let file =
            FileStats { smallest: key(b"it's \\ \n"), largest: key(b"\xff\0"), ..FileStats::default() };
        let json = serde_json::to_value(&file).unwrap();
        assert_eq!(json["smallest"], r"it's \\ \n");
        assert_eq!(json["largest"], r"\xff\x00");
        assert!(json["level"].is_null());
    }
}
