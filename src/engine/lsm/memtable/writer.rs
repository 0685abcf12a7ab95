//! The writer's side of the tree: how entries get in, and nodes are split. The order of its steps is
//! what readers rely on; the proof stands with the [tree](super::tree).

#![expect(unsafe_code, reason = "nodes are made, and anchors are of inner nodes; see the tree's proof")]

use super::head::Heads;
use super::node::{self, Link, NOWHERE};
use super::permutation::{Permutation, SLOTS};
use super::tree::{GENERATIONS, Page, State, Target, Tree};
use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::key::split;
use crate::sync::unlocked::MutexGuard;
use crate::sync::unlocked::atomic::Ordering;
use std::iter;

/// How many entries there are when the measure is looked at.
const FIT_AT: [u64; GENERATIONS] =
    if cfg!(any(miri, loom)) { [16, 48, 96] } else { [256, 4 << 10, 64 << 10] };

/// The right to insert into a tree.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    tree: &'a Tree,
    state: MutexGuard<'a, State>,
}

/// A link on its way into a node, and in inner nodes the anchor that comes with it.
#[derive(Clone, Copy)]
struct Item {
    link: Link,
    anchor: u32,
}

impl<'a> Writer<'a> {
    /// Waits for another who has it.
    pub(super) fn new(tree: &'a Tree) -> Writer<'a> {
        Writer { tree, state: tree.state.lock() }
    }

    /// Inserts an entry, which readers see from now on. No entry with this key and trailer may be there.
    ///
    /// Panics if the key is longer than 65,535 bytes, or the value than 4 GiB.
    #[inline]
    pub(super) fn insert(&mut self, user_key: &[u8], trailer: u64, value: &[u8]) {
        let tree = self.tree;
        // SAFETY: the tree made its grower with its arena.
        let place = unsafe { node::write(&tree.arena, &mut self.state.grower, user_key, trailer, value) };
        let target = tree.target(user_key, trailer);
        self.find(&target);
        let (leaf, position) = (self.state.leaf, self.state.position);
        let item = Item { link: Link { head: target.head, place }, anchor: place };
        (self.state.leaf, self.state.position) = self.add(0, leaf, position, item);
        let len = tree.len.load(Ordering::Relaxed) + 1;
        tree.len.store(len, Ordering::Release);
        tree.bytes.store(self.state.grower.used() - self.state.empty, Ordering::Release);
        if FIT_AT.contains(&len) {
            self.fit();
        }
    }

    /// Puts into the state where the target belongs.
    fn find(&mut self, target: &Target<'_>) {
        if self.is_behind_the_last(target) {
            self.state.position += 1;
            return;
        }
        let behind_the_last = (self.state.leaf, self.state.position + 1);
        let (level, mut place) = self.tree.root();
        for level in (1..=level as usize).rev() {
            let node = self.tree.node(place);
            let permutation = node.permutation();
            let child = self.tree.child(node, permutation, target);
            self.state.way[level] = (place, child);
            place = node.link(permutation.slot(child)).place;
            self.tree.node(place).prefetch();
        }
        let leaf = self.tree.node(place);
        self.state.position = self.tree.position(leaf, leaf.permutation(), target);
        self.state.leaf = place;
        self.state.in_order = (place, self.state.position) == behind_the_last;
    }

    /// Whether the target stands right behind what was inserted last, in a leaf with room for it: keys
    /// that come in order need no search.
    fn is_behind_the_last(&self, target: &Target<'_>) -> bool {
        let (tree, position) = (self.tree, self.state.position);
        let leaf = tree.node(self.state.leaf);
        let permutation = leaf.permutation();
        if permutation.is_full() || permutation.len() == 0 {
            return false;
        }
        let link = |position| leaf.link(permutation.slot(position));
        if !tree.is_below(link(position), target) {
            return false;
        }
        match leaf.next() {
            _ if position + 1 < permutation.len() => !tree.is_below(link(position + 1), target),
            NOWHERE => true,
            next => !tree.is_below(tree.node(next).link(0), target),
        }
    }

    /// Puts an item at a position of a node, or of its new neighbour if it is full; says where it went.
    fn add(&mut self, level: usize, place: u32, position: usize, item: Item) -> (u32, usize) {
        let node = self.tree.node(place);
        let permutation = node.permutation();
        if !permutation.is_full() {
            self.fill(level, place, position, item);
            return (place, position);
        }
        // What comes in order fills its nodes: the last item goes to a node of its own.
        if position == SLOTS && (node.next() == NOWHERE || level == 0 && self.state.in_order) {
            let new = self.add_behind(level, place, &[item]);
            return (new, 0);
        }
        const KEEP: usize = SLOTS / 2;
        let items: [Item; SLOTS - KEEP] =
            std::array::from_fn(|i| self.item(level, place, permutation.slot(KEEP + i)));
        let new = self.add_behind(level, place, &items);
        // The new node's first item is its anchor: what stands right before it stays here.
        let (place, position) = if position <= KEEP { (place, position) } else { (new, position - KEEP) };
        self.fill(level, place, position, item);
        (place, position)
    }

    fn item(&self, level: usize, place: u32, slot: usize) -> Item {
        let node = self.tree.node(place);
        let link = node.link(slot);
        // SAFETY: a node above level 0 has anchors.
        let anchor = if level == 0 { link.place } else { unsafe { node.anchor(slot) } };
        Item { link, anchor }
    }

    fn set_item(&self, level: usize, place: u32, slot: usize, item: Item) {
        let node = self.tree.node(place);
        if level > 0 {
            // SAFETY: a node above level 0 has anchors.
            unsafe { node.set_anchor(slot, item.anchor) };
        }
        node.set_link(slot, item.link);
    }

    /// Fills a free slot, then has the node name it.
    fn fill(&self, level: usize, place: u32, position: usize, item: Item) {
        let node = self.tree.node(place);
        let permutation = node.permutation();
        self.set_item(level, place, permutation.slot(permutation.len()), item);
        node.set_permutation(permutation.insert(position));
    }

    /// Makes a node of items that come behind all that a node keeps; takes from it those it had of them,
    /// and tells the parent.
    fn add_behind(&mut self, level: usize, place: u32, items: &[Item]) -> u32 {
        let new = self.add_node(level, items);
        let node = self.tree.node(place);
        self.tree.node(new).set_next(node.next());
        node.set_next(new);
        if items.len() > 1 {
            let permutation = node.permutation();
            node.set_permutation(permutation.truncate(SLOTS - items.len()));
            node.reuse_slots();
        }
        let Item { link, anchor } = items[0];
        let item = Item { link: Link { head: link.head, place: new }, anchor };
        if level as u32 == self.tree.root().0 {
            let old = Item { link: Link { head: 0, place }, anchor: NOWHERE };
            let root = self.add_node(level + 1, &[old, item]);
            self.tree.root.store((level as u64 + 1) << 32 | u64::from(root), Ordering::Release);
        } else {
            let (parent, child) = self.state.way[level + 1];
            self.add(level + 1, parent, child + 1, item);
        }
        new
    }

    fn add_node(&mut self, level: usize, items: &[Item]) -> u32 {
        // SAFETY: the tree made its grower with its arena.
        let new = unsafe { node::add_node(&self.tree.arena, &mut self.state.grower, level as u32) };
        for (slot, &item) in items.iter().enumerate() {
            self.set_item(level, new, slot, item);
        }
        self.tree.node(new).set_permutation(Permutation::of(items.len()));
        new
    }

    /// Measures keys anew, if the entries that are there now are told apart better so.
    fn fit(&mut self) {
        let tree = self.tree;
        if matches!(tree.order, Order::Own(_)) {
            return;
        }
        let generation = tree.generation.load(Ordering::Relaxed) as usize;
        let heads = self.measure();
        let old = generation.checked_sub(1).and_then(|old| tree.heads[old].get());
        if old.is_some_and(|old| !heads.is_wider_than(old)) || tree.heads[generation].set(heads).is_err() {
            return;
        }
        tree.generation.store(generation as u32 + 1, Ordering::Release);
        let (level, root) = tree.root();
        self.renew_heads(level as usize, root);
    }

    /// A measure that fits the keys of some hundred leaves.
    fn measure(&self) -> Heads {
        let tree = self.tree;
        let next = move |page: &Page| {
            let next = tree.node(page.leaf).next();
            (next != NOWHERE).then(|| tree.page(next))
        };
        let step = (tree.len() / 1024).max(1) as usize;
        // The last ones too: of keys that come in order, they share least with the first.
        let pages = iter::successors(Some(tree.first()), next).step_by(step).chain([tree.last()]);
        let places = pages.flat_map(|page| page.places.into_iter().take(page.len));
        let keys: Vec<_> = places.map(|place| split(tree.entry(place).key()).0).collect();
        Heads::fit(&keys, matches!(tree.order, Order::Reverse))
    }

    /// Writes the heads of a node and of all below anew.
    fn renew_heads(&mut self, level: usize, place: u32) {
        let permutation = self.tree.node(place).permutation();
        for slot in (0..permutation.len()).map(|position| permutation.slot(position)) {
            let mut item = self.item(level, place, slot);
            if level > 0 {
                self.renew_heads(level - 1, item.link.place);
            }
            if item.anchor != NOWHERE {
                item.link.head = self.tree.head_of(split(self.tree.entry(item.anchor).key()).0);
                self.set_item(level, place, slot, item);
            }
        }
    }
}
