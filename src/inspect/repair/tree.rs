//! Repair of an LSM tree: one pass over everything that can be read of its tables and logs.

use crate::engine::filename::{self, FileName};
use crate::engine::kind::EngineKind;
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::{self, Kind};
use crate::engine::lsm::recover::lacks_edit_of;
use crate::engine::lsm::table::format::Salt;
use crate::engine::lsm::version::edit::{LiveFile, WalMeta};
use crate::engine::lsm::wal;
use crate::engine::manifest;
use crate::engine::migrate::unfinished::build;
use crate::engine::options::OpenOptions;
use crate::engine::{KvsEngine, Pairs};
use crate::error::{Error, Result};
use crate::inspect::batch::is_likely;
use crate::inspect::bytes::Bytes;
use crate::inspect::header;
use crate::inspect::repair::report::{Lost, Report, Saved, torn};
use crate::inspect::repair::sources::lacking;
use crate::inspect::sweep::{Input, Loss, Sort, Sweep, Tail};
use crate::inspect::table::TableFile;
use crate::inspect::text::{count, quoted};
use crate::inspect::tree::Listing;
use crate::record::frame::{HEADER_LEN, Header};
use crate::vfs::dir::Dir;
use crate::vfs::{DirEntry, Vfs};
use crate::worker::Schedule;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What a damaged tree has.
struct Source {
    dir: Dir,
    entries: Vec<DirEntry>,
    store_id: u64,
    /// What the manifest says, if it can be believed.
    listing: Option<Listing>,
    order: Order,
    notes: Vec<String>,
    lost: Vec<Lost>,
}

/// Saves what is whole of the tree in `dir` into a new one.
pub(super) fn repair(disk: Arc<dyn Vfs>, dir: Dir, dest: &Path) -> Result<Report> {
    let mut source = Source::find(dir)?;
    let (live, leftovers) = source.inputs();
    let is_known = source.listing.is_some();
    // The first pass finds out what is lost: whether the left-over files are needed, and whether there is
    // anything to save.
    let mut survivors = Survivors::read(&source, live.clone())?;
    let mut inputs = live;
    // They hold what a flush or a compaction has put into tables; and where a file is gone that was live, the manifest
    // itself may be an old one.
    if (survivors.is_file_lost() || !source.lost.is_empty()) && !leftovers.is_empty() {
        let files = count(leftovers.len() as u64, "file");
        source.notes.push(format!(
            "{files} that the manifest does not name were read as well, because of the losses: keys that were \
             removed before a compaction may be there again"
        ));
        inputs.extend(leftovers);
        survivors = Survivors::read(&source, inputs.clone())?;
    }
    let is_whole = survivors.sweep.lost.is_empty() && source.lost.is_empty() && is_known;
    if survivors.saved.records == 0 && !is_whole {
        let first = survivors.sweep.lost.first().map(|loss| format!(": {}", loss.reason));
        let first = first.unwrap_or_default();
        let reason = format!("nothing can be saved: no entry with a right checksum{first}");
        return Err(Error::corruption(source.dir.path(), 0, reason));
    }
    let mut survivors = Survivors::new(&source, inputs);
    build(&disk, dest, |disk| {
        let store = create(disk, dest, &source.order)?;
        store.load_sorted(&mut survivors)?;
        store.sync()
    })?;
    survivors.settle(&source);
    let Survivors { sweep, saved, mut notes, .. } = survivors;
    source.take_losses(sweep.lost, &sweep.inputs);
    source.notes.append(&mut notes);
    Ok(source.report(dest, saved))
}

fn create(disk: Arc<dyn Vfs>, dest: &Path, order: &Order) -> Result<Arc<dyn KvsEngine>> {
    let open = OpenOptions { disk, schedule: Schedule::Manual, ..OpenOptions::default() };
    EngineKind::Lsm.open(dest, open, &[("comparator".to_string(), order.name().to_string())])
}

