//! Numbers as people read them: three digits, and a prefix.

use crate::bench::compare::Figure;

/// In what something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things.
    Count,
    /// Things a second.
    Rate,
    /// Microseconds.
    Micros,
    /// Seconds since a beginning.
    Seconds,
    /// Bytes.
    Bytes,
    /// So many times.
    Times,
}

impl Unit {
    /// In what a figure is counted.
    pub(super) fn of(figure: Figure) -> Unit {
        match figure {
            Figure::Throughput => Unit::Rate,
            Figure::P99 | Figure::Cpu => Unit::Micros,
            Figure::WriteAmplification | Figure::ReadAmplification | Figure::SpaceAmplification => {
                Unit::Times
            }
            Figure::Memory => Unit::Bytes,
        }
    }

    /// What the page's script calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Rate => "rate",
            Unit::Micros => "micros",
            Unit::Seconds => "seconds",
            Unit::Bytes => "bytes",
            Unit::Times => "times",
        }
    }

    /// How many of the next smaller prefix make one.
    pub(super) fn base(self) -> f64 {
        if self == Unit::Bytes { 1024.0 } else { 1000.0 }
    }

    /// The number with its unit, in three digits: `1.20 M/s`, `64.0 MiB`.
    pub(super) fn tell(self, number: f64) -> String {
        self.with(number, digits)
    }

    /// The same without zeros behind the point, for an axis: `1.2 M/s`, `64 MiB`.
    pub(super) fn tick(self, number: f64) -> String {
        self.with(number, |number| {
            let text = digits(number);
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
                false => text,
            }
        })
    }

    fn with(self, number: f64, digits: impl Fn(f64) -> String) -> String {
        if !number.is_finite() {
            return "–".to_string();
        }
        let (first, prefixes): (f64, &[&str]) = match self {
            Unit::Count => (1.0, &["", " k", " M", " G"]),
            Unit::Rate => (1.0, &["/s", " k/s", " M/s", " G/s"]),
            Unit::Micros => (1e-3, &[" ns", " µs", " ms", " s"]),
            Unit::Seconds => (1.0, &[" s"]),
            Unit::Bytes => (1.0, &[" B", " KiB", " MiB", " GiB", " TiB"]),
            Unit::Times => (1.0, &["×"]),
        };
        let mut scaled = number / first;
        let mut at = 0;
        // What three digits round up to the next prefix is told with that.
        while scaled.abs() >= self.base() - 0.5 && at + 1 < prefixes.len() {
            scaled /= self.base();
            at += 1;
        }
        let whole = at == 0 && scaled.fract() == 0.0 && (self != Unit::Times || scaled == 0.0);
        let text = if whole { format!("{scaled:.0}") } else { digits(scaled) };
        format!("{text}{}", prefixes[at])
    }
}

/// Three digits, or more where there are more before the point.
fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.0995 || size == 0.0 => 2,
        size if size >= 0.00995 => 3,
        _ => 4,
    };
    format!("{number:.decimals$}")
}

/// A name that a file may have: small letters, digits and hyphens.
pub(super) fn slug(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = name.chars().map(letter).take(60).collect();
    slug.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// At most so many letters: of a longer text the beginning and the end.
pub(super) fn shortened(text: &str, letters: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= letters {
        return text.to_string();
    }
    let head = letters / 2;
    let tail = letters.saturating_sub(head + 1);
    let (head, tail) = (&all[..head], &all[all.len() - tail..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// Text in which every character may stand in a page: XML has no place for control characters, however
/// they are written.
pub(super) fn printable(text: String) -> String {
    let is_bad = |c: char| c.is_control() && !"\t\n".contains(c) || matches!(c, '\u{fffe}' | '\u{ffff}');
    match text.contains(is_bad) {
        true => text.replace(is_bad, "\u{fffd}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Unit, printable, shortened, slug};

    #[test]
    fn numbers_are_readable() {
        let told = [
            (Unit::Rate, 1_200_000.0, "1.20 M/s", "1.2 M/s"),
            (Unit::Rate, 999.6, "1.00 k/s", "1 k/s"),
            (Unit::Count, 0.0, "0", "0"),
            (Unit::Count, 3000.0, "3.00 k", "3 k"),
            (Unit::Count, 2e13, "20000 G", "20000 G"),
            (Unit::Bytes, 67_108_864.0, "64.0 MiB", "64 MiB"),
            (Unit::Bytes, 1023.0, "1023 B", "1023 B"),
            (Unit::Bytes, 100.25, "100 B", "100 B"),
            (Unit::Micros, 0.25, "250 ns", "250 ns"),
            (Unit::Micros, 12.34, "12.3 µs", "12.3 µs"),
            (Unit::Micros, 1_500_000.0, "1.50 s", "1.5 s"),
            (Unit::Seconds, 120.0, "120 s", "120 s"),
            (Unit::Times, 3.0, "3.00×", "3×"),
            (Unit::Times, 0.0, "0×", "0×"),
            (Unit::Times, 0.0163, "0.016×", "0.016×"),
            (Unit::Times, f64::NAN, "–", "–"),
        ];
        for (unit, number, table, axis) in told {
            assert_eq!((unit.tell(number), unit.tick(number)), (table.into(), axis.into()), "{number}");
        }
    }

    #[test]
    fn names_become_names_of_files() {
        assert_eq!(slug("ycsb-a"), "ycsb-a");
        assert_eq!(slug("../../<Etc>/pass wd"), "etc-pass-wd");
        assert_eq!(slug("💥"), "");
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("bitcask", 7), "bitcask");
        assert_eq!(shortened("lsm:compression=lz4", 9), "lsm:…=lz4");
        assert_eq!(shortened("äöüäöü", 3), "ä…ü");
    }

    #[test]
    fn control_characters_are_not_passed_on() {
        assert_eq!(printable("a\0b\u{1b}[1m\n\u{ffff}".into()), "a\u{fffd}b\u{fffd}[1m\n\u{fffd}");
    }
}
