//! Which key is next: how calls are spread over the keys.
//!
//! The zipfian distribution is computed as in Gray et al., "Quickly generating billion-record synthetic
//! databases" (1994), with YCSB's constant 0.99. Its popular keys are scattered over the whole range, as
//! YCSB does: else they would be neighbours, and share blocks.

use crate::bench::keys::Shuffle;
use crate::dice::Dice;
use std::fmt;
use std::str::FromStr;

/// YCSB's constant.
const ZIPFIAN: f64 = 0.99;

/// How calls are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Every key alike.
    Uniform,
    /// A few keys often, most seldom; the constant is between 0 (uniform) and 1.
    Zipfian(f64),
    /// As zipfian, but the newest keys are the popular ones.
    Latest(f64),
    /// One after the other, from the first again after the last.
    Sequential,
    /// So large a part of the keys gets so large a part of the calls.
    Hot {
        /// The part of the keys.
        keys: f64,
        /// The part of the calls.
        calls: f64,
    },
}

impl FromStr for Distribution {
    type Err = String;

    /// `uniform`, `zipfian[:0.99]`, `latest[:0.99]`, `sequential`, `hot[:0.01:0.99]`.
    fn from_str(text: &str) -> Result<Distribution, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let mut number = |usual: f64| match parts.next() {
            None => Ok(usual),
            Some(part) => match part.parse() {
                Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
                _ => Err(format!("{text}: {part} is no number from 0 to 1")),
            },
        };
        let distribution = match name {
            "uniform" => Distribution::Uniform,
            "zipfian" => Distribution::Zipfian(number(ZIPFIAN)?),
            "latest" => Distribution::Latest(number(ZIPFIAN)?),
            "sequential" => Distribution::Sequential,
            "hot" => Distribution::Hot { keys: number(0.01)?, calls: number(0.99)? },
            _ => return Err(format!("{text}: one of uniform, zipfian, latest, sequential, hot")),
        };
        match (distribution, parts.next()) {
            (Distribution::Zipfian(1.0) | Distribution::Latest(1.0), _) => {
                Err(format!("{text}: the constant is below 1"))
            }
            (_, Some(rest)) => Err(format!("{text}: '{rest}' is too much")),
            (distribution, None) => Ok(distribution),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distribution::Uniform => f.write_str("uniform"),
            Distribution::Zipfian(constant) => write!(f, "zipfian:{constant}"),
            Distribution::Latest(constant) => write!(f, "latest:{constant}"),
            Distribution::Sequential => f.write_str("sequential"),
            Distribution::Hot { keys, calls } => write!(f, "hot:{keys}:{calls}"),
        }
    }
}

/// Draws keys.
#[derive(Clone, Debug)]
pub struct Chooser {
    distribution: Distribution,
    zipf: Option<Zipf>,
    /// Scatters popular keys over all.
    shuffle: Shuffle,
    next: u64,
}

impl Chooser {
    /// Draws from `count` keys, of which there may come to be more.
    pub fn new(distribution: Distribution, count: u64, seed: u64) -> Chooser {
        let zipf = match distribution {
            Distribution::Zipfian(constant) | Distribution::Latest(constant) => {
                Some(Zipf::new(count.max(1), constant))
            }
            _ => None,
        };
        Chooser { distribution, zipf, shuffle: Shuffle::new(count.max(1), seed), next: 0 }
    }

    /// The number of a key, of `count` that there are now: as many as there were, or more.
    #[inline]
    pub fn choose(&mut self, dice: &mut Dice, count: u64) -> u64 {
        let count = count.max(1);
        match self.distribution {
            Distribution::Uniform => dice.below(count),
            Distribution::Sequential => {
                let at = self.next % count;
                self.next = at + 1;
                at
            }
            Distribution::Hot { keys, calls } => {
                let hot = ((count as f64 * keys) as u64).clamp(1, count);
                match dice.part() < calls {
                    true => dice.below(hot),
                    false => dice.below(count),
                }
            }
            Distribution::Zipfian(_) => {
                let rank = self.zipf.as_mut().map_or(0, |zipf| zipf.rank(dice));
                self.shuffle.at(rank)
            }
            Distribution::Latest(_) => {
                let zipf = self.zipf.as_mut().map_or(0, |zipf| {
                    zipf.grow(count);
                    zipf.rank(dice)
                });
                count - 1 - zipf.min(count - 1)
            }
        }
    }
}