impl Source {
    fn find(dir: Dir) -> Result<Source> {
        let entries = dir.list()?.unwrap_or_default();
        let (notes, lost) = (Vec::new(), Vec::new());
        let mut source =
            Source { dir, entries, store_id: 0, listing: None, order: Order::Bytewise, notes, lost };
        source.store_id = source.identify()?;
        source.listing = source.manifest();
        source.order = source.order()?;
        Ok(source)
    }

    /// The store's id: from the identity file, or else from the headers of the logs.
    fn identify(&mut self) -> Result<u64> {
        let why = match header::identity(&self.dir, &self.entries)? {
            Ok(identity) => return Ok(identity.store_id),
            Err(why) => why,
        };
        let voted = header::vote(&self.dir, &self.entries);
        let has_files =
            !self.numbers(|name| matches!(name, FileName::Wal(_) | FileName::Table(_))).is_empty();
        let store_id = voted.ok_or_else(|| match has_files {
            true => {
                let reason = format!("nothing can be saved: {why}, and no header of a log is whole");
                Error::corruption(self.dir.path(), 0, reason)
            }
            false => Error::NoStore { path: self.dir.path().to_path_buf() },
        })?;
        self.notes.push(format!("{why}; the store's id, {store_id:016x}, is from the headers of its logs"));
        Ok(store_id)
    }

    /// What the manifest says, if it can be believed.
    fn manifest(&mut self) -> Option<Listing> {
        let why = match manifest::read::<LiveFile>(&self.dir, self.store_id) {
            Err(error) => error.to_string(),
            Ok(read) => {
                let mut logs = self.numbers(|name| matches!(name, FileName::Wal(_)));
                logs.retain(|number| !read.files.live.contains_key(number));
                let lacks = |number| lacks_edit_of(&self.dir, self.store_id, &read.files, number);
                match lacking(logs.into_iter().map(lacks)).map_or_else(|| Listing::of(&read.files), Err) {
                    Ok(listing) => return Some(listing),
                    Err(reason) => reason,
                }
            }
        };
        self.notes.push(format!(
            "{why}; all tables and logs were read, also those that a compaction may have replaced: keys that \
             were removed before it may be there again"
        ));
        None
    }

    fn order(&mut self) -> Result<Order> {
        let named = self.listing.as_ref().map(|listing| listing.store.comparator.clone());
        let tables = self.numbers(|name| matches!(name, FileName::Table(_)));
        let said = || tables.iter().find_map(|number| self.table(*number).ok()?.properties.ok());
        match named.or_else(|| Some(said()?.comparator)) {
            Some(name) => name.parse(),
            None => Ok(Order::Bytewise),
        }
    }

    fn numbers(&self, is_it: impl Fn(FileName) -> bool) -> BTreeSet<u64> {
        let files = self.entries.iter().filter(|entry| !entry.is_dir);
        let names = files.filter_map(|entry| filename::parse(&entry.name)).filter(|name| is_it(*name));
        let number = |name| match name {
            FileName::Wal(number) | FileName::Table(number) => Some(number),
            _ => None,
        };
        names.filter_map(number).collect()
    }

    fn log(&self, number: u64) -> Input {
        let header = wal::header(self.store_id, number);
        Input { number, sort: Sort::Log(header), first: None }
    }

    fn table(&self, number: u64) -> Result<TableFile> {
        let bytes = Bytes::open(&self.dir, &filename::table(number))?;
        Ok(TableFile::read(bytes, Salt::new(self.store_id, number)))
    }

