//! A store's life in some sixty steps, on a disk that may fail at any moment, and what must hold then.

use crate::fault_support::durable::synced_only;
use crate::fault_support::store::{DIR, Model, contents, open, open_options};
use kvs::engine::batch::WriteBatch;
use kvs::engine::event::{Event, Listener};
use kvs::engine::filename::{FileName, parse};
use kvs::engine::kind::EngineKind;
use kvs::engine::options::{Access, Durability, OpenOptions, WriteOptions};
use kvs::engine::range::KeyRange;
use kvs::engine::{KvsEngine, Pairs};
use kvs::error::{Error, Result};
use kvs::survive::engine::Engine;
use kvs::vfs::fault::FaultDisk;
use kvs::vfs::memory::image::Image;
use kvs::vfs::memory::{Record, SimDisk};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// One call, or several that belong together.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sets and removals, as one batch.
    Write(Vec<(Vec<u8>, Option<Vec<u8>>)>, Durability),
    /// A change that asks what was there.
    Swap(Vec<u8>, Option<Vec<u8>>),
    /// Every key, and a scan.
    ReadAll,
    Sync,
    Flush,
    Compact,
    CompactRange(Vec<u8>, Vec<u8>),
    /// Sorted pairs.
    Load(Vec<(Vec<u8>, Vec<u8>)>),
    Checkpoint(&'static str),
    Reopen,
}

/// Creation, both durabilities, batches, swaps, rotation, background and asked-for merges, hints,
/// checkpoints, closing, opening by hints and by logs.
pub(crate) fn steps() -> Vec<Step> {
    use Durability::{Always, Os};
    let key = |i: u32| format!("key{i}").into_bytes();
    let set = |i: u32, len: usize, with| Step::Write(vec![(key(i), Some(vec![i as u8; len]))], with);
    let mut steps = vec![set(0, 10, Os), set(1, 10, Always)];
    steps.push(Step::Write((0..4).map(|i| (key(i), Some(vec![7; 20]))).collect(), Always));
    steps.push(Step::Write(vec![(key(2), None), (key(9), None), (key(5), Some(vec![]))], Os));
    steps.push(Step::Swap(key(1), Some(b"swapped".to_vec())));
    steps.push(Step::Swap(key(3), None));
    steps.push(Step::Swap(key(3), None));
    // Space is reserved behind a log that is synced often.
    steps.extend((0..8).map(|i| set(i % 3, 30, Always)));
    steps.extend([Step::ReadAll, Step::Reopen, Step::ReadAll]);
    // Rotations, and merges behind them.
    steps.extend((0..14).map(|i| set(10 + i % 4, 900, Os)));
    steps.extend([Step::Sync, Step::ReadAll, Step::Checkpoint("/copy")]);
    steps.push(Step::Write((10..13).map(|i| (key(i), None)).collect(), Always));
    steps.extend([
        set(20, 1500, Os),
        Step::Compact,
        Step::Swap(key(20), Some(vec![2; 1500])),
        set(21, 1200, Os),
    ]);
    steps.extend([Step::Reopen, Step::ReadAll, set(22, 5000, Always), set(0, 10, Os), Step::Compact]);
    steps.extend([Step::ReadAll, set(1, 10, Os), Step::Sync, Step::Reopen, Step::ReadAll]);
    // Flushes, loads on top of writes and under them, a part compacted.
    let load = |numbers: &[u32], len| Step::Load(numbers.iter().map(|i| (key(*i), vec![9; len])).collect());
    steps.extend([set(30, 50, Os), Step::Flush, load(&[1, 21, 30, 31], 800), set(31, 20, Os)]);
    steps.extend([Step::CompactRange(key(2), key(31)), load(&[7, 8], 10), set(8, 30, Always), Step::Flush]);
    steps.extend([Step::ReadAll, Step::Reopen, Step::ReadAll]);
    steps
}

/// What was told and found while the steps were made.
pub(crate) struct Run {
    engine: Engine,
    /// The disk that fails.
    pub(crate) disk: FaultDisk,
    /// The disk below it.
    pub(crate) sim: SimDisk,
    /// What the listener heard of failures.
    pub(crate) heard: Arc<Mutex<Vec<Event>>>,
    /// What calls have returned.
    pub(crate) errors: Vec<Error>,
    store: Option<Arc<dyn KvsEngine>>,
    /// The states that the calls asked for, from the empty store on. The last may have failed.
    asked: Vec<Model>,
    /// What readers must find.
    visible: Model,
    /// The last state that was acknowledged, and the last that was so as durable.
    handed: usize,
    durable: usize,
    /// Whether it was ever open: then it must be there for good.
    was_open: bool,
    copies: Vec<(&'static str, Option<Model>)>,
}

impl Run {
    /// A disk without faults, yet.
    pub(crate) fn new(engine: &Engine) -> Run {
        let sim = SimDisk::new();
        Run {
            engine: engine.clone(),
            disk: FaultDisk::new(Arc::new(sim.clone())),
            sim,
            heard: Arc::default(),
            errors: Vec::new(),
            store: None,
            asked: vec![Model::new()],
            visible: Model::new(),
            handed: 0,
            durable: 0,
            was_open: false,
            copies: Vec::new(),
        }
    }

