//! A trace: the calls that somebody made of a store, to be made again of another.
//!
//! ```text
//! trace := log header (kind 6), then records of kind 1: a call each
//! call  := 1 key                                   get
//!        | 2 durable:u8 count:varint op*           write:  op := key size
//!        | 3 key size                              swap, or a removal that asks
//!        | 4 direction:u8 has:u8 [key] pairs:varint    scan, from a key or an end
//!        | 5 | 6                                   flush; compact
//!        | 7 key size                              a pair that was there when it began
//! key   := len:varint bytes
//! size  := varint: 0 removes, else bytes of the value plus 1
//! ```
//!
//! Keys are kept, of values only their sizes: a trace tells how a store is used, not what is in it. (The
//! keys may say more than one wants to show.) It is a log like the others, so what a killed process had
//! recorded can be read.

use crate::bench::error::{Error, Result};
use crate::bench::keys::Sizes;
use crate::codec::{Reader, put_bytes, put_varint};
use crate::engine::range::Direction;
use crate::record::frame::{Header, Part};
use crate::record::reader::{End, LogReader};
use crate::record::writer::LogWriter;
use crate::vfs::dir::Dir;
use crate::vfs::os::OsDisk;
use crate::vfs::{Cause, Vfs};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All traces have this header: they belong to no store.
const HEADER: Header = Header { store_id: 0x7472_6163_6531, number: 1, kind: 6 };

/// The kind of a record.
const CALL: u8 = 1;

/// Bytes that are collected before they are written.
const BUFFER: usize = 64 << 10;

/// Pairs of a batch in which the state of the beginning is loaded.
pub const LOADED: usize = 100;

/// One call. Sizes are those of values; `None` removes the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// A get.
    Get(Vec<u8>),
    /// A batch of sets and removals; whether it was durable when it returned.
    Write(Vec<(Vec<u8>, Option<u32>)>, bool),
    /// A key got another value, or none, and the old one was asked for.
    Swap(Vec<u8>, Option<u32>),
    /// Pairs in order, from the first at a key or behind it; in reverse, from the last below it.
    Scan {
        /// `None`: from the first, or the last.
        from: Option<Vec<u8>>,
        /// Which way.
        direction: Direction,
        /// How many were looked at.
        pairs: u64,
    },
    /// A flush.
    Flush,
    /// A compaction.
    Compact,
    /// A pair that was there when the trace began.
    State(Vec<u8>, u32),
}

fn put_size(out: &mut Vec<u8>, size: Option<u32>) {
    put_varint(out, size.map_or(0, |bytes| u64::from(bytes) + 1));
}

fn read_size(reader: &mut Reader<'_>) -> Option<Option<u32>> {
    match reader.varint()? {
        0 => Some(None),
        n => u32::try_from(n - 1).ok().map(Some),
    }
}

impl Made {
    /// Appends it to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Made::Get(key) => {
                out.push(1);
                put_bytes(out, key);
            }
            Made::Write(ops, is_durable) => {
                out.extend([2, u8::from(*is_durable)]);
                put_varint(out, ops.len() as u64);
                for (key, size) in ops {
                    put_bytes(out, key);
                    put_size(out, *size);
                }
            }
            Made::Swap(key, size) => {
                out.push(3);
                put_bytes(out, key);
                put_size(out, *size);
            }
            Made::Scan { from, direction, pairs } => {
                out.extend([4, u8::from(*direction == Direction::Reverse), u8::from(from.is_some())]);
                if let Some(from) = from {
                    put_bytes(out, from);
                }
                put_varint(out, *pairs);
            }
            Made::Flush => out.push(5),
            Made::Compact => out.push(6),
            Made::State(key, size) => {
                out.push(7);
                put_bytes(out, key);
                put_size(out, Some(*size));
            }
        }
    }

    /// Reads what [`Made::encode`] wrote; `None` if the bytes are something else. Allocates no more than
    /// there are bytes.
    pub fn decode(bytes: &[u8]) -> Option<Made> {
        let mut reader = Reader::new(bytes);
        let made = Made::read(&mut reader)?;
        reader.rest().is_empty().then_some(made)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Made> {
        let flag = |reader: &mut Reader<'_>| match reader.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        Some(match reader.u8()? {
            1 => Made::Get(reader.bytes()?.to_vec()),
            2 => {
                let is_durable = flag(reader)?;
                let count = reader.varint()?;
                let mut ops = Vec::new();
                for _ in 0..count {
                    ops.push((reader.bytes()?.to_vec(), read_size(reader)?));
                }
                Made::Write(ops, is_durable)
            }
            3 => Made::Swap(reader.bytes()?.to_vec(), read_size(reader)?),
            4 => {
                let direction = if flag(reader)? { Direction::Reverse } else { Direction::Forward };
                let from = match flag(reader)? {
                    true => Some(reader.bytes()?.to_vec()),
                    false => None,
                };
                Made::Scan { from, direction, pairs: reader.varint()? }
            }
            5 => Made::Flush,
            6 => Made::Compact,
            7 => Made::State(reader.bytes()?.to_vec(), read_size(reader)??),
            _ => return None,
        })
    }
}

