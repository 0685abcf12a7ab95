//! The judge of damaged stores: an answer is right, or it is an error that names file and offset.

#![allow(dead_code, reason = "what one test file leaves unused, another uses")]

use crate::fault_support::alloc;
use crate::fault_support::real;
use crate::fault_support::store::{DIR, Model, open, open_at};
use kvs::engine::KvsRead;
use kvs::engine::options::Access;
use kvs::engine::range::KeyRange;
use kvs::error::Error;
use kvs::survive::engine::Engine;
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use kvs::vfs::os::OsDisk;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// The name of a damaged file, and where the store says that it is damaged.
pub(crate) type Place = (String, u64);

/// What became of many damages.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// So many were tried.
    pub(crate) tried: u64,
    /// So many were noticed.
    pub(crate) detected: u64,
    /// After so many, every answer was as before.
    pub(crate) harmless: u64,
    /// Every other one, in words.
    pub(crate) silent: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { tried, detected, harmless, silent } = self;
        write!(f, "{tried}, detected {detected}, harmless {harmless}, silent {}", silent.len())
    }
}

/// Knows what a store holds, and what one that was damaged may say.
pub(crate) struct Judge<'a> {
    /// Whose store it is.
    pub(crate) engine: &'a Engine,
    /// What it holds.
    pub(crate) model: &'a Model,
    /// Keys that it does not hold, among them all that it once did.
    pub(crate) absent: &'a [&'a [u8]],
}

impl Judge<'_> {
    /// Judges a damaged store and counts it. `suspect` is the damaged file, if an error has to name
    /// just that one.
    pub(crate) fn count(
        &self,
        tally: &mut Tally,
        image: &Image,
        suspect: Option<&Path>,
        what: impl Fn() -> String,
    ) {
        tally.tried += 1;
        match self.look(image) {
            Ok(None) => tally.harmless += 1,
            Ok(Some((file, _))) if suspect.is_some_and(|path| !path.ends_with(&file)) => {
                tally.silent.push(format!("{}: the error names {file}", what()));
            }
            Ok(Some(_)) => tally.detected += 1,
            Err(reason) => tally.silent.push(format!("{}: {reason}", what())),
        }
    }

    /// The same on the real disk, where files are mapped.
    pub(crate) fn count_mapped(&self, tally: &mut Tally, image: &Image, what: impl Fn() -> String) {
        tally.tried += 1;
        let root = tempfile::tempdir().unwrap();
        real::write(image, root.path());
        let path = root.path().join(DIR.trim_start_matches('/'));
        let seen = match open_at(self.engine, Arc::new(OsDisk), &path, Access::Write) {
            Ok(store) => self.ask(&*store),
            Err(error) => place(&error).map(Some),
        };
        match seen {
            Ok(None) => tally.harmless += 1,
            Ok(Some(_)) => tally.detected += 1,
            Err(reason) => tally.silent.push(format!("{}: {reason}", what())),
        }
    }

    /// `None` if all answers are right; where the store says that it is damaged; or what is wrong.
    pub(crate) fn look(&self, image: &Image) -> Result<Option<Place>, String> {
        let largest_file = image.files.values().map(|content| content.len()).max().unwrap_or(0);
        alloc::take_largest();
        let verdict = catch_unwind(AssertUnwindSafe(|| {
            let seen = self.look_only(image)?;
            Ok(self.go_on(image)?.or(seen))
        }));
        let largest = alloc::take_largest();
        if largest > largest_file + (1 << 20) {
            return Err(format!("{largest} bytes asked for at once; the largest file has {largest_file}"));
        }
        verdict.unwrap_or_else(|_| Err("a panic".into()))
    }

    /// Whether the store answers somehow, by values or by errors: with neither a panic nor a huge
    /// request for memory. For damage that no checksum shows.
    pub(crate) fn survives(&self, image: &Image) -> Result<(), String> {
        let largest_file = image.files.values().map(|content| content.len()).max().unwrap_or(0);
        alloc::take_largest();
        let panics = catch_unwind(AssertUnwindSafe(|| {
            let disk = Arc::new(SimDisk::from_image(image, Record::Off));
            for access in [Access::Read, Access::Write, Access::Write] {
                let Ok(store) = open(self.engine, disk.clone(), access) else { continue };
                let _ = self.ask(&*store);
                let _ = store.compact();
                let _ = self.ask(&*store);
            }
        }));
        let largest = alloc::take_largest();
        if largest > largest_file + (1 << 20) {
            return Err(format!("{largest} bytes asked for at once; the largest file has {largest_file}"));
        }
        panics.map_err(|_| "a panic".into())
    }

    /// Opens for reading, which changes nothing.
    fn look_only(&self, image: &Image) -> Result<Option<Place>, String> {
        let disk = SimDisk::from_image(image, Record::Off);
        let seen = match open(self.engine, Arc::new(disk.clone()), Access::Read) {
            Ok(store) => self.ask(&*store)?,
            Err(error) => Some(place(&error)?),
        };
        if disk.image() != *image {
            return Err("opening for reading has changed the directory".into());
        }
        Ok(seen)
    }

    /// Opens for writing, merges, closes, opens again: damage must not be covered up by that.
    fn go_on(&self, image: &Image) -> Result<Option<Place>, String> {
        let disk = Arc::new(SimDisk::from_image(image, Record::Off));
        let store = match open(self.engine, disk.clone(), Access::Write) {
            Ok(store) => store,
            Err(error) => return place(&error).map(Some),
        };
        let mut seen = self.ask(&*store)?;
        if let Err(error) = store.compact() {
            seen = seen.or(Some(place(&error)?));
        }
        seen = self.ask(&*store)?.or(seen);
        drop(store);
        match open(self.engine, disk, Access::Write) {
            Ok(store) => Ok(self.ask(&*store)?.or(seen)),
            Err(error) => place(&error).map(Some),
        }
    }

    /// Every answer of an open store: a scan, and a get of each key.
    fn ask(&self, store: &dyn KvsRead) -> Result<Option<Place>, String> {
        let mut seen = None;
        let mut expected = self.model.iter();
        let scan = store.scan(KeyRange::all()).map_err(|error| error.to_string())?;
        for pair in scan {
            match (pair, expected.next()) {
                (Ok((key, value)), Some(pair)) if (&key[..], &value[..]) == (pair.0, pair.1) => {}
                (Ok((key, value)), pair) => return Err(format!("{key:?}={value:?}, not {pair:?}")),
                (Err(error), _) => seen = Some(place(&error)?),
            }
        }
        if let (None, Some((key, _))) = (&seen, expected.next()) {
            return Err(format!("the scan misses \"{}\"", key.escape_ascii()));
        }
        let present = self.model.iter().map(|(key, value)| (&key[..], Some(&value[..])));
        for (key, value) in present.chain(self.absent.iter().map(|key| (*key, None))) {
            match store.get(key) {
                Ok(found) if found.as_deref() == value => {}
                Ok(found) => return Err(format!("\"{}\" is {found:?}", key.escape_ascii())),
                Err(error) => seen = Some(place(&error)?),
            }
        }
        Ok(seen)
    }
}

/// The place that an error names, if it is the right kind.
pub(crate) fn place(error: &Error) -> Result<Place, String> {
    match error {
        Error::Corruption { path, offset, .. } if path.parent().is_some_and(|dir| dir.ends_with("db")) => {
            Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), *offset))
        }
        other => Err(format!("not an error that names a file of the store: {other:?}")),
    }
}
