//! Which bytes key and value number so-and-so are: the same on every run, and known without a table, so
//! that every answer of a store can be held against them.
//!
//! ```text
//! key   := digits:16 filler           16 hex digits of 2 * number; of a key that is not there, 2 * number + 1
//! value := tag:8 version:4 filler     cut off where the value is shorter
//! ```
//!
//! Keys in the order of their numbers are in the order of their bytes, and between any two is one that is
//! never there. Fillers come from a pool that LZ4 brings to about half, as those of `db_bench` do.

use crate::bench::error::{Error, Result};
use crate::dice::{Dice, mix};
use std::fmt;
use std::str::FromStr;

/// Digits that name a key.
const DIGITS: usize = 16;

/// Bytes of a value that say whose it is.
const TAG: usize = 8;

/// Bytes of a value before its filler.
const HEAD: usize = 12;

/// Bytes that fillers come from.
const POOL: usize = 1 << 20;

/// Sizes in bytes: all alike, or drawn between two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The least.
    pub least: usize,
    /// The most.
    pub most: usize,
}

impl Sizes {
    /// All alike.
    pub fn fixed(bytes: usize) -> Sizes {
        Sizes { least: bytes, most: bytes }
    }

    /// The sizes so far, if there were any, and this one.
    pub fn with(sizes: Option<Sizes>, bytes: usize) -> Sizes {
        let Sizes { least, most } = sizes.unwrap_or(Sizes::fixed(bytes));
        Sizes { least: least.min(bytes), most: most.max(bytes) }
    }

    /// The size that goes with a scattered number.
    #[inline]
    fn at(self, scattered: u64) -> usize {
        match self.most - self.least {
            0 => self.least,
            spread => self.least + (scattered % (spread as u64 + 1)) as usize,
        }
    }

    /// The size in the middle.
    pub fn mean(self) -> f64 {
        (self.least + self.most) as f64 / 2.0
    }
}

impl FromStr for Sizes {
    type Err = String;

    /// `100`, or `10..1000` for sizes from 10 to 1000.
    fn from_str(text: &str) -> std::result::Result<Sizes, String> {
        let read = |text: &str| {
            let bytes = crate::engine::options::parse_bytes(text.trim()).map_err(|e| e.to_string())?;
            usize::try_from(bytes).map_err(|e| e.to_string())
        };
        let sizes = match text.split_once("..") {
            Some((least, most)) => Sizes { least: read(least)?, most: read(most)? },
            None => Sizes::fixed(read(text)?),
        };
        match sizes.least <= sizes.most {
            true => Ok(sizes),
            false => Err(format!("{text}: the second size is below the first")),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least == self.most {
            true => write!(f, "{}", self.least),
            false => write!(f, "{}..{}", self.least, self.most),
        }
    }
}

/// An order of the numbers below `count` that looks like chance, goes through each once, and is known
/// without a table: four rounds of a Feistel network on the next power of four, walked on where it leads
/// out.
#[derive(Clone, Debug)]
pub struct Shuffle {
    count: u64,
    half_bits: u32,
    seed: u64,
}

impl Shuffle {
    /// An order of `count` numbers.
    pub fn new(count: u64, seed: u64) -> Shuffle {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Shuffle { count, half_bits: bits.div_ceil(2).max(1), seed }
    }

    /// The number at a place below the count.
    #[inline]
    pub fn at(&self, place: u64) -> u64 {
        debug_assert!(place < self.count);
        let mut n = place;
        loop {
            n = self.round_trip(n);
            if n < self.count {
                return n;
            }
        }
    }

    #[inline]
    fn round_trip(&self, n: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (n >> self.half_bits, n & mask);
        for round in 0..4 {
            let scattered = mix(right ^ self.seed.wrapping_add(round << 56));
            (left, right) = (right, (left ^ scattered) & mask);
        }
        left << self.half_bits | right
    }
}

/// All keys and values of a run.
#[derive(Clone, Debug)]
pub struct Data {
    key: Sizes,
    value: Sizes,
    seed: u64,
    pool: Vec<u8>,
}

impl Data {
    /// Keys and values of these sizes. Keys have at least 16 bytes.
    pub fn new(key: Sizes, value: Sizes, seed: u64) -> Result<Data> {
        if key.least < DIGITS {
            return Err(Error::plan(format!("keys of {key} bytes: they have at least {DIGITS}")));
        }
        if key.most > crate::engine::batch::MAX_KEY_LEN {
            let most = crate::engine::batch::MAX_KEY_LEN;
            return Err(Error::plan(format!("keys of {key} bytes: they have at most {most}")));
        }
        if value.most > 64 << 20 {
            return Err(Error::plan(format!("values of {value} bytes: at most 64MiB")));
        }
        Ok(Data { key, value, seed, pool: pool(seed, value.most) })
    }