    /// Makes all steps, as far as the disk lets it.
    pub(crate) fn all(&mut self, steps: &[Step]) {
        self.open();
        for step in steps {
            if self.store.is_none() {
                self.open();
            }
            self.step(step);
        }
    }

    fn open(&mut self) {
        let heard = self.heard.clone();
        let listener = Listener::new(move |event| match event {
            Event::BackgroundFailed { .. }
            | Event::NotRemoved { .. }
            | Event::Poisoned { .. }
            | Event::HintRefused { .. } => heard.lock().unwrap().push(event.clone()),
            _ => {}
        });
        let options = OpenOptions { listener, ..open_options(Arc::new(self.disk.clone()), Access::Create) };
        match self.engine.open(Path::new(DIR), options) {
            Ok(store) => {
                self.was_open = true;
                self.store = Some(store);
                self.settle();
            }
            Err(error) => self.errors.push(error),
        }
    }

    /// After opening: what is there is one of the states that it may be, and from now on *the* state.
    fn settle(&mut self) {
        let Some(store) = &self.store else { return };
        match contents(&**store) {
            Ok(found) => {
                let asked = self.asked[self.handed..].iter().rposition(|state| *state == found);
                let asked = asked.expect("a state between what was acknowledged and what was asked for");
                self.handed += asked;
                self.asked.truncate(self.handed + 1);
                self.visible = found;
            }
            // Not read, not known: the steps go on when it is.
            Err(error) => {
                self.errors.push(error);
                self.store = None;
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let Some(store) = &self.store else { return };
        match step {
            Step::Write(ops, durability) => {
                let mut next = self.visible.clone();
                let mut batch = WriteBatch::new();
                for (key, value) in ops {
                    change(&mut next, key, value.as_ref());
                    match value {
                        Some(value) => batch.set(key, value),
                        None => batch.remove(key),
                    }
                }
                let result = store.write(batch, &WriteOptions { durability: Some(*durability) });
                self.written(next, result, *durability == Durability::Always);
            }
            Step::Swap(key, value) => {
                let old = self.visible.get(key).cloned();
                let mut next = self.visible.clone();
                change(&mut next, key, value.as_ref());
                let result = store.swap(key, value.as_deref());
                if let Ok(found) = &result {
                    assert_eq!(found.as_deref(), old.as_deref(), "the old value");
                }
                let was_read = |error: &Error| {
                    matches!(
                        error,
                        Error::Io { op: "read" | "open", .. } | Error::NoSpace { op: "read" | "open", .. }
                    )
                };
                if let Err(error) = &result
                    && was_read(error)
                {
                    // The old value was not found out: nothing was written, and the store is as sound
                    // as before.
                    self.errors.push(error.clone());
                    return;
                }
                self.written(next, result.map(|_| ()), false);
            }
            Step::ReadAll => self.read_all(),
            Step::Sync => match store.sync() {
                Ok(()) => self.durable = self.handed,
                Err(error) => {
                    self.errors.push(error);
                    self.expect_poisoned();
                }
            },
            Step::Flush => match store.flush() {
                Ok(()) => self.durable = self.handed,
                Err(error) => self.errors.push(error),
            },
            Step::Compact => {
                let result = store.compact();
                self.errors.extend(result.err());
            }
            Step::CompactRange(from, to) => {
                let result = store.compact_range(&KeyRange::of::<&Vec<u8>>(from..to));
                self.errors.extend(result.err());
            }
            Step::Load(pairs) => {
                let mut next = self.visible.clone();
                next.extend(pairs.iter().cloned());
                let is_sound = || store.write(WriteBatch::new(), &WriteOptions::default()).is_ok();
                match store.load_sorted(&mut List(pairs.iter())) {
                    // Nothing of it is there, and the store is as sound as before.
                    Err(error) if is_sound() => self.errors.push(error),
                    result => {
                        let is_durable = self.engine.kind == EngineKind::Lsm;
                        self.written(next, result.map(|_| ()), is_durable);
                    }
                }
            }
            Step::Checkpoint(path) => match store.checkpoint(Path::new(path)) {
                Ok(()) => self.copies.push((path, Some(self.visible.clone()))),
                Err(error) => {
                    self.copies.push((path, None));
                    self.errors.push(error);
                }
            },
            Step::Reopen => {
                self.store = None;
                self.open();
            }
        }
    }

    fn written(&mut self, next: Model, result: Result<()>, is_durable: bool) {
        match result {
            Ok(()) => {
                self.asked.push(next.clone());
                self.visible = next;
                self.handed = self.asked.len() - 1;
                if is_durable {
                    self.durable = self.handed;
                }
            }
            Err(error) => {
                // Refused before it was begun; or begun, and in the log or not.
                if !matches!(error, Error::Poisoned(_)) {
                    self.asked.push(next);
                }
                self.errors.push(error);
                self.expect_poisoned();
            }
        }
    }

    /// Every later write is refused, with the cause, and without asking the disk.
    fn expect_poisoned(&self) {
        let Some(store) = &self.store else { return };
        let before = self.disk.operations();
        for error in [store.set(b"late", b"").unwrap_err(), store.sync().unwrap_err()] {
            assert!(matches!(error, Error::Poisoned(_)), "{error:?}");
        }
        assert_eq!(self.disk.operations(), before, "no write, and no sync again");
    }

    fn read_all(&mut self) {
        let Some(store) = &self.store else { return };
        let mut errors = Vec::new();
        let keys = self.visible.keys().cloned().chain([b"never".to_vec(), b"key2".to_vec()]);
        for key in keys {
            match store.get(&key) {
                Ok(found) => assert_eq!(found.as_deref(), self.visible.get(&key).map(|value| &value[..])),
                Err(error) => errors.push(error),
            }
        }
        match contents(&**store) {
            Ok(found) => assert_eq!(found, self.visible),
            Err(error) => errors.push(error),
        }
        self.errors.append(&mut errors);
    }

    /// The disk works again. Whatever had happened, all promises hold.
    pub(crate) fn judge(mut self) -> Judged {
        self.disk.heal();
        if let Some(store) = &self.store {
            assert_eq!(contents(&**store).unwrap(), self.visible, "reads go on");
            match store.stats().unwrap().poisoned {
                Some(_) => self.expect_poisoned(),
                None => {
                    self.step(&Step::Write(vec![(b"end".to_vec(), Some(vec![]))], Durability::Always));
                    assert_eq!(self.durable, self.handed, "a sound store can be written");
                }
            }
        }
        self.store = None;
        let image = self.sim.image();
        self.judge_image(&image, self.handed);
        self.judge_image(&synced_only(&self.sim.recording()), self.durable);
        for (path, model) in &self.copies {
            self.judge_copy(&image, path, model.as_ref());
        }
        let heard = self.heard.lock().unwrap().clone();
        Judged { errors: self.errors, heard }
    }

    /// What is on a disk opens, is a state from `lo` on, and lives.
    fn judge_image(&self, image: &Image, lo: usize) {
        let disk = SimDisk::from_image(image, Record::Off);
        let access = if self.was_open { Access::Write } else { Access::Create };
        let store = open(&self.engine, Arc::new(disk.clone()), access).expect("what is there can be opened");
        let mut found = contents(&*store).unwrap();
        assert!(self.asked[lo..].contains(&found), "a state from {lo} to {}", self.asked.len() - 1);
        store.set(b"alive", b"yes").unwrap();
        found.insert(b"alive".to_vec(), b"yes".to_vec());
        store.compact().unwrap();
        assert_eq!(contents(&*store).unwrap(), found);
        drop(store);
        let store = open(&self.engine, Arc::new(disk.clone()), Access::Write).unwrap();
        assert_eq!(contents(&*store).unwrap(), found);
        // Nothing is left over of what failed.
        let live: Vec<_> = store.stats().unwrap().files.into_iter().map(|file| file.name).collect();
        for path in disk.image().files.keys().filter(|path| path.starts_with(DIR)) {
            let name = path.file_name().unwrap().to_str().unwrap();
            match parse(name) {
                Some(FileName::Segment(_) | FileName::Wal(_) | FileName::Table(_)) => {
                    assert!(live.iter().any(|file| file == name), "{name} is left over")
                }
                other => assert_ne!(other, Some(FileName::Temporary), "{name} is left over"),
            }
        }
    }

    /// A checkpoint that was made is whole; one that failed is no store, or a whole one.
    fn judge_copy(&self, image: &Image, path: &str, model: Option<&Model>) {
        let disk = Arc::new(SimDisk::from_image(image, Record::Off));
        match (self.engine.open(Path::new(path), open_options(disk, Access::Write)), model) {
            (Ok(store), Some(model)) => assert_eq!(contents(&*store).unwrap(), *model),
            (Ok(store), None) => assert!(!contents(&*store).unwrap().is_empty(), "an empty copy"),
            (Err(error), Some(_)) => panic!("a checkpoint that was made: {error}"),
            (Err(error), None) => assert!(matches!(error, Error::NoStore { .. }), "{error:?}"),
        }
    }
}

/// Pairs to load.
struct List<'a>(std::slice::Iter<'a, (Vec<u8>, Vec<u8>)>);

impl Pairs for List<'_> {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        Ok(self.0.next().map(|(key, value)| (&key[..], &value[..])))
    }
}

fn change(model: &mut Model, key: &[u8], value: Option<&Vec<u8>>) {
    match value {
        Some(value) => _ = model.insert(key.to_vec(), value.clone()),
        None => _ = model.remove(key),
    }
}

/// What callers and listeners were told.
pub(crate) struct Judged {
    /// By calls.
    pub(crate) errors: Vec<Error>,
    /// By the listener.
    pub(crate) heard: Vec<Event>,
}
