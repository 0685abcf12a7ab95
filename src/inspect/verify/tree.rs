//! Verify an LSM tree: its files, and how they fit.

use crate::engine::event::Listener;
use crate::engine::filename::{self, FileName, MANIFEST};
use crate::engine::lsm::comparator::{Comparator, Order};
use crate::engine::lsm::key::{self, Kind, user_key};
use crate::engine::lsm::options::LEVELS;
use crate::engine::lsm::recover::{Purpose, lacks_edit_of, recover};
use crate::engine::lsm::version::edit::{LiveFile, TableMeta, WalState};
use crate::engine::lsm::wal;
use crate::engine::manifest::Files;
use crate::inspect::edits::internal_key;
use crate::inspect::sweep::{Input, Sort, Sweep};
use crate::inspect::tree::Listing;
use crate::inspect::verify::Verifier;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of keys that are in the wrong place, so many are named.
const NAMED: u64 = 100;

/// The name of an order that only the store's owner knows.
#[derive(Debug)]
struct Unknown(String);

impl Comparator for Unknown {
    fn name(&self) -> &str {
        &self.0
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        a.cmp(b)
    }
}

impl Verifier {
    /// Checks everything of an LSM tree.
    pub(super) fn tree(&mut self) {
        let Some(files) = self.manifest::<LiveFile>() else {
            return self.tree_without_manifest();
        };
        let listing = match Listing::of(&files) {
            Ok(listing) => listing,
            Err(reason) => return self.damage(MANIFEST, 0, reason),
        };
        let name = &listing.store.comparator;
        let order = self.order_named(name);
        if order.is_none() {
            self.note(format!("the order of the keys, '{name}', is the user's own: not checked"));
        }
        self.log_order(&listing);
        for (number, meta) in &listing.wals {
            self.log(*number, Some(meta));
        }
        for (number, meta) in &listing.tables {
            self.table(*number, Some(meta), Some(name));
        }
        self.levels(&listing, order.as_ref());
        if let Some(order) = order.as_ref().filter(|_| self.report.is_sound()) {
            self.sweep(&listing, order);
        }
        self.tree_leftovers(&listing, &files);
        // Opening reads no table, and of what logs hold the order is not looked at.
        let order = order.unwrap_or_else(|| Order::Own(Arc::new(Unknown(name.clone()))));
        if self.report.is_sound()
            && let Err(error) =
                recover(&self.dir, self.store_id, Some(&order), Purpose::Read, &Listener::default())
        {
            self.damage(MANIFEST, 0, format!("opening refuses: {error}"));
        }
    }

    /// The order with this name, if it is known.
    pub(super) fn order_named(&self, name: &str) -> Option<Order> {
        name.parse().ok().or_else(|| Some(self.own.clone()).filter(|own| own.name() == name))
    }

    fn tree_without_manifest(&mut self) {
        self.note("without a manifest the files are checked one by one, but not how they fit".into());
        let names: Vec<_> = self.entries.iter().filter_map(|entry| filename::parse(&entry.name)).collect();
        for name in names {
            match name {
                FileName::Wal(number) => self.log(number, None),
                FileName::Table(number) => self.table(number, None, None),
                _ => {}
            }
        }
    }

    /// The newest log alone grows, and none begins before the one before it has ended.
    fn log_order(&mut self, listing: &Listing) {
        let newest = listing.wals.keys().last().copied();
        let mut before = 0;
        for (number, meta) in &listing.wals {
            if meta.first_seqno <= before {
                self.damage(MANIFEST, 0, format!("log {number} overlaps an older one"));
            }
            match meta.state {
                WalState::Sealed { last_seqno, .. } => {
                    before = before.max(last_seqno);
                    if Some(*number) == newest {
                        self.damage(MANIFEST, 0, "the newest log is sealed".into());
                    }
                }
                WalState::Active { .. } if Some(*number) != newest => {
                    self.damage(MANIFEST, 0, format!("log {number} still grows, but is not the newest"));
                }
                WalState::Active { .. } => {}
            }
        }
        if newest.is_none() {
            self.damage(MANIFEST, 0, "no live log".into());
        }
        self.check("live logs", MANIFEST, listing.wals.len() as u64, 0);
    }

