//! The drawing of a file: one bar from its first byte to its last, and a box for each of its regions.

use crate::error::Result;
use crate::inspect::state::State;
use crate::inspect::tally::Sort;
use crate::inspect::text::{Text, percent};

/// Characters of the bar.
const WIDTH: usize = 96;

/// Characters of a box's text.
const BOX: usize = 62;

/// So many regions are drawn; of more, the rest is counted.
const DRAWN: usize = 40;

/// The sorts, as they are drawn.
const SORTS: [(Sort, char, &str); 11] = [
    (Sort::Fixed, '▪', "header"),
    (Sort::Index, 'i', "index"),
    (Sort::Filter, 'f', "filter"),
    (Sort::Footer, '▪', "footer"),
    (Sort::Record(State::Live), '█', "live"),
    (Sort::Record(State::Dead), '░', "dead"),
    (Sort::Record(State::Tombstone), '▒', "tombstone"),
    (Sort::Record(State::Other), '=', "record"),
    (Sort::Record(State::Unknown), '?', "unknown"),
    (Sort::Zeros, '·', "zeros"),
    (Sort::Damaged, '×', "damaged"),
];

/// How much of each sort stands where.
#[derive(Debug)]
pub(super) struct Bar {
    len: u64,
    cells: Vec<[u64; SORTS.len()]>,
}

impl Bar {
    /// The bar of a file of `len` bytes.
    pub(super) fn new(len: u64) -> Bar {
        Bar { len, cells: vec![[0; SORTS.len()]; WIDTH] }
    }

    /// The bytes from `from` up to `to` are of this sort.
    pub(super) fn add(&mut self, from: u64, to: u64, sort: Sort) {
        let Some(index) = SORTS.iter().position(|(known, ..)| *known == sort) else { return };
        if from >= to {
            return;
        }
        let (scale, len) = (WIDTH as u128, u128::from(self.len.max(1)));
        // In units of 1/WIDTH of a byte, so that small files fill several cells a byte.
        let (from, to) = (u128::from(from) * scale, u128::from(to) * scale);
        let first = (from / len) as usize;
        for cell in first..WIDTH {
            let (start, end) = (cell as u128 * len, (cell as u128 + 1) * len);
            if start >= to {
                break;
            }
            self.cells[cell][index] += (to.min(end) - from.max(start)) as u64;
        }
    }

    fn total(&self, index: usize) -> u64 {
        (self.cells.iter().map(|cell| u128::from(cell[index])).sum::<u128>() / WIDTH as u128) as u64
    }

    /// Draws it, with what its characters mean and how large each share is.
    pub(super) fn draw(&self, text: &mut Text<'_>) -> Result<()> {
        let frame = "─".repeat(WIDTH);
        let cell = |cell: &[u64; SORTS.len()]| {
            let most = (0..SORTS.len()).filter(|&i| cell[i] > 0).max_by_key(|&i| cell[i]);
            most.map_or(' ', |i| SORTS[i].1)
        };
        text.line(format_args!("┌{frame}┐"))?;
        text.line(format_args!("│{}│", self.cells.iter().map(cell).collect::<String>()))?;
        text.line(format_args!("└{frame}┘"))?;
        for (index, (_, character, name)) in SORTS.iter().enumerate() {
            let bytes = self.total(index);
            if bytes > 0 {
                let share = percent(bytes, self.len);
                text.line(format_args!("  {character} {name:10} {bytes:>12} bytes  {share:>8}"))?;
            }
        }
        Ok(())
    }
}

/// Draws boxes, one below the other: where each region begins, what it is, how many bytes it has.
pub(super) fn boxes(text: &mut Text<'_>, regions: &[(u64, u64, String)]) -> Result<()> {
    let frame = "─".repeat(BOX + 2);
    for (i, (from, to, what)) in regions.iter().take(DRAWN).enumerate() {
        let (left, right) = if i == 0 { ("┌", "┐") } else { ("├", "┤") };
        text.line(format_args!("{from:>10} {left}{frame}{right}"))?;
        for (row, part) in wrap(what).into_iter().enumerate() {
            let bytes = if row == 0 { format!("{:>12} bytes", to - from) } else { String::new() };
            text.line(format_args!("           │ {part:BOX$} │{bytes}"))?;
        }
    }
    let end = regions.last().map_or(0, |(_, to, _)| *to);
    text.line(format_args!("{end:>10} └{frame}┘"))?;
    match regions.len().checked_sub(DRAWN) {
        Some(more @ 1..) => text.line(format_args!("           and {more} more regions")),
        _ => Ok(()),
    }
}

/// Breaks a line at blanks, so that it fits into a box.
fn wrap(what: &str) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in what.split(' ') {
        let row = rows.last_mut().expect("there is one from the beginning");
        if !row.is_empty() && row.chars().count() + 1 + word.chars().count() > BOX {
            rows.push(word.to_string());
        } else {
            row.push_str(if row.is_empty() { "" } else { " " });
            row.push_str(word);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::{Bar, WIDTH, wrap};
    use crate::inspect::state::State;
    use crate::inspect::tally::Sort;

    /// Where live bytes stand among the sorts.
    const LIVE: usize = 4;

    #[test]
    fn a_bar_counts_every_byte_once() {
        for len in [1, 7, 95, 96, 97, 1000, u64::from(u32::MAX)] {
            let mut bar = Bar::new(len);
            let cut = len / 3;
            bar.add(0, cut, Sort::Fixed);
            bar.add(cut, len, Sort::Record(State::Live));
            assert_eq!((bar.total(0), bar.total(LIVE)), (cut, len - cut), "{len}");
            assert!((0..WIDTH).all(|cell| bar.cells[cell].iter().sum::<u64>() > 0), "{len}");
        }
    }

    #[test]
    fn long_words_are_not_lost() {
        let what = format!("a {} b", "x".repeat(100));
        assert_eq!(wrap(&what).join(" "), what);
    }
}
