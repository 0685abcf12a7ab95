//! Folders of inputs: `corpus/TARGET`, which is kept with the source; `work/TARGET`, which a run leaves and the
//! next one begins with; `findings/TARGET`, inputs that broke something.

use super::build::Programs;
use crate::targets::{Target, replay};
use std::path::{Path, PathBuf};

/// The folder of all corpora that are kept.
pub(super) fn all() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn folder(kind: &str, target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target.name)
}

fn made(path: PathBuf) -> Result<PathBuf, String> {
    std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// The inputs that are kept.
pub(super) fn kept(target: &Target) -> PathBuf {
    folder("corpus", target)
}

/// What runs have come to.
pub(super) fn work(target: &Target) -> Result<PathBuf, String> {
    made(kept(target))?;
    made(folder("work", target))
}

/// Where findings go.
pub(super) fn findings(target: &Target) -> Result<PathBuf, String> {
    made(folder("findings", target))
}

/// Files in a folder.
pub(super) fn count(path: &Path) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

/// Puts the seeds of targets into their corpora: what the engines write, the same each time.
pub(super) fn seed(targets: &[&Target]) -> Result<(), String> {
    for target in targets {
        let path = made(kept(target))?;
        for (i, seed) in (target.seeds)().iter().enumerate() {
            let file = path.join(format!("seed-{i:02}"));
            std::fs::write(&file, seed).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        println!("{}: {} inputs", target.name, count(&path));
    }
    Ok(())
}

/// Makes the corpora of targets anew, with few and small inputs of them and of what runs have come to that
/// reach every edge that those reach. Inputs that were kept for a story (`story-…`) stay.
pub(super) fn shrink(targets: &[&Target], programs: &Programs) -> Result<(), String> {
    for target in targets {
        let (work, new) = (work(target)?, made(folder("new", target))?);
        let mut merge = programs.of(target);
        let limit = format!("-max_len={}", target.max_len);
        merge.args(["-set_cover_merge=1", "-use_counters=0", &limit]).args([&new, &kept(target), &work]);
        let out = merge.output().map_err(|error| error.to_string())?;
        if !out.status.success() {
            return Err(format!("{}: {}", target.name, String::from_utf8_lossy(&out.stderr)));
        }
        for (path, _) in replay::kept(target, &all()) {
            let is_story = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("story-"));
            if !is_story {
                std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        for entry in std::fs::read_dir(&new).map_err(|error| error.to_string())?.flatten() {
            let to = kept(target).join(entry.file_name());
            std::fs::rename(entry.path(), &to).map_err(|error| format!("{}: {error}", to.display()))?;
        }
        std::fs::remove_dir(&new).map_err(|error| format!("{}: {error}", new.display()))?;
        println!("{}: {} inputs", target.name, count(&kept(target)));
    }
    Ok(())
}