    /// Bytes of a key and its value, on average.
    pub fn pair_bytes(&self) -> f64 {
        self.key.mean() + self.value.mean()
    }

    /// The sizes of keys.
    pub fn key_sizes(&self) -> Sizes {
        self.key
    }

    /// The sizes of values.
    pub fn value_sizes(&self) -> Sizes {
        self.value
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The key with a number.
    #[inline]
    pub fn key(&self, number: u64, into: &mut Vec<u8>) {
        self.key_of_digits(number * 2, into);
    }

    /// A key that is never written, between two that are.
    #[inline]
    pub fn missing_key(&self, number: u64, into: &mut Vec<u8>) {
        self.key_of_digits(number * 2 + 1, into);
    }

    #[inline]
    fn key_of_digits(&self, mut digits: u64, into: &mut Vec<u8>) {
        let len = self.key.at(mix(digits ^ self.seed));
        into.clear();
        into.resize(len, b'.');
        for at in (0..DIGITS).rev() {
            into[at] = b"0123456789abcdef"[(digits & 0xf) as usize];
            digits >>= 4;
        }
    }

    /// The number of a key, if it is one of these; not of one that is never there.
    #[inline]
    pub fn number(&self, key: &[u8]) -> Option<u64> {
        let digits = key.get(..DIGITS)?;
        let mut n = 0u64;
        for &digit in digits {
            n = n << 4 | u64::from((digit as char).to_digit(16)?);
        }
        let is_whole = key[DIGITS..].iter().all(|&byte| byte == b'.') && key.len() == self.key_len(n);
        (n.is_multiple_of(2) && is_whole).then_some(n / 2)
    }

    #[inline]
    fn key_len(&self, digits: u64) -> usize {
        self.key.at(mix(digits ^ self.seed))
    }

    /// Where the value of a key and a version begins in the pool, and how long it is.
    #[inline]
    fn place(&self, number: u64, version: u32) -> (usize, usize) {
        let scattered = mix(number ^ u64::from(version) << 40 ^ self.seed);
        let len = self.value.at(scattered);
        let room = self.pool.len() - len.saturating_sub(HEAD);
        ((scattered >> 20) as usize % room, len)
    }

    #[inline]
    fn head(&self, number: u64, version: u32) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..TAG].copy_from_slice(&mix(number ^ self.seed).to_le_bytes());
        head[TAG..].copy_from_slice(&version.to_le_bytes());
        head
    }

    /// The value of a key at a version.
    #[inline]
    pub fn value(&self, number: u64, version: u32, into: &mut Vec<u8>) {
        let (place, len) = self.place(number, version);
        into.clear();
        into.extend_from_slice(&self.head(number, version)[..len.min(HEAD)]);
        into.extend_from_slice(&self.pool[place..place + len.saturating_sub(HEAD)]);
    }

    /// Bytes that go with a scattered number, at most as many as the longest value has.
    pub fn filler(&self, scattered: u64, len: usize, into: &mut Vec<u8>) {
        let head = scattered.to_le_bytes();
        let at = (scattered >> 20) as usize % POOL;
        into.clear();
        into.extend_from_slice(&head[..len.min(head.len())]);
        into.extend_from_slice(&self.pool[at..at + len.saturating_sub(head.len())]);
    }

    /// Bytes of a value.
    #[inline]
    pub fn value_len(&self, number: u64, version: u32) -> usize {
        self.place(number, version).1
    }

    /// The version that a value of a key has; `Err`: it is no value of this key. Where values are too
    /// short to say their version, it is that of `expected`.
    #[inline]
    pub fn version(&self, number: u64, expected: u32, value: &[u8]) -> std::result::Result<u32, String> {
        let version = match value.get(TAG..HEAD) {
            Some(bytes) => u32::from_le_bytes(bytes.try_into().map_err(|_| "cut")?),
            None => expected,
        };
        let (place, len) = self.place(number, version);
        let head = self.head(number, version);
        let is_right = value.len() == len
            && value[..len.min(HEAD)] == head[..len.min(HEAD)]
            && value.get(HEAD..).is_none_or(|filler| filler == &self.pool[place..place + filler.len()]);
        match is_right {
            true => Ok(version),
            false => Err(format!("{} bytes came back that are no value of this key", value.len())),
        }
    }