    /// In level 1 and below no two tables share a user key, by what the manifest says of them. That needs the order
    /// of the keys.
    fn levels(&mut self, listing: &Listing, order: Option<&Order>) {
        for level in 0..=u8::MAX {
            let mut tables: Vec<_> = listing.tables.iter().filter(|(_, meta)| meta.level == level).collect();
            if usize::from(level) >= LEVELS {
                for (number, _) in tables {
                    self.damage(MANIFEST, 0, format!("table {number} is in level {level}: there is none"));
                }
                continue;
            }
            let Some(order) = order.filter(|_| level > 0) else { continue };
            tables.sort_by(|a, b| order.compare_internal(&a.1.smallest, &b.1.smallest));
            for pair in tables.windows(2) {
                let ((before, a), (after, b)) = (pair[0], pair[1]);
                if order.compare(user_key(&a.largest), user_key(&b.smallest)) != Ordering::Less {
                    let reason = format!("tables {before} and {after} of level {level} share keys");
                    self.damage(MANIFEST, 0, reason);
                }
            }
        }
        self.check("live tables", MANIFEST, listing.tables.len() as u64, 0);
    }

    /// Reads all of the tree in the order of its keys: of each key, what is newer stands higher.
    fn sweep(&mut self, listing: &Listing, order: &Order) {
        let logs = listing.wals.keys().rev().map(|number| {
            let sort = Sort::Log(wal::header(self.store_id, *number));
            Input { number: *number, sort, first: None }
        });
        let mut tables: Vec<_> = listing.tables.iter().collect();
        tables.sort_by_key(|table| age(*table));
        let inputs: Vec<_> =
            logs.chain(tables.iter().map(|(number, _)| listing.input(self.store_id, **number))).collect();
        let ages: BTreeMap<u64, _> = tables.iter().map(|table| (*table.0, age(*table))).collect();
        let mut sweep = Sweep::new(&self.dir, order, inputs);
        let (mut keys, mut wrong) = (0, 0);
        // The entry before: its key, and the input that has it.
        let mut last: Option<(Vec<u8>, usize)> = None;
        while let Some(input) = sweep.advance() {
            let internal = sweep.key();
            let (user, trailer) = key::split(internal);
            let newer =
                last.as_ref().filter(|(newer, _)| order.compare(user_key(newer), user) == Ordering::Equal);
            keys += u64::from(newer.is_none() && Kind::of(trailer) == Some(Kind::Set));
            if let Some((newer, above)) = newer {
                // Inputs stand in the order in which a get asks them; tables of one level are asked at
                // once, and so must not share a key.
                let level = |input: usize| ages.get(&sweep.inputs[input].number).map(|(level, _)| *level);
                let share = input != *above && level(input) > Some(0) && level(input) == level(*above);
                let is_twice = key::split(newer).1 == trailer;
                if input < *above || share || is_twice {
                    wrong += 1;
                    if wrong <= NAMED {
                        let (name, other) = (sweep.inputs[input].name(), sweep.inputs[*above].name());
                        let (key, newer) = (internal_key(internal), internal_key(newer));
                        let reason = format!("{key} hides or meets {newer} in {other}");
                        self.damage(&name, sweep.place().block, reason);
                    }
                }
            }
            match &mut last {
                Some((key, above)) => {
                    internal.clone_into(key);
                    *above = input;
                }
                None => last = Some((internal.to_vec(), input)),
            }
        }
        if wrong > NAMED {
            self.damage("", 0, format!("{} more entries stand in the wrong place", wrong - NAMED));
        }
        self.check("keys", "", keys, 0);
    }

    fn tree_leftovers(&mut self, listing: &Listing, files: &Files<LiveFile>) {
        let names: Vec<_> = self.entries.iter().map(|entry| entry.name.clone()).collect();
        for name in names {
            match filename::parse(&name) {
                Some(FileName::Wal(number)) if listing.wals.contains_key(&number) => {}
                Some(FileName::Table(number)) if listing.tables.contains_key(&number) => {}
                Some(FileName::Wal(number)) => match lacks_edit_of(&self.dir, self.store_id, files, number) {
                    Ok(false) => self.left_over(&name),
                    Ok(true) => {
                        let reason =
                            format!("an edit is missing: log {number} holds records, but nothing names it");
                        self.damage(MANIFEST, 0, reason);
                    }
                    Err(error) => self.damage(&name, 0, error.to_string()),
                },
                Some(FileName::Table(_) | FileName::Temporary) => self.left_over(&name),
                Some(FileName::Segment(_) | FileName::Hint(_)) => {
                    self.note(format!("{name}: a file of another engine"));
                }
                Some(FileName::Engine | FileName::Manifest) | None => {}
            }
        }
    }
}

/// The order in which a get asks tables: level by level, in level 0 the newest first.
fn age((number, meta): (&u64, &TableMeta)) -> (u8, Option<Reverse<(u64, u64)>>) {
    (meta.level, (meta.level == 0).then_some(Reverse((meta.last_seqno, *number))))
}
