//! The entries of a table, one after the other, over damage.

use crate::engine::lsm::key::user_key;
use crate::engine::lsm::table::block::Block;
use crate::engine::lsm::table::format::Salt;
use crate::inspect::bytes::Bytes;
use crate::inspect::table::TableFile;
use crate::inspect::table::part::{Kind, Opened, Region};

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Its block's offset in the file.
    pub(crate) block: u64,
    /// Its offset in the unfolded block.
    pub(crate) at: usize,
}

/// What could not be read.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) reason: String,
    /// The user keys that stand before and behind it.
    pub(crate) between: (Option<Vec<u8>>, Option<Vec<u8>>),
}

/// On an entry of a table.
#[derive(Debug)]
pub(crate) struct Cursor {
    file: TableFile,
    /// The index of the next region.
    next: usize,
    opened: Option<(Region, Opened)>,
    /// Where in the block the entry is, where its value is, and where the next one is.
    at: usize,
    value: (usize, usize),
    key: Vec<u8>,
    /// What could not be read.
    pub(crate) lost: Vec<Lost>,
    /// The user key of the last entry of a block before.
    before: Option<Vec<u8>>,
    /// How many of what is lost have no key behind them yet.
    open_ended: usize,
}

impl Cursor {
    /// Before the first entry.
    pub(crate) fn new(bytes: Bytes, salt: Salt) -> Cursor {
        let file = TableFile::read(bytes, salt);
        Cursor {
            file,
            next: 0,
            opened: None,
            at: 0,
            value: (0, 0),
            key: Vec::new(),
            lost: Vec::new(),
            before: None,
            open_ended: 0,
        }
    }

    /// Moves to the next entry that can be read; says whether there is one.
    pub(crate) fn advance(&mut self) -> bool {
        loop {
            if self.step() {
                let from = self.lost.len() - std::mem::take(&mut self.open_ended);
                let key = user_key(&self.key);
                self.lost[from..].iter_mut().for_each(|lost| lost.between.1 = Some(key.to_vec()));
                return true;
            }
            let Some(&region) = self.file.regions.get(self.next) else { return false };
            self.next += 1;
            self.at = 0;
            self.value = (0, 0);
            if !self.key.is_empty() {
                self.before = Some(user_key(&self.key).to_vec());
            }
            self.key.clear();
            match region.kind {
                Kind::Data => match self.file.open(region) {
                    Ok(opened) => self.opened = Some((region, opened)),
                    Err(reason) => self.lose(region, reason),
                },
                Kind::Lost => {
                    self.lose(region, "no part of a table, or a damaged one".into());
                }
                _ => {}
            }
        }
    }

    /// Moves on in the block; closes it at its end.
    fn step(&mut self) -> bool {
        let Some((region, opened)) = &self.opened else { return false };
        let at = self.value.1;
        let lost = match Block::new(&opened.plain) {
            None => Some("no block: its restart points do not fit"),
            Some(block) if at >= block.end() => None,
            Some(block) => {
                let entry = block.entry(at);
                match entry.filter(|entry| block.assemble(entry, &mut self.key).is_some()) {
                    Some(entry) => {
                        (self.at, self.value) = (at, (entry.value, entry.next));
                        return true;
                    }
                    None => Some("a malformed entry: from here on the block is lost"),
                }
            }
        };
        if let Some(reason) = lost {
            let region = *region;
            self.lose(region, reason.into());
        }
        self.opened = None;
        false
    }

    fn lose(&mut self, region: Region, reason: String) {
        let between = (self.before.clone(), None);
        self.lost.push(Lost { from: region.at, to: region.end, reason, between });
        self.open_ended += 1;
    }

    /// The entry's internal key.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The entry's value; empty for a tombstone.
    pub(crate) fn value(&self) -> &[u8] {
        let opened = self.opened.as_ref().map(|(_, opened)| &opened.plain[..]);
        opened.and_then(|plain| plain.get(self.value.0..self.value.1)).unwrap_or_default()
    }

    /// Where the entry is.
    pub(crate) fn place(&self) -> Place {
        Place { block: self.opened.as_ref().map_or(0, |(region, _)| region.at), at: self.at }
    }
}
