//! Chance that hangs on a seed alone: the same numbers on every machine and in every run.

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Numbers from a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    #[inline]
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `n`, all alike (but for a bias of `n / 2^64`). 0 if `n` is.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_number()) * u128::from(n)) >> 64) as u64
    }

    /// A number from 0 up to 1, without 1.
    #[inline]
    pub fn part(&mut self) -> f64 {
        (self.next_number() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Scatters the bits of a number, one to one.
#[inline]
pub fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

#[cfg(test)]
mod tests {
    use super::Dice;

    /// What the authors' own code prints for these seeds.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let first = |seed| {
            let mut dice = Dice::new(seed);
            [dice.next_number(), dice.next_number(), dice.next_number()]
        };
        assert_eq!(first(0), [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
        assert_eq!(first(1_234_567)[..2], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn a_number_is_below_its_limit() {
        let mut dice = Dice::new(7);
        let mut seen = [false; 6];
        (0..200).for_each(|_| seen[dice.below(6) as usize] = true);
        assert_eq!((seen, dice.below(0), dice.below(1)), ([true; 6], 0, 0));
        assert!((0..200).all(|_| (0.0..1.0).contains(&dice.part())));
    }
}
