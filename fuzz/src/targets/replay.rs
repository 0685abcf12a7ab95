//! A fuzz without a fuzzer: every input that is kept, every seed, and seeded mutations of them. It steers by
//! nothing, but it needs nothing, and always does the same.

use super::Target;
use kvs::dice::Dice;
use std::path::{Path, PathBuf};

/// Gives a target all that stands in `folder` under its name, its seeds, and `runs` mutations of all that.
/// Returns how many inputs were kept there. Says on the way which input it is at, for the case that one ends
/// the process.
pub(crate) fn replay(target: &Target, folder: &Path, runs: u64) -> usize {
    let kept = kept(target, folder);
    for (path, input) in &kept {
        guarded(target, input, &path.display().to_string());
    }
    let mut inputs: Vec<Vec<u8>> = kept.iter().map(|(_, input)| input.clone()).collect();
    for (i, seed) in (target.seeds)().into_iter().enumerate() {
        guarded(target, &seed, &format!("seed {i}"));
        inputs.push(seed);
    }
    let mut random = Random::new(target.name);
    for run in 0..runs / target.cost {
        let input = mutated(&inputs, target.max_len, &mut random);
        guarded(target, &input, &format!("mutation {run}"));
    }
    kept.len()
}

/// The inputs that are kept for a target, by their names.
pub(crate) fn kept(target: &Target, folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder.join(target.name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let read = |path: PathBuf| std::fs::read(&path).ok().map(|bytes| (path, bytes));
    paths.into_iter().filter_map(read).collect()
}

/// Prints the input if the target panics, so that it can be kept.
fn guarded(target: &Target, input: &[u8], what: &str) {
    struct Say<'a>(&'a Target, &'a [u8], &'a str);
    impl Drop for Say<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("{}: {}: b\"{}\"", self.0.name, self.2, self.1.escape_ascii());
            }
        }
    }
    let _say = Say(target, input, what);
    target.run(input);
}

/// Numbers that depend on nothing but a name.
struct Random(Dice);

impl Random {
    fn new(name: &str) -> Random {
        Random(Dice::new(name.bytes().fold(1, |sum, byte| sum * 31 + u64::from(byte))))
    }

    fn next(&mut self) -> u64 {
        self.0.next_number()
    }

    /// Below `count`; 0 if that is 0.
    fn below(&mut self, count: usize) -> usize {
        (self.next() % (count.max(1) as u64)) as usize
    }
}

/// Numbers that have broken decoders.
const EVIL: [u64; 10] = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// One of the inputs, changed in one to four places.
fn mutated(inputs: &[Vec<u8>], max_len: usize, random: &mut Random) -> Vec<u8> {
    let mut input = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(4) {
        mutate(&mut input, inputs, random);
    }
    input.truncate(max_len);
    input
}

fn mutate(input: &mut Vec<u8>, inputs: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len());
    let end = (at + 1 + random.below(16)).min(input.len());
    match random.below(8) {
        _ if input.is_empty() => input.push(random.next() as u8),
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.next() as u8,
        2 => input[at] = input[at].wrapping_add(random.below(9) as u8).wrapping_sub(4),
        3 => input.insert(at, random.next() as u8),
        4 => drop(input.drain(at..end)),
        5 => {
            let copy = input[at..end].to_vec();
            input.splice(at..at, copy);
        }
        6 => {
            let number = EVIL[random.below(EVIL.len())].to_le_bytes();
            let len = [1, 2, 4, 8][random.below(4)].min(input.len() - at);
            input[at..at + len].copy_from_slice(&number[..len]);
        }
        _ => {
            let other = &inputs[random.below(inputs.len())];
            let from = random.below(other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
