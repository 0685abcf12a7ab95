//! Moving over a memtable's entries.

use super::node::Entry;
use super::permutation::SLOTS;
use super::tree::{Page, Tree};
use crate::engine::lsm::iter::EntryCursor;
use crate::engine::lsm::key::split;
use crate::error::Result;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::Arc;

/// How many entries ahead the processor is told to fetch: enough that they come in together, few enough
/// that a short scan does not fetch for nothing.
const AHEAD: usize = 4;

/// Moves over a memtable's entries, and keeps them in memory.
///
/// It copies the places of a leaf's entries when it comes to the leaf. It meets everything that was in
/// the table when it was last sought, and of what is inserted since, some.
#[derive(Clone, Debug)]
pub struct MemtableCursor {
    tree: Arc<Tree>,
    page: Page,
    /// `SLOTS` if it stands on none.
    position: usize,
}

impl MemtableCursor {
    pub(super) fn new(tree: Arc<Tree>) -> MemtableCursor {
        MemtableCursor { tree, page: Page::NONE, position: SLOTS }
    }

    #[inline]
    fn entry(&self) -> Entry<'_> {
        self.tree.entry(self.page.places[self.position])
    }

    fn stand_on(&mut self, found: Option<(Page, usize)>) {
        match found {
            Some((page, position)) if position < page.len => {
                (self.page, self.position) = (page, position);
                (position + 1..=position + AHEAD).for_each(|position| self.prefetch(position));
            }
            _ => self.position = SLOTS,
        }
    }

    #[inline]
    fn prefetch(&self, position: usize) {
        match position.cmp(&self.page.len) {
            Less => self.tree.entry(self.page.places[position]).prefetch(),
            Equal => self.tree.prefetch_anchor(&self.page),
            Greater => (),
        }
    }
}

impl EntryCursor for MemtableCursor {
    fn seek_to_first(&mut self) -> Result<()> {
        self.stand_on(Some((self.tree.first(), 0)));
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        let page = self.tree.last();
        self.stand_on(page.len.checked_sub(1).map(|last| (page, last)));
        Ok(())
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        let (user_key, trailer) = split(target);
        self.stand_on(Some(self.tree.seek(user_key, trailer)));
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        if self.position + 1 < self.page.len {
            self.position += 1;
            self.prefetch(self.position + AHEAD);
        } else if self.valid() {
            self.stand_on(self.tree.behind(&self.page, self.entry()));
            self.tree.prefetch_leaf(&self.page);
        }
        Ok(())
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        if !self.valid() {
            return Ok(());
        }
        match self.position.checked_sub(1) {
            Some(before) => self.position = before,
            None => self.stand_on(self.tree.before(self.entry())),
        }
        Ok(())
    }

    #[inline]
    fn valid(&self) -> bool {
        self.position < SLOTS
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.entry().key()
    }

    #[inline]
    fn value(&self) -> &[u8] {
        self.entry().value()
    }
}