    /// Whether a value that is too short to say its version may be one of this key, of whichever version.
    pub fn may_be_of(&self, number: u64, value: &[u8]) -> bool {
        let tag = value.len().min(TAG);
        (self.value.least..=self.value.most.min(HEAD - 1)).contains(&value.len())
            && value[..tag] == self.head(number, 0)[..tag]
    }
}

/// Bytes that LZ4 brings to about half: pieces of chance, each followed by itself.
fn pool(seed: u64, longest: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed ^ 0x706f_6f6c);
    let mut pool = Vec::with_capacity(POOL + longest);
    while pool.len() < POOL + longest {
        let piece: [u8; 48] = std::array::from_fn(|_| b' ' + dice.below(95) as u8);
        pool.extend_from_slice(&piece);
        pool.extend_from_slice(&piece);
    }
    pool
}

#[cfg(test)]
mod tests {
    use super::{Data, Shuffle, Sizes};
    use crate::dice::Dice;

    fn data(key: &str, value: &str) -> Data {
        Data::new(key.parse().unwrap(), value.parse().unwrap(), 7).unwrap()
    }

    #[test]
    fn keys_are_in_order_and_know_their_numbers() {
        for sizes in ["16", "24", "16..40"] {
            let data = data(sizes, "100");
            let (mut last, mut key) = (Vec::new(), Vec::new());
            for n in [0, 1, 2, 300, 1 << 20, 1 << 40] {
                data.key(n, &mut key);
                assert!(key > last && data.number(&key) == Some(n), "{sizes}");
                data.missing_key(n, &mut last);
                assert!(last > key && data.number(&last).is_none(), "{sizes}");
            }
            assert_eq!(data.number(b"what is not a key of it"), None);
        }
    }

    #[test]
    fn values_are_told_apart() {
        for sizes in ["0", "1", "8", "11", "12", "100", "1..300", "100000"] {
            let data = data("16", sizes);
            let mut value = Vec::new();
            for (n, version) in [(0, 0), (0, 1), (1, 0), (99, 7)] {
                data.value(n, version, &mut value);
                assert_eq!(data.version(n, version, &value), Ok(version), "{sizes}");
                value.push(b'x');
                assert!(data.version(n, version, &value).is_err(), "{sizes}");
            }
        }
        let data = data("16", "100");
        let mut value = Vec::new();
        data.value(1, 0, &mut value);
        assert!(data.version(2, 0, &value).is_err());
        value[50] ^= 1;
        assert!(data.version(1, 0, &value).is_err());
        assert!(Data::new(Sizes::fixed(8), Sizes::fixed(1), 0).is_err());
        assert!("100..10".parse::<Sizes>().is_err());
        assert_eq!("1KiB..2KiB".parse::<Sizes>().unwrap().to_string(), "1024..2048");
    }

    #[test]
    fn values_can_be_compressed_to_about_half() {
        let data = data("16", "4000");
        let mut value = Vec::new();
        data.value(3, 1, &mut value);
        let part = lz4_flex::block::compress(&value).len() as f64 / value.len() as f64;
        assert!((0.4..0.65).contains(&part), "{part}");
    }

    #[test]
    fn a_shuffle_goes_through_all() {
        for count in [1, 2, 3, 5, 16, 17, 1000, 4096, 5000] {
            let shuffle = Shuffle::new(count, 3);
            let mut seen: Vec<u64> = (0..count).map(|place| shuffle.at(place)).collect();
            let in_place = (0..count).filter(|place| seen[*place as usize] == *place).count();
            assert!(count < 1000 || in_place < 20, "{in_place} of {count} are in their place");
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..count));
        }
    }

    #[test]
    fn dice_are_fair_and_the_same_everywhere() {
        let mut dice = Dice::new(0);
        assert_eq!(dice.next_number(), 0xe220_a839_7b1d_cdaf, "as published");
        let mut counts = [0; 10];
        (0..100_000).for_each(|_| counts[dice.below(10) as usize] += 1);
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
        assert!((0..1000).all(|_| (0.0..1.0).contains(&dice.part())));
    }
}