    /// The files that are live, all of them if that is not known; and the others.
    fn inputs(&mut self) -> (Vec<Input>, Vec<Input>) {
        let logs = self.numbers(|name| matches!(name, FileName::Wal(_)));
        let tables = self.numbers(|name| matches!(name, FileName::Table(_)));
        let lens: BTreeMap<String, u64> =
            self.entries.iter().map(|entry| (entry.name.clone(), entry.len)).collect();
        let Some(listing) = self.listing.clone() else {
            let logs: Vec<_> = logs.into_iter().map(|number| self.log_input(number).0).collect();
            let all = tables.iter().map(|number| self.table_input(*number, &tables).0);
            return (logs.into_iter().chain(all.collect::<Vec<_>>()).collect(), Vec::new());
        };
        let is_headless = |number: &u64| listing.wals.contains_key(number) && self.is_headless(*number);
        let headless: BTreeSet<u64> = logs.iter().copied().filter(is_headless).collect();
        let mut files: Vec<(Input, String)> = Vec::new();
        for number in logs.difference(&headless) {
            files.push(self.log_input(*number));
        }
        for &number in &tables {
            files.push(self.table_input(number, &tables));
        }
        let live = live_files(&listing);
        let in_place: BTreeSet<String> =
            { files.iter() }.filter(|(input, _)| live.contains_key(&input.name())).map(is).cloned().collect();
        // What stands under another name, and nowhere else, is live all the same.
        let is_live = |(input, is): &(Input, String)| {
            live.contains_key(&input.name()) || live.contains_key(is) && !in_place.contains(is)
        };
        let (mut files, leftovers): (Vec<_>, Vec<_>) = files.into_iter().partition(is_live);
        for (name, (wanted, held)) in &live {
            let len_of = |(input, _): &(Input, String)| lens.get(&input.name()).map_or(0, |&len| len);
            match files.iter().filter(|file| is(file) == name).max_by_key(|file| len_of(file)) {
                Some(file) if len_of(file) < *wanted => {
                    let (name, len) = (file.0.name(), len_of(file));
                    self.lose(&name, len, wanted - len, format!("the file is cut{held}"));
                }
                Some(_) => {}
                None => {
                    let holds = files.iter().find(|(input, _)| input.name() == *name);
                    let reason = match (holds, lens.get(name)) {
                        (Some((_, other)), _) => format!("its file holds {other}"),
                        (None, Some(_)) => "no header, and no record with a right checksum".to_string(),
                        (None, None) => "the file is missing".to_string(),
                    };
                    let len = if holds.is_some() { 0 } else { lens.get(name).map_or(0, |&len| len) };
                    self.lose(name, 0, len.max(*wanted), format!("{reason}{held}"));
                }
            }
        }
        for (input, is) in &mut files {
            if let Some((_, meta)) =
                listing.tables.iter().find(|(number, _)| filename::table(**number) == *is)
            {
                input.first = Some(meta.smallest.clone());
            }
        }
        let inputs = |files: Vec<(Input, String)>| files.into_iter().map(|(input, _)| input).collect();
        (inputs(files), inputs(leftovers))
    }

    /// Whether a log is there, and nothing of it: one that an edit names has had a whole header.
    fn is_headless(&self, number: u64) -> bool {
        let Ok(mut bytes) = Bytes::open(&self.dir, &filename::wal(number)) else { return false };
        let is_log = |found: Header| found.kind == wal::LOG_KIND && found.store_id == self.store_id;
        let candidates = [wal::header(self.store_id, number)];
        !header::read(&mut bytes).is_some_and(is_log)
            && header::prove(&bytes, &candidates, is_likely, u64::MAX).is_none()
    }

    /// How much of a log the manifest says was durable; `None` if it does not name it.
    fn durable(&self, input: &Input) -> Option<u64> {
        let Sort::Log(header) = input.sort else { return None };
        self.listing.as_ref()?.wals.get(&header.number).map(WalMeta::durable)
    }

    /// A log, by what its header says that it is; and the name that this one has.
    fn log_input(&mut self, number: u64) -> (Input, String) {
        let mut input = self.log(number);
        let found = Bytes::open(&self.dir, &input.name()).ok().and_then(|mut bytes| header::read(&mut bytes));
        let is_log = |found: &Header| found.kind == wal::LOG_KIND && found.store_id == self.store_id;
        if let Some(found) = found.filter(is_log).filter(|found| found.number != number) {
            let other = filename::wal(found.number);
            self.notes.push(format!("{}: by its header it is {other}, and was read as that", input.name()));
            input.sort = Sort::Log(found);
            return (input, other);
        }
        let name = input.name();
        (input, name)
    }