/// A trace that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Where it came from.
    pub name: String,
    /// What was there when it began.
    pub state: Vec<(Vec<u8>, u32)>,
    /// The calls.
    pub calls: Vec<Made>,
    /// Whether it ends in the middle, as that of a killed process does: it was never closed.
    pub is_cut: bool,
}

impl Trace {
    /// Reads a trace, all of it into memory.
    pub fn read(path: &Path) -> Result<Trace> {
        let (dir, name) = place(path)?;
        let file = dir.open(&name, Cause::Inspect)?;
        let mut log = LogReader::open(&file, file.len(), HEADER)?;
        let mut trace = Trace { name: path.display().to_string(), ..Trace::default() };
        while let Some((offset, record)) = log.next_record()? {
            match Made::decode(record.payload) {
                Some(Made::State(key, size)) => trace.state.push((key, size)),
                Some(made) => trace.calls.push(made),
                None => return Err(file.corruption(offset, "a record that is no call").into()),
            }
        }
        // What stands behind the last whole record is damage, or what a killed process did not finish.
        let end = log.end(0)?;
        trace.is_cut = end != End::Clean || !log.is_closed();
        Ok(trace)
    }

    /// Batches that it takes to load what was there when it began.
    pub fn loads(&self) -> u64 {
        self.state.len().div_ceil(LOADED) as u64
    }

    /// Bytes of the longest value.
    pub fn longest_value(&self) -> u32 {
        let of = |made: &Made| match made {
            Made::Write(ops, _) => ops.iter().filter_map(|(_, size)| *size).max().unwrap_or(0),
            Made::Swap(_, size) => size.unwrap_or(0),
            _ => 0,
        };
        let state = self.state.iter().map(|(_, size)| *size);
        state.chain(self.calls.iter().map(of)).max().unwrap_or(0)
    }

    /// How many keys are set, at the beginning or later, and the sizes of the keys and the values. Looks at all
    /// calls.
    pub fn pairs(&self) -> (u64, Sizes, Sizes) {
        let later = self.calls.iter().flat_map(|made| match made {
            Made::Write(ops, _) => ops.iter().filter_map(|(key, size)| Some((key, (*size)?))).collect(),
            Made::Swap(key, Some(size)) => vec![(key, *size)],
            _ => Vec::new(),
        });
        let (mut keys, mut key_sizes, mut value_sizes) = (HashSet::new(), None, None);
        for (key, size) in self.state.iter().map(|(key, size)| (key, *size)).chain(later) {
            key_sizes = Some(Sizes::with(key_sizes, key.len()));
            value_sizes = Some(Sizes::with(value_sizes, size as usize));
            keys.insert(key);
        }
        let none = Sizes::fixed(0);
        (keys.len() as u64, key_sizes.unwrap_or(none), value_sizes.unwrap_or(none))
    }

    /// How many calls of each kind there are.
    pub fn summary(&self) -> Vec<(&'static str, u64)> {
        let kinds = ["get", "write", "swap", "scan", "flush", "compact"];
        let kind = |made: &Made| match made {
            Made::Get(_) => 0,
            Made::Write(..) => 1,
            Made::Swap(..) => 2,
            Made::Scan { .. } => 3,
            Made::Flush => 4,
            Made::Compact | Made::State(..) => 5,
        };
        let mut counts = [0; 6];
        self.calls.iter().for_each(|made| counts[kind(made)] += 1);
        kinds.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

/// The directory that a file is in, and its name there.
fn place(path: &Path) -> Result<(Dir, String)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::plan(format!("{}: no name of a file", path.display())))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent: PathBuf = parent.unwrap_or(Path::new(".")).to_path_buf();
    let disk: Arc<dyn Vfs> = Arc::new(OsDisk);
    Ok((Dir::new(disk, &parent), name.to_string()))
}

