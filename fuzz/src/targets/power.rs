//! What a power cut leaves: of each file what was synced and a part of the rest, of names the same.

use super::input::Input;
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::recording::{FileId, Op, Recording};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A file's bytes: those that are surely there, and those that were written.
#[derive(Default)]
struct Bytes {
    durable: Vec<u8>,
    full: Vec<u8>,
}

/// The disk after a power cut at the end of a recording. `input` says which of the names that were not synced
/// are there, in the order in which they were asked for, and how much of each file.
pub(crate) fn after_power_cut(recording: &Recording, input: &mut Input<'_>) -> Image {
    let base = recording.base();
    let (mut dirs, mut names) = (base.dirs.clone(), base.names.clone());
    let whole = |content: &kvs::vfs::memory::image::Content| Bytes {
        durable: content.to_vec(),
        full: content.to_vec(),
    };
    let mut files: BTreeMap<FileId, Bytes> =
        base.files.iter().map(|(id, content)| (*id, whole(content))).collect();
    let mut pending: Vec<&Op> = Vec::new();
    for op in recording.ops() {
        match op {
            Op::Sync { file } => {
                let bytes = files.entry(*file).or_default();
                bytes.durable = bytes.full.clone();
            }
            Op::SyncDir { dir } => pending.retain(|op| {
                let is_synced = op.names_of() == Some(dir);
                if is_synced {
                    apply(op, &mut dirs, &mut names);
                }
                !is_synced
            }),
            _ => match op.data_of() {
                Some(file) => write(op, &mut files.entry(file).or_default().full),
                None => pending.push(op),
            },
        }
    }
    let kept = input.below(pending.len() + 1);
    pending[..kept].iter().for_each(|op| apply(op, &mut dirs, &mut names));
    let mut image = Image { dirs, ..Image::default() };
    for (path, file) in names {
        if path.parent().is_some_and(|parent| parent == Path::new("/") || image.dirs.contains(parent)) {
            image.put(&path, part(files.get(&file), input));
        }
    }
    image
}

type Dirs = std::collections::BTreeSet<Arc<Path>>;
type Names = BTreeMap<Arc<Path>, FileId>;

fn apply(op: &Op, dirs: &mut Dirs, names: &mut Names) {
    match op {
        Op::CreateDir { dir } => drop(dirs.insert(dir.clone())),
        Op::Create { path, file } | Op::Link { to: path, file, .. } => {
            names.insert(path.clone(), *file);
        }
        Op::Remove { path, .. } => drop(names.remove(path)),
        Op::Rename { from, to, file } => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
        _ => {}
    }
}

fn write(op: &Op, bytes: &mut Vec<u8>) {
    match op {
        Op::Append { offset, bytes: new, .. } => {
            let (from, to) = (*offset as usize, *offset as usize + new.len());
            bytes.resize(bytes.len().max(to), 0);
            bytes[from..to].copy_from_slice(new);
        }
        Op::Reserve { offset, len, .. } => bytes.resize(bytes.len().max((offset + len) as usize), 0),
        Op::Truncate { len, .. } => bytes.resize(*len as usize, 0),
        _ => {}
    }
}

/// What was synced; all; or what was synced and the beginning of what was written behind it, with or without
/// zeros in the place of the rest.
fn part(bytes: Option<&Bytes>, input: &mut Input<'_>) -> Vec<u8> {
    let Some(Bytes { durable, full }) = bytes else { return Vec::new() };
    if durable == full {
        return full.clone();
    }
    match input.byte() {
        0 => durable.clone(),
        1 => full.clone(),
        choice if full.starts_with(durable) => {
            let more = usize::from(input.number()) % (full.len() - durable.len() + 1);
            let mut bytes = full[..durable.len() + more].to_vec();
            if choice & 1 == 1 {
                bytes.resize(full.len(), 0);
            }
            bytes
        }
        _ => durable.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::Input;
    use super::after_power_cut;
    use kvs::vfs::memory::SimDisk;
    use kvs::vfs::{Cause, Vfs};
    use std::path::Path;

    #[test]
    fn what_was_not_synced_may_be_lost() {
        let disk = SimDisk::new();
        let (synced, unsynced) = (Path::new("/synced"), Path::new("/unsynced"));
        let log = disk.create(synced, Cause::Log).expect("a disk in memory");
        log.append(b"one").and_then(|()| log.sync()).expect("a disk in memory");
        disk.sync_dir(Path::new("/")).expect("a disk in memory");
        log.append(b"two").expect("a disk in memory");
        disk.create(unsynced, Cause::Log).expect("a disk in memory");
        let left = |choices: &[u8]| after_power_cut(&disk.recording(), &mut Input::new(choices));
        // No name that was not synced, and of the file nothing that was not; or all of both; or a part.
        assert_eq!((left(&[0, 0]).get(synced), left(&[0, 0]).get(unsynced)), (Some(&b"one"[..]), None));
        assert_eq!(
            (left(&[1, 1]).get(synced), left(&[1, 1]).get(unsynced)),
            (Some(&b"onetwo"[..]), Some(&b""[..]))
        );
        assert_eq!(left(&[0, 2, 1, 0]).get(synced), Some(&b"onet"[..]));
        assert_eq!(left(&[0, 3, 1, 0]).get(synced), Some(&b"onet\0\0"[..]));
    }
}