    /// A table, by what its footer says that it is: the number salts its checksums; and the name that this one has.
    /// Its first key is what its properties say, so that not all tables are open at once where no manifest knows it.
    fn table_input(&mut self, number: u64, tables: &BTreeSet<u64>) -> (Input, String) {
        let salt = |number| Salt::new(self.store_id, number);
        let mut input = Input { number, sort: Sort::Table(salt(number)), first: None };
        let mut is = input.name();
        let Ok(bytes) = Bytes::open(&self.dir, &is) else { return (input, is) };
        let listed = self.listing.iter().flat_map(|listing| listing.tables.keys());
        let candidates = [number].into_iter().chain(listed.chain(tables).copied());
        let proven = { candidates }.find(|n| TableFile::is_salted_with(&bytes, salt(*n)));
        if let Some(other) = proven.filter(|proven| *proven != number) {
            input.sort = Sort::Table(salt(other));
            is = filename::table(other);
            self.notes.push(format!("{}: by its footer it is {is}, and was read as that", input.name()));
        }
        if let Sort::Table(salt) = input.sort {
            input.first = TableFile::properties_of(&bytes, salt).map(|properties| properties.smallest);
        }
        (input, is)
    }

    fn lose(&mut self, name: &str, offset: u64, bytes: u64, reason: String) {
        let path = self.dir.join(name).display().to_string();
        self.lost.push(Lost { path, offset, bytes, reason });
    }

    fn take_losses(&mut self, mut lost: Vec<Loss>, inputs: &[Input]) {
        lost.sort_by_key(|loss| (loss.input, loss.from));
        for Loss { input, from, to, reason, between } in lost {
            let key = |key: &[u8]| quoted(key, 40);
            let held = match &between {
                (None, None) => String::new(),
                (Some(before), None) => format!("; its keys were not below {}", key(before)),
                (None, Some(behind)) => format!("; its keys were not above {}", key(behind)),
                (Some(before), Some(behind)) => {
                    format!("; its keys were from {} to {}", key(before), key(behind))
                }
            };
            self.lose(&inputs[input].name(), from, to - from, format!("{reason}{held}"));
        }
    }

    fn report(self, dest: &Path, saved: Saved) -> Report {
        let mut notes = self.notes;
        if !self.lost.is_empty() {
            notes.push(
                "what was lost may have been newer values or removals: of their keys the older values, if \
                 any, are there instead"
                    .into(),
            );
        }
        Report {
            source: self.dir.path().display().to_string(),
            dest: dest.display().to_string(),
            engine: EngineKind::Lsm.name().into(),
            saved,
            lost: self.lost,
            is_sure: self.listing.is_some(),
            keys: Vec::new(),
            notes,
        }
    }
}

/// The name that a file should have, of one with that.
fn is((_, name): &(Input, String)) -> &String {
    name
}

/// The names of the files that are live: how much of each was durable, and which keys a table held.
fn live_files(listing: &Listing) -> BTreeMap<String, (u64, String)> {
    let logs =
        listing.wals.iter().map(|(number, meta)| (filename::wal(*number), (meta.durable(), String::new())));
    let tables = listing.tables.iter().map(|(number, meta)| {
        let [smallest, largest] =
            [&meta.smallest, &meta.largest].map(|internal| quoted(key::user_key(internal), 40));
        let held = format!("; it held keys from {smallest} to {largest}");
        (filename::table(*number), (meta.len, held))
    });
    logs.chain(tables).collect()
}

