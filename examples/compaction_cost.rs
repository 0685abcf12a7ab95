//! What compaction costs, in a tree that has no disk: write and space amplification by the factor
//! between levels, for several ways of writing.
//!
//! Sizes are those of the defaults, scaled down: a memtable of 400 entries stands for 64 MiB. The
//! write-ahead log is not counted.

use kvs::engine::lsm::compaction::simulate::{Rest, Setting, Simulation};
use kvs::engine::lsm::compaction::targets::{LEVEL0_PART, Limits};
use kvs::engine::lsm::key::Kind;

/// Entries that a memtable takes.
const MEMTABLE: u64 = 400;

/// A way of writing: the name, and the key of the n-th write to a store of so many keys.
type Way = (&'static str, fn(&mut Simulation, u64, u64) -> u64);

const WAYS: [Way; 4] = [
    ("in order", |_, n, _| n),
    ("new, at random", |_, n, _| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    ("overwrite, uniform", |tree, _, keys| tree.random(keys)),
    ("overwrite, skewed", |tree, _, keys| {
        // Four in five writes go to a fifth of the keys, and so on within that fifth.
        let mut part = keys;
        while part > 5 && tree.random(5) != 0 {
            part /= 5;
        }
        tree.random(part).wrapping_mul(7_919) % keys
    }),
];

fn setting(level_factor: u64, rest: Rest) -> Setting {
    let memtable_bytes = MEMTABLE * 100;
    let limits = Limits {
        level0_tables: 4,
        level0_part: LEVEL0_PART,
        level_bytes: 4 * memtable_bytes,
        level_factor,
        table_bytes: memtable_bytes / 2,
    };
    Setting { limits, memtable_bytes, entry_bytes: 100, tombstone_bytes: 25, jobs: 2, rest }
}

/// Writes five times as many entries as there are in so many memtables.
fn run(way: &Way, memtables: u64, level_factor: u64, rest: Rest) -> Simulation {
    let mut tree = Simulation::new(setting(level_factor, rest), 1);
    let keys = memtables * MEMTABLE;
    for n in 0..5 * keys {
        let key = (way.1)(&mut tree, n, keys);
        tree.write(key, Kind::Set);
    }
    tree
}

fn main() {
    println!(
        "                                           while writing    at rest         rest after each flush"
    );
    println!("way                 store (memtables)  f   write   space    write   space   write   space");
    for way in &WAYS {
        for memtables in [2, 20, 200] {
            for level_factor in [4, 10, 20] {
                let mut tree = run(way, memtables, level_factor, Rest::AtTheEnd);
                let (write, space) = (tree.write_amplification(), tree.space_amplification());
                tree.settle();
                let (settled, small) = (tree.write_amplification(), tree.space_amplification());
                let mut eager = run(way, memtables, level_factor, Rest::Always);
                let worst = eager.write_amplification();
                eager.settle();
                println!(
                    "{:<20} {memtables:>16} {level_factor:>2} {write:>7.2} {space:>7.2} {settled:>8.2} {small:>7.2} {worst:>7.2} {:>7.2}",
                    way.0,
                    eager.space_amplification()
                );
            }
        }
    }
}
