//! Heads: thirty bits that stand for a key, and stand as the keys do.
//!
//! A link of the tree carries the head of the key it leads to, so that a search can tell from the link
//! alone whether to follow it. All that is asked of a head is that it is *monotone*: if one key is
//! not above another, its head is not above the other's. Then different heads have decided, and equal
//! ones say nothing.
//!
//! The first four bytes of a key would do, but keys of one store mostly begin alike (`user0000...`),
//! and use few different bytes. So a table looks at the keys it has, and then measures keys by what it
//! saw: it leaves out what all began with, and takes the bytes behind it as digits of a number, in a
//! base that has one digit for each byte that occurred. Of sixteen hex digits, the seven behind the
//! common ones fit.
//!
//! Why it is monotone (bytewise; the reverse order turns it round), for keys `a < b`:
//!
//! 1. A key below all that begin with the prefix has the least head, one above all the greatest.
//! 2. Else let `i` be where they first differ behind the prefix; the digits before are equal. If `a`
//!    ends there, the rest of its digits are 0: no number with these digits before is less.
//! 3. A byte's digit is how many of the bytes that occurred are not above it: monotone. If the digits
//!    of `a[i]` and `b[i]` differ, `a`'s is less. If they are equal, then `b[i]`, the larger one, is not
//!    one that occurred, and behind such a byte all digits are the greatest there is: `b` is not less.
//! 4. If a byte that did not occur came before `i`, both are filled up the same way, and are equal.

use std::fmt;

/// Bits of a head.
pub(super) const HEAD_BITS: u32 = 30;

/// The greatest head.
const MAX: u32 = (1 << HEAD_BITS) - 1;

/// How the keys of a table are measured.
pub(super) struct Heads {
    /// What all began with.
    prefix: Vec<u8>,
    /// For each byte: its digit, and whether it occurred.
    digits: [(u16, bool); 256],
    /// The powers of the base, from 1 up to that of all digits of a head together.
    powers: Vec<u64>,
    /// Bits that are more than a head has.
    shift: u32,
    is_reverse: bool,
}

impl Heads {
    /// Measures as fits these keys.
    pub(super) fn fit(keys: &[&[u8]], is_reverse: bool) -> Heads {
        let first = keys.first().copied().unwrap_or_default();
        let shared = |key: &[u8]| first.iter().zip(key).take_while(|(a, b)| a == b).count();
        let prefix = &first[..keys.iter().map(|key| shared(key)).min().unwrap_or(0)];
        let mut occurs = [false; 256];
        for &byte in keys.iter().flat_map(|key| &key[prefix.len()..]) {
            occurs[usize::from(byte)] = true;
        }
        let mut count = 0;
        let digits = occurs.map(|occurs| {
            count += u16::from(occurs);
            (count, occurs)
        });
        let mut powers = vec![1u64];
        while powers[powers.len() - 1] <= u64::from(MAX) {
            powers.push(powers[powers.len() - 1] * (u64::from(count) + 1).max(2));
        }
        let most = powers[powers.len() - 1] - 1;
        let shift = (u64::BITS - most.leading_zeros()).saturating_sub(HEAD_BITS);
        Heads { prefix: prefix.to_vec(), digits, powers, shift, is_reverse }
    }

    /// Whether it tells more keys apart than another that was made from keys of the same table.
    pub(super) fn is_wider_than(&self, other: &Heads) -> bool {
        let base = |heads: &Heads| heads.powers[1];
        self.prefix.len() < other.prefix.len() || base(self) > base(other)
    }

    /// The head of a key.
    #[inline]
    pub(super) fn of(&self, key: &[u8]) -> u32 {
        let head = match key.strip_prefix(&self.prefix[..]) {
            Some(rest) => (self.number(rest) >> self.shift) as u32,
            None if key < &self.prefix[..] => 0,
            None => MAX,
        };
        if self.is_reverse { MAX - head } else { head }
    }

    #[inline]
    fn number(&self, bytes: &[u8]) -> u64 {
        let base = self.powers[1];
        let mut number = 0;
        let mut left = self.powers.len() - 1;
        for &byte in bytes.iter().take(left) {
            let (digit, occurs) = self.digits[usize::from(byte)];
            number = number * base + u64::from(digit);
            left -= 1;
            if !occurs {
                return (number + 1) * self.powers[left] - 1;
            }
        }
        number * self.powers[left]
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.powers[1];
        f.debug_struct("Heads").field("prefix", &self.prefix).field("base", &base).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Heads;

    fn words(alphabet: &[u8], most: u32) -> Vec<Vec<u8>> {
        let all = (0..=most).flat_map(|len| {
            (0..alphabet.len().pow(len)).map(move |n| {
                (0..len).map(|i| alphabet[n / alphabet.len().pow(i) % alphabet.len()]).collect()
            })
        });
        all.collect()
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn heads_stand_as_the_keys_do() {
        let mut keys = words(&[0, 1, b'a', b'b', b'c', 0xfe, 0xff], 4);
        keys.sort();
        let samples: [&[&[u8]]; 6] =
            [&[], &[b""], &[b"ab", b"abc"], &[b"a", b"ca"], &[b"aa\x01", b"ab\x01"], &[b"\xff\xfe", b"\0"]];
        for sample in samples {
            let heads = Heads::fit(sample, false);
            let reverse = Heads::fit(sample, true);
            for pair in keys.windows(2) {
                assert!(heads.of(&pair[0]) <= heads.of(&pair[1]), "{sample:?}: {pair:?}");
                assert!(reverse.of(&pair[0]) >= reverse.of(&pair[1]), "{sample:?}: {pair:?}");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn heads_tell_keys_apart_where_they_differ() {
        let keys: Vec<_> = (0..500_000u64).map(|n| format!("user{:016x}", n * 2).into_bytes()).collect();
        let heads = Heads::fit(&keys.iter().step_by(1000).map(|key| &key[..]).collect::<Vec<_>>(), false);
        let distinct = keys.windows(2).filter(|pair| heads.of(&pair[0]) < heads.of(&pair[1])).count();
        assert!(distinct > 499_000, "{distinct}");
        let random = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let mut keys: Vec<_> = (1..10_000).map(random).collect();
        let heads = Heads::fit(&keys.iter().step_by(10).map(|key| &key[..]).collect::<Vec<_>>(), false);
        keys.sort();
        let distinct = keys.windows(2).filter(|pair| heads.of(&pair[0]) < heads.of(&pair[1])).count();
        assert!(distinct > 9_900, "{distinct}");
    }
}
