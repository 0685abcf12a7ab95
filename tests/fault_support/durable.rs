//! What of a recording is durable for certain: the disk after a power cut that took all it could.

use kvs::vfs::memory::image::{Content, Image};
use kvs::vfs::memory::recording::{FileId, Op, Recording};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Only what was synced, bytes and names each for themselves.
pub(crate) fn synced_only(recording: &Recording) -> Image {
    let mut now = Disk::default();
    let mut durable = Disk::default();
    // Changes of each file's bytes since its last sync.
    let mut since: BTreeMap<FileId, Vec<&Op>> = BTreeMap::new();
    for op in recording.ops() {
        now.apply(op);
        if let Some(file) = op.data_of() {
            since.entry(file).or_default().push(op);
        }
        match op {
            Op::Sync { file } => {
                since.remove(file).into_iter().flatten().for_each(|op| durable.apply(op));
            }
            // The file is shorter for certain, and that is all.
            Op::SyncFailed { file } => {
                for op in since.remove(file).into_iter().flatten() {
                    if let Op::Truncate { len, .. } = op {
                        durable.files.entry(*file).or_default().truncate(*len as usize);
                    }
                }
            }
            Op::SyncDir { dir } => {
                let inside = |path: &Path| path.parent() == Some(dir);
                durable.names.retain(|path, _| !inside(path));
                let names = now.names.iter().filter(|(path, _)| inside(path));
                durable.names.extend(names.map(|(path, file)| (path.clone(), *file)));
            }
            _ => {}
        }
    }
    let mut image = Image::default();
    for (path, file) in &durable.names {
        match file {
            None => _ = image.dirs.insert(path.clone()),
            Some(file) => {
                let content = durable.files.get(file).cloned().unwrap_or_default();
                image.files.insert(path.clone(), Content::from(content));
            }
        }
    }
    // What stands in a directory that is not there can not be reached.
    let is_there =
        |path: &Path| path.parent().is_none_or(|dir| dir == Path::new("/") || image.dirs.contains(dir));
    let files = image.files.iter().filter(|(path, _)| is_there(path));
    Image { files: files.map(|(path, content)| (path.clone(), content.clone())).collect(), ..image.clone() }
}

/// Names, of directories too, and the bytes of files.
#[derive(Default)]
struct Disk {
    names: BTreeMap<Arc<Path>, Option<FileId>>,
    files: BTreeMap<FileId, Vec<u8>>,
}

impl Disk {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::CreateDir { dir } => _ = self.names.insert(dir.clone(), None),
            Op::Create { path, file } | Op::Link { to: path, file, .. } => {
                self.names.insert(path.clone(), Some(*file));
            }
            Op::Remove { path, .. } => _ = self.names.remove(path),
            Op::Rename { from, to, file } => {
                self.names.remove(from);
                self.names.insert(to.clone(), Some(*file));
            }
            Op::Append { file, offset, bytes } | Op::WriteAgain { file, offset, bytes } => {
                self.write(*file, *offset, bytes)
            }
            Op::Reserve { file, offset, len } => self.write(*file, *offset, &vec![0; *len as usize]),
            Op::Truncate { file, len } => self.files.entry(*file).or_default().resize(*len as usize, 0),
            Op::SyncDir { .. } | Op::Sync { .. } | Op::SyncFailed { .. } | Op::Mark(_) => {}
        }
    }

    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) {
        let content = self.files.entry(file).or_default();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(bytes);
    }
}
