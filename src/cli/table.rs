//! Rows of words in columns.

use clap::builder::styling::Style as Ansi;
use std::io::{self, Write};

/// Which side of its column a cell stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Writes the head and the rows, each column as wide as its widest cell. No line ends in spaces.
pub(crate) fn put<const N: usize>(
    out: &mut impl Write,
    head: [(&str, Side); N],
    rows: &[[String; N]],
    color: bool,
) -> io::Result<()> {
    let mut widths = head.map(|(name, _)| name.len());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (i, cell) in cells.iter().enumerate() {
            let width = widths[i];
            line += &match head[i].1 {
                Side::Right => format!("{cell:>width$}  "),
                Side::Left => format!("{cell:<width$}  "),
            };
        }
        line.truncate(line.trim_end().len());
        line
    };
    let bold = if color { Ansi::new().bold() } else { Ansi::new() };
    writeln!(out, "{bold}{}{bold:#}", line(head.map(|(name, _)| name)))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row.each_ref().map(String::as_str))))
}
