//! A span of user keys, both ends included: what a table, or some tables, may hold.

use crate::engine::lsm::comparator::Order;
use crate::engine::lsm::version::TableFile;
use std::cmp::Ordering;
use std::sync::Arc;

/// From the smallest user key of some tables to the largest.
///
/// Spans are of *user* keys. Two tables that end and begin with the same user key overlap, whatever
/// their sequence numbers, and so are always compacted together: else an older version of the key
/// could stay above a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// The first user key.
    pub smallest: &'a [u8],
    /// The last user key.
    pub largest: &'a [u8],
}

impl<'a> Span<'a> {
    /// The span of one table.
    pub fn of(table: &'a TableFile) -> Span<'a> {
        Span { smallest: table.smallest_user(), largest: table.largest_user() }
    }

    /// The span of all these tables; `None` of none.
    pub fn of_all(tables: impl IntoIterator<Item = &'a Arc<TableFile>>, order: &Order) -> Option<Span<'a>> {
        tables.into_iter().map(|table| Span::of(table)).reduce(|a, b| a.with(b, order))
    }

    /// The span from the first key of both to the last.
    pub fn with(self, other: Span<'a>, order: &Order) -> Span<'a> {
        let smaller = |a, b| if order.compare(a, b) == Ordering::Greater { b } else { a };
        let larger = |a, b| if order.compare(a, b) == Ordering::Less { b } else { a };
        Span {
            smallest: smaller(self.smallest, other.smallest),
            largest: larger(self.largest, other.largest),
        }
    }

    /// Whether some key is in both.
    pub fn overlaps(&self, other: &Span<'_>, order: &Order) -> bool {
        order.compare(self.smallest, other.largest) != Ordering::Greater
            && order.compare(other.smallest, self.largest) != Ordering::Greater
    }
}