/// Of each key that is there the newest value, in the order of the keys.
struct Survivors {
    sweep: Sweep,
    order: Order,
    saved: Saved,
    /// The user key whose newest entry was seen last.
    last: Option<Vec<u8>>,
    value: Vec<u8>,
    notes: Vec<String>,
}

impl Survivors {
    fn new(source: &Source, inputs: Vec<Input>) -> Survivors {
        let saved = Saved { files: inputs.len() as u64, ..Saved::default() };
        Survivors {
            sweep: Sweep::new(&source.dir, &source.order, inputs),
            order: source.order.clone(),
            saved,
            last: None,
            value: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Goes over all of it once.
    fn read(source: &Source, inputs: Vec<Input>) -> Result<Survivors> {
        let mut survivors = Survivors::new(source, inputs);
        while survivors.next_pair()?.is_some() {}
        survivors.settle(source);
        Ok(survivors)
    }

    /// Whether a table has lost something, or a log all.
    fn is_file_lost(&self) -> bool {
        let sort = |loss: &Loss| self.sweep.inputs[loss.input].sort;
        self.sweep.lost.iter().any(|loss| matches!(sort(loss), Sort::Table(_)) || loss.from < HEADER_LEN)
    }

    /// Tells losses from mere notes where logs end: what stands there is lost if the manifest or a record says
    /// that it was durable, or if nothing is known of the log.
    fn settle(&mut self, source: &Source) {
        for Tail { input, from, to, reason, is_zero, claimed } in std::mem::take(&mut self.sweep.tails) {
            let log = &self.sweep.inputs[input];
            let lose = |reason| Loss { input, from, to, reason, between: (None, None) };
            match (source.durable(log), is_zero) {
                (Some(durable), _) if from < durable.max(claimed) => self.sweep.lost.push(lose(reason)),
                // Written ahead and not used.
                (_, true) => {}
                (Some(_), false) => self.notes.push(torn(&log.name(), from, to - from)),
                (None, false) => self.sweep.lost.push(lose(format!("{reason}: a torn tail, or damage"))),
            }
        }
    }

    /// Whether the entry is the newest of a key that was not seen before.
    fn is_newest(&mut self, input: usize) -> bool {
        let user_key = key::user_key(self.sweep.key());
        match self.last.as_deref().map(|last| self.order.compare(last, user_key)) {
            None | Some(Ordering::Less) => true,
            Some(Ordering::Equal) => false,
            Some(Ordering::Greater) => {
                let name = self.sweep.inputs[input].name();
                let at = self.sweep.place();
                let reason = format!("{} is out of order", quoted(user_key, 40));
                let between = (None, None);
                self.sweep.lost.push(Loss { input, from: at.block, to: at.block, reason, between });
                self.notes.push(format!("{name}: it holds keys out of order, which were passed over"));
                false
            }
        }
    }
}

impl Pairs for Survivors {
    fn next_pair(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        while let Some(input) = self.sweep.advance() {
            let kind = Kind::of(key::split(self.sweep.key()).1);
            self.saved.records += 1;
            self.saved.tombstones += u64::from(kind == Some(Kind::Remove));
            if !self.is_newest(input) {
                continue;
            }
            let user_key = key::user_key(self.sweep.key());
            match &mut self.last {
                Some(last) => user_key.clone_into(last),
                None => self.last = Some(user_key.to_vec()),
            }
            if kind == Some(Kind::Remove) {
                continue;
            }
            let Some(value) = self.sweep.value() else {
                let at = self.sweep.place().block;
                let reason = "it was read once, and not again".to_string();
                let between = (self.last.clone(), self.last.clone());
                self.sweep.lost.push(Loss { input, from: at, to: at, reason, between });
                continue;
            };
            self.value = value;
            self.saved.keys += 1;
            let key = self.last.as_deref().unwrap_or_default();
            self.saved.bytes += (key.len() + self.value.len()) as u64;
            return Ok(Some((key, &self.value)));
        }
        Ok(None)
    }
}
