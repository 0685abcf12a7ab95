//! Where the parts of a table begin and end, when neither is known.
//!
//! To try every length at every place costs the square of the bytes. But a CRC is linear (see
//! [`sums`](crate::record::sums), whose `P` and `shift` these are): with `s(a)` what the checksum of a part
//! that begins at `a` is begun with, the four bytes at `b` are that part's checksum if
//!
//! ```text
//! shift(s(a) ^ P(a), b - a) ^ P(b)  =  stored(b)
//! ```
//!
//! To shift by `n` bytes is to multiply by `x^(8n)`, and that has an inverse. Multiplied by `x^(-8b)`:
//!
//! ```text
//! (s(a) ^ P(a)) * x^(-8a)  =  (stored(b) ^ P(b)) * x^(-8b)
//! ```
//!
//! The left side hangs on `a` alone and the right side on `b` alone. So one pass keeps the right side of every
//! end, in order, and each beginning looks up its own. In 16 MiB of noise some four hundred pairs fit by chance:
//! whoever asks looks at what stands there.

use crate::engine::lsm::table::format::TRAILER_LEN;
use crate::record::sums::{ONE, back, times};

/// Bytes of a table, and every place in them at which a part may end. Takes eight bytes of memory for each of
/// those, beside the bytes themselves.
#[derive(Debug)]
pub(super) struct Stretch {
    bytes: Vec<u8>,
    /// Where a checksum may stand, behind what must stand on the right side: in order.
    ends: Vec<(u32, u32)>,
    /// Where those begin in `ends` whose right side begins with these sixteen bits: nearly all beginnings see
    /// here, or one look further, that they have none.
    by_bits: Vec<u32>,
    at: usize,
    place: Place,
}

/// One place: `P` and `x^(-8n)`, where `n` bytes stand before it.
#[derive(Clone, Copy, Debug)]
struct Place {
    sum: u32,
    power: u32,
}

impl Place {
    const BEGIN: Place = Place { sum: 0, power: ONE };

    fn behind(self, byte: u8) -> Place {
        Place { sum: crc32c::crc32c_append(self.sum, &[byte]), power: back(self.power) }
    }

    /// One side of the equation: of a beginning, or of an end.
    fn side(self, sum: u32) -> u32 {
        times(self.power, self.sum ^ sum)
    }
}

impl Stretch {
    /// Looks through less than 4 GiB, once: some 20 ns a byte.
    pub(super) fn new(bytes: Vec<u8>) -> Stretch {
        let (mut ends, mut place) = (Vec::new(), Place::BEGIN);
        for (i, window) in bytes.windows(TRAILER_LEN).enumerate() {
            place = place.behind(window[0]);
            // Behind a byte that says how the part is compressed; and not in a run of one byte, which no
            // checksum is that anybody will see.
            if let [how @ 0..=2, stored @ ..] = window
                && let Some(stored) = stored.first_chunk()
                && stored != &[*how; 4]
            {
                ends.push((place.side(u32::from_le_bytes(*stored)), i as u32 + 1));
            }
        }
        ends.sort_unstable();
        let first_of = |bits: u32| ends.partition_point(|(side, _)| side >> 16 < bits) as u32;
        let by_bits = (0..=1 << 16).map(first_of).collect();
        Stretch { bytes, ends, by_bits, at: 0, place: Place::BEGIN }
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What has the right checksum, trailer included, and begins at `at`, which never goes back; the shortest
    /// first. `seed` is what the checksum is begun with.
    pub(super) fn parts(&mut self, at: usize, seed: u32) -> impl Iterator<Item = &[u8]> {
        for byte in &self.bytes[self.at..at] {
            self.place = self.place.behind(*byte);
        }
        self.at = at;
        let side = self.place.side(seed);
        let bits = (side >> 16) as usize;
        let ends = &self.ends[self.by_bits[bits] as usize..self.by_bits[bits + 1] as usize];
        let ends = ends.iter().filter(move |end| end.0 == side && end.1 as usize > at);
        let bytes = &self.bytes[at..];
        ends.map(move |end| &bytes[..end.1 as usize + 4 - at])
    }
}

#[cfg(test)]
mod tests {
    use super::Stretch;

    /// Parts of some lengths between noise and runs; their checksums are begun with where they begin.
    #[test]
    fn every_part_is_found_and_hardly_anything_else() {
        let mut noise = 7u64;
        let mut noise = move || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        };
        let seed = |at: usize| crc32c::crc32c(&at.to_le_bytes());
        let (mut bytes, mut parts) = (Vec::new(), Vec::new());
        for (gap, len) in [(0, 1), (0, 40), (5000, 3), (1, 9000), (0, 1), (3, 700)] {
            bytes.extend((0..gap).map(|_| noise()));
            let at = bytes.len();
            bytes.extend((1..len).map(|_| noise()));
            bytes.push((len % 3) as u8);
            let sum = crc32c::crc32c_append(seed(at), &bytes[at..]);
            bytes.extend_from_slice(&sum.to_le_bytes());
            parts.push((at, bytes.len() - at));
            bytes.extend_from_slice(&[0; 30]);
        }
        let mut stretch = Stretch::new(bytes.clone());
        let mut found = Vec::new();
        for at in 0..bytes.len() {
            for part in stretch.parts(at, seed(at)) {
                assert_eq!(part, &bytes[at..at + part.len()]);
                found.push((at, part.len()));
            }
        }
        assert_eq!(found, parts);
        assert_eq!(Stretch::new(vec![1; 50]).ends, [], "a run has no end");
    }
}
