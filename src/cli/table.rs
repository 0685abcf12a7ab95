//! Rows of words in columns.

use clap::builder::styling::Style as Ansi;
use std::io::{self, Write};

/// Which side of its column a cell stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Writes the head and the rows, each column as wide as its widest cell, the last as it comes.
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
    let line = |out: &mut dyn Write, cells: [&str; N]| -> io::Result<()> {
        for (i, cell) in cells.iter().enumerate() {
            let width = widths[i];
            match head[i].1 {
                Side::Right => write!(out, "{cell:>width$}")?,
                Side::Left if i + 1 == N => write!(out, "{cell}")?,
                Side::Left => write!(out, "{cell:<width$}")?,
            }
            out.write_all(if i + 1 == N { b"" } else { b"  " })?;
        }
        Ok(())
    };
    let bold = if color { Ansi::new().bold() } else { Ansi::new() };
    write!(out, "{bold}")?;
    line(out, head.map(|(name, _)| name))?;
    writeln!(out, "{bold:#}")?;
    rows.iter().try_for_each(|row| {
        line(out, row.each_ref().map(String::as_str))?;
        writeln!(out)
    })
}
