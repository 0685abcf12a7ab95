//! Replay: every entry of a segment that does not change any more, read from its file.

use crate::engine::bitcask::keydir::place::Place;
use crate::engine::bitcask::segment::{Entry, Segment, Shelf};
use crate::engine::filename;
use crate::error::Result;
use crate::record::reader::LogReader;
use crate::vfs::Cause;
use crate::vfs::dir::File;

/// Calls `each` with every entry of `segment`, which must be sealed, and its place. Reads all of the
/// file, once, beside the readers' handle of it; returns the file. Damage is an error, but only after
/// the entries before it.
pub fn replay(
    shelf: &Shelf,
    segment: &Segment,
    cause: Cause,
    mut each: impl FnMut(Entry<'_>, Place) -> Result<()>,
) -> Result<File> {
    let name = filename::segment(segment.number);
    let file = shelf.with_descriptor(|| shelf.dir.open(&name, cause))?;
    let len = segment.len();
    if shelf.mmap {
        file.map(len);
    }
    let mut reader = LogReader::open(&file, len, segment.header())?;
    while let Some((offset, record)) = reader.next_record()? {
        let entry = Entry::decode(&record)
            .ok_or_else(|| file.corruption(offset, "a valid record that is neither set nor delete"))?;
        each(entry, Place { segment: segment.number as u32, offset: offset as u32, len: record.len as u32 })?;
    }
    reader.damage().map_or(Ok(()), Err)?;
    Ok(file)
}
