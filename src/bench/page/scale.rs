//! A scale: which number stands where on an axis, and the round numbers that are written there.

use crate::bench::page::units::Unit;

/// An axis' numbers, from the least to the most.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    /// In what they are counted.
    pub(super) unit: Unit,
    /// The number at the beginning.
    pub(super) least: f64,
    /// The number at the end; more than `least`.
    pub(super) most: f64,
    /// Whether equal steps are equal factors.
    pub(super) is_log: bool,
    /// The round numbers.
    pub(super) ticks: Vec<f64>,
}

/// Ticks that an axis wants.
const WANTED: f64 = 5.0;

/// From here on, the largest of some numbers hides the others on a linear scale.
const WIDE: f64 = 30.0;

impl Scale {
    /// From 0 to the first tick at or above `most`.
    pub(super) fn rounded(unit: Unit, most: f64) -> Scale {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = step(unit, most);
        let steps = (most / step - 1e-9).ceil().max(1.0);
        Scale::linear(unit, step, step * steps)
    }

    /// From 0 to `most` itself.
    pub(super) fn exact(unit: Unit, most: f64) -> Scale {
        let most = if most > 0.0 { most } else { 1.0 };
        Scale::linear(unit, step(unit, most), most)
    }

    fn linear(unit: Unit, step: f64, most: f64) -> Scale {
        let count = (most / step + 1e-9).floor() as u32;
        let ticks = (0..=count).map(|at| f64::from(at) * step).collect();
        Scale { unit, least: 0.0, most, is_log: false, ticks }
    }

    /// For numbers of all sizes: by factors if they lie far from each other, else from 0.
    pub(super) fn fitting(unit: Unit, numbers: impl Iterator<Item = f64> + Clone) -> Scale {
        let most = numbers.clone().fold(0.0, f64::max);
        let least = numbers.filter(|number| *number > 0.0).fold(f64::INFINITY, f64::min);
        match least.is_finite() && most / least > WIDE {
            true => Scale::log(unit, least, most),
            false => Scale::rounded(unit, most),
        }
    }

    fn log(unit: Unit, least: f64, most: f64) -> Scale {
        let (first, last) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        let every = ((f64::from(last - first)) / WANTED).ceil().max(1.0) as usize;
        let ticks = (first..=last).step_by(every).map(|power| 10f64.powi(power)).collect();
        Scale { unit, least: 10f64.powi(first), most: 10f64.powi(last), is_log: true, ticks }
    }

    /// Where a number stands, from 0 to 1.
    pub(super) fn place(&self, number: f64) -> f64 {
        let place = match self.is_log {
            true => (number.max(self.least) / self.least).ln() / (self.most / self.least).ln(),
            false => (number - self.least) / (self.most - self.least),
        };
        place.clamp(0.0, 1.0)
    }

    /// What the page's script needs to turn places into numbers again.
    pub(super) fn spec(&self) -> String {
        let kind = if self.is_log { "log" } else { "linear" };
        format!("{} {} {kind} {}", self.least, self.most, self.unit.name())
    }
}

/// 1, 2 or 5 of something, or half, a fifth or a tenth of it, so that about [`WANTED`] make `most`.
fn step(unit: Unit, most: f64) -> f64 {
    let base = unit.base();
    let prefix = if unit == Unit::Bytes { base.powf((most.ln() / base.ln()).floor().max(0.0)) } else { 1.0 };
    let rough = most / prefix / WANTED;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * (1.0 - 1e-9));
    let step = factor.unwrap_or(10.0) * power * prefix;
    // Half a byte or half a pair is none.
    if matches!(unit, Unit::Bytes | Unit::Count) { step.max(1.0) } else { step }
}

#[cfg(test)]
mod tests {
    use super::Scale;
    use crate::bench::page::units::Unit;

    fn labels(scale: &Scale) -> String {
        scale.ticks.iter().map(|tick| scale.unit.tick(*tick)).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn ticks_are_round() {
        let rounded = |unit, most| labels(&Scale::rounded(unit, most));
        assert_eq!(rounded(Unit::Times, 3.7), "0× | 1× | 2× | 3× | 4×");
        assert_eq!(rounded(Unit::Rate, 0.93e6), "0/s | 200 k/s | 400 k/s | 600 k/s | 800 k/s | 1 M/s");
        assert_eq!(rounded(Unit::Bytes, 300e6), "0 B | 100 MiB | 200 MiB | 300 MiB");
        assert_eq!(rounded(Unit::Bytes, 1.1 * 1024.0), "0 B | 512 B | 1 KiB | 1.5 KiB");
        assert_eq!(rounded(Unit::Count, 2.0), "0 | 1 | 2");
        assert_eq!(labels(&Scale::exact(Unit::Seconds, 1.23)), "0 s | 0.5 s | 1 s");
    }

    #[test]
    fn every_scale_has_room() {
        for most in [0.0, 1e-9, 0.3, 1.0, 7.0, 999.0, 1024.0, 1e6, 1.5e9, 1e15] {
            for unit in [Unit::Count, Unit::Rate, Unit::Micros, Unit::Seconds, Unit::Bytes, Unit::Times] {
                for scale in [Scale::rounded(unit, most), Scale::exact(unit, most)] {
                    assert!((1..=8).contains(&scale.ticks.len()), "{most} {scale:?}");
                    assert!(scale.most >= most && scale.most > scale.least, "{most} {scale:?}");
                    assert_eq!((scale.place(scale.least), scale.place(scale.most)), (0.0, 1.0));
                }
            }
        }
    }

    #[test]
    fn far_apart_numbers_stand_by_factors() {
        let scale = Scale::fitting(Unit::Micros, [2.0, 30_000.0, 0.0].into_iter());
        assert_eq!(labels(&scale), "1 µs | 10 µs | 100 µs | 1 ms | 10 ms | 100 ms");
        assert!((scale.place(1000.0) - 0.6).abs() < 1e-9 && scale.place(0.0) == 0.0);
        assert!(!Scale::fitting(Unit::Micros, [2.0, 30.0].into_iter()).is_log);
        assert!(!Scale::fitting(Unit::Micros, [].into_iter()).is_log);
    }
}
