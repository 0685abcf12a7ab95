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
    let head = head.map(|(name, side)| (name.to_string(), side));
    put_rows(out, &head, rows, color)
}

/// The same, where the number of columns is known only when it runs.
pub(crate) fn put_rows(
    out: &mut impl Write,
    head: &[(String, Side)],
    rows: &[impl AsRef<[String]>],
    color: bool,
) -> io::Result<()> {
    let mut widths: Vec<usize> = head.iter().map(|(name, _)| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &String>| {
        let mut line = String::new();
        for ((cell, width), (_, side)) in cells.zip(&widths).zip(head) {
            line += &match side {
                Side::Right => format!("{cell:>width$}  "),
                Side::Left => format!("{cell:<width$}  "),
            };
        }
        line.truncate(line.trim_end().len());
        line
    };
    let bold = if color { Ansi::new().bold() } else { Ansi::new() };
    writeln!(out, "{bold}{}{bold:#}", line(&mut head.iter().map(|(name, _)| name)))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(&mut row.as_ref().iter())))
}