/// Writes a trace, call by call.
#[derive(Debug)]
pub struct TraceWriter {
    log: LogWriter,
    buffer: Vec<u8>,
    /// The first thing that went wrong: told at the end, for the store has done nothing wrong.
    failed: Option<crate::error::Error>,
    calls: u64,
    /// Whether a call was recorded, and not only what was there before.
    is_used: bool,
    dir: Dir,
    name: String,
}

impl TraceWriter {
    /// Makes a trace; one that is there is an error.
    pub fn create(path: &Path) -> Result<TraceWriter> {
        let (dir, name) = place(path)?;
        if dir.list()?.unwrap_or_default().iter().any(|entry| entry.name == name) {
            return Err(Error::plan(format!("{}: is there already", path.display())));
        }
        let log = LogWriter::create(&dir, &name, HEADER, Cause::Checkpoint)?;
        Ok(TraceWriter { log, buffer: Vec::new(), failed: None, calls: 0, is_used: false, dir, name })
    }

    /// Adds a call.
    pub fn push(&mut self, made: &Made) {
        self.buffer.clear();
        made.encode(&mut self.buffer);
        self.log.push(CALL, Part::Full, &[&self.buffer]);
        self.calls += 1;
        self.is_used |= !matches!(made, Made::State(..));
        if self.log.end() - self.log.written() > BUFFER as u64 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.log.flush() {
            self.failed.get_or_insert(error);
        }
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Removes the file, if no call is in it: for a command that failed before it asked for anything.
    pub fn remove_unused(&self) -> Result<()> {
        if !self.is_used {
            self.dir.remove(&self.name)?;
        }
        Ok(())
    }

    /// Everything is in the file when it returns, durably; says what went wrong on the way.
    pub fn finish(&mut self) -> Result<u64> {
        self.flush();
        match self.failed.take() {
            Some(error) => Err(error.into()),
            None => {
                self.log.close()?;
                Ok(self.calls)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Made, Trace, TraceWriter};
    use crate::engine::range::Direction;

    fn all() -> Vec<Made> {
        let key = || b"key".to_vec();
        let scan = |from, direction| Made::Scan { from, direction, pairs: 300 };
        vec![
            Made::State(key(), 7),
            Made::Get(key()),
            Made::Write(vec![(key(), Some(0)), (Vec::new(), None), (vec![0xff; 300], Some(u32::MAX))], true),
            Made::Swap(key(), None),
            Made::Swap(key(), Some(1)),
            scan(None, Direction::Forward),
            scan(Some(key()), Direction::Reverse),
            Made::Flush,
            Made::Compact,
        ]
    }

    #[test]
    fn calls_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calls.trace");
        let mut writer = TraceWriter::create(&path).unwrap();
        all().iter().for_each(|made| writer.push(made));
        assert_eq!(writer.finish().unwrap(), 9);
        let trace = Trace::read(&path).unwrap();
        assert_eq!(trace.state, [(b"key".to_vec(), 7)]);
        assert_eq!(trace.calls, all()[1..]);
        assert_eq!(trace.longest_value(), u32::MAX);
        assert!(!trace.is_cut);
        assert_eq!(
            trace.summary(),
            [("get", 1), ("write", 1), ("swap", 2), ("scan", 2), ("flush", 1), ("compact", 1)]
        );
        assert!(TraceWriter::create(&path).unwrap_err().to_string().contains("already"));
        assert!(Trace::read(&dir.path().join("none")).is_err());
    }

    #[test]
    fn other_bytes_are_no_calls() {
        for made in all() {
            let mut bytes = Vec::new();
            made.encode(&mut bytes);
            assert_eq!(Made::decode(&bytes), Some(made.clone()));
            for cut in 0..bytes.len() {
                assert_eq!(Made::decode(&bytes[..cut]), None, "{made:?} cut to {cut}");
            }
            bytes.push(0);
            assert_eq!(Made::decode(&bytes), None, "{made:?} and a byte");
        }
        assert_eq!(
            Made::decode(&[2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            None,
            "a count and nothing behind it"
        );
        assert_eq!(Made::decode(&[9]), None);
    }
}
