//! The space that a directory takes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes of the blocks that all files below `dir` have: those of holes do not count. A file that goes away
/// meanwhile is none.
pub fn allocated_bytes(dir: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => allocated_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * BLOCK,
        Err(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::allocated_bytes;
    use std::fs;

    #[test]
    fn files_count_as_deep_as_they_lie_and_holes_do_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(allocated_bytes(dir.path()), 0);
        let below = dir.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::File::create(below.join("hole")).unwrap().set_len(1 << 30).unwrap();
        fs::write(below.join("bytes"), vec![1; 100_000]).unwrap();
        fs::File::open(below.join("bytes")).unwrap().sync_all().unwrap();
        let bytes = allocated_bytes(dir.path());
        assert!((100_000..1 << 20).contains(&bytes), "{bytes}");
    }
}