/// Ranks from 0 on, of which each is drawn `1 / (rank + 1)^constant` times as often as the first.
#[derive(Clone, Debug)]
struct Zipf {
    count: u64,
    constant: f64,
    /// The sum of all weights.
    zeta: f64,
    zeta2: f64,
}

impl Zipf {
    fn new(count: u64, constant: f64) -> Zipf {
        let zeta2 = 1.0 + 0.5f64.powf(constant);
        let mut zipf = Zipf { count: 0, constant, zeta: 0.0, zeta2 };
        zipf.grow(count);
        zipf
    }

    /// Draws from more ranks from now on. Costs as much as there are new ones.
    fn grow(&mut self, count: u64) {
        for rank in self.count + 1..=count {
            self.zeta += 1.0 / (rank as f64).powf(self.constant);
        }
        self.count = self.count.max(count);
    }

    fn rank(&mut self, dice: &mut Dice) -> u64 {
        let drawn = dice.part();
        let at = drawn * self.zeta;
        if at < 1.0 || self.count == 1 {
            return 0;
        }
        if at < self.zeta2 {
            return 1;
        }
        let n = self.count as f64;
        let alpha = 1.0 / (1.0 - self.constant);
        let eta = (1.0 - (2.0 / n).powf(1.0 - self.constant)) / (1.0 - self.zeta2 / self.zeta);
        let rank = (n * (eta * drawn - eta + 1.0).powf(alpha)) as u64;
        rank.min(self.count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chooser, Dice, Distribution};

    fn counts(text: &str, count: u64, draws: u64) -> Vec<u64> {
        let mut chooser = Chooser::new(text.parse().unwrap(), count, 1);
        let mut dice = Dice::new(2);
        let mut counts = vec![0; count as usize];
        (0..draws).for_each(|_| counts[chooser.choose(&mut dice, count) as usize] += 1);
        counts
    }

    #[test]
    fn a_zipfian_rank_is_drawn_as_often_as_its_weight_says() {
        let mut counts = counts("zipfian", 1000, 1_000_000);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let zeta: f64 = (1..=1000).map(|rank| 1.0 / f64::from(rank).powf(0.99)).sum();
        for rank in [1, 2, 10, 100] {
            let expected = 1e6 / zeta / f64::from(rank).powf(0.99);
            let drawn = counts[rank as usize - 1] as f64;
            assert!((drawn / expected - 1.0).abs() < 0.15, "rank {rank}: {drawn} times, not {expected}");
        }
    }

    #[test]
    fn the_popular_keys_are_scattered_or_the_newest() {
        let scattered = counts("zipfian", 1000, 100_000);
        let popular: Vec<usize> = (0..1000).filter(|&key| scattered[key] > 1000).collect();
        assert!(popular.len() > 4 && popular.windows(2).any(|pair| pair[1] - pair[0] > 50), "{popular:?}");
        let latest = counts("latest", 1000, 100_000);
        assert!(latest[999] > latest[990] && latest[990] > latest[100]);
    }

    #[test]
    fn newer_keys_are_drawn_when_they_come() {
        let mut chooser = Chooser::new(Distribution::Latest(0.99), 10, 1);
        let mut dice = Dice::new(1);
        let drawn: Vec<u64> = (0..1000).map(|n| chooser.choose(&mut dice, 10 + n)).collect();
        assert!(drawn.iter().zip(10..).all(|(&key, count)| key < count));
        assert!(drawn.iter().zip(10..).filter(|&(&key, count)| key + 1 == count).count() > 100);
    }

    #[test]
    fn uniform_sequential_and_hot() {
        assert!(counts("uniform", 100, 100_000).iter().all(|count| (800..1200).contains(count)));
        assert_eq!(counts("sequential", 10, 30), [3; 10]);
        let hot = counts("hot:0.1:0.9", 100, 100_000);
        let part = hot[..10].iter().sum::<u64>();
        assert!((90_000..92_500).contains(&part), "{part}");
    }

    #[test]
    fn words_are_read() {
        for text in ["uniform", "zipfian:0.5", "latest:0.99", "sequential", "hot:0.01:0.99"] {
            assert_eq!(text.parse::<Distribution>().unwrap().to_string(), text);
        }
        for text in ["", "zipf", "zipfian:1", "zipfian:x", "hot:2", "uniform:1", "hot:0.1:0.2:0.3"] {
            assert!(text.parse::<Distribution>().is_err(), "{text}");
        }
    }
}
