//! Small stores with every kind of file in them, made once by the engines themselves.

use super::disk::{self, DB, Pairs, STORE};
use kvs::engine::KvsEngine;
use kvs::engine::batch::WriteBatch;
use kvs::engine::bitcask::Bitcask;
use kvs::engine::bitcask::options::BitcaskOptions;
use kvs::engine::filename::{self, FileName};
use kvs::engine::kind::EngineKind;
use kvs::engine::lsm::Lsm;
use kvs::engine::lsm::options::LsmOptions;
use kvs::engine::lsm::table::format::Salt;
use kvs::engine::options::{Access, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::error::Result;
use kvs::record::frame::Header;
use kvs::vfs::memory::SimDisk;
use kvs::vfs::memory::image::Image;
use kvs::worker::Schedule;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Both engines.
pub(crate) const ENGINES: [EngineKind; 2] = [EngineKind::Bitcask, EngineKind::Lsm];

/// Opens a store with options that make everything small, at [`DB`] or elsewhere.
pub(crate) fn open(
    kind: EngineKind,
    disk: &SimDisk,
    path: &Path,
    access: Access,
    schedule: Schedule,
) -> Result<Arc<dyn KvsEngine>> {
    let disk = Arc::new(disk.clone());
    let open = OpenOptions { disk, access, schedule, store_id: Some(STORE), ..OpenOptions::default() };
    Ok(match kind {
        EngineKind::Lsm => Arc::new(Lsm::open(path, open, LsmOptions::tiny())?),
        _ => Arc::new(Bitcask::open(path, open, BitcaskOptions::tiny())?),
    })
}

/// A store that was closed, and what is in it.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) kind: EngineKind,
    pub(crate) image: Image,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) pairs: Pairs,
}

/// One of the two.
pub(crate) fn small(which: usize) -> &'static Small {
    static SMALL: OnceLock<[Small; 2]> = OnceLock::new();
    &SMALL.get_or_init(|| ENGINES.map(|kind| make(kind).expect("a disk in memory does not fail")))[which % 2]
}

fn make(kind: EngineKind) -> Result<Small> {
    let disk = disk::of(&Image::default());
    let store = open(kind, &disk, Path::new(DB), Access::Create, Schedule::Manual)?;
    for round in 0..2u8 {
        store.set(b"merged", &[b'0' + round; 9])?;
        store.set(b"merged-gone", b"for now")?;
        store.set(b"replaced", b"old")?;
        store.compact()?;
    }
    let mut batch = WriteBatch::new();
    batch.set(b"b1", b"one");
    batch.set(b"b2", b"");
    batch.remove(b"merged-gone");
    store.write(batch, &WriteOptions::durable())?;
    store.flush()?;
    store.set(b"replaced", b"new")?;
    store.remove(b"b1")?;
    store.set(b"active", &[7; 40])?;
    let pairs = disk::pairs(&*store, KeyRange::all())?;
    drop(store);
    let image = disk.image();
    let files = image.files.keys().map(|path| path.to_path_buf()).collect();
    Ok(Small { kind, image, files, pairs })
}

/// Makes the checksums of a file right, as its name says what it is.
pub(crate) fn mend(path: &Path, original: &[u8], bytes: &mut [u8]) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match filename::parse(name) {
        Some(FileName::Engine | FileName::Hint(_)) => super::mend::whole(bytes),
        Some(FileName::Table(number)) => super::mend::table(bytes, Salt::new(STORE, number)),
        Some(_) => {
            if let Some(header) = Header::decode(original) {
                super::mend::log(bytes, header);
            }
        }
        None => {}
    }
}
