//! The order of keys, which a user may choose when a store is made.
//!
//! The name of the order is kept in the manifest: a store that was written in one order and read in
//! another would lose keys, so opening it with another name is refused.

use crate::error::{Error, Result};
use std::cmp::Ordering;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

/// An order of keys of one's own.
///
/// It must be total, and must never change under one name. Keys that compare equal are one key.
pub trait Comparator: Debug + Send + Sync {
    /// Its name, kept in the store. Not `bytewise` or `reverse`.
    fn name(&self) -> &str;

    /// How `a` and `b` stand.
    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering;

    /// A key that is not below `a` and below `b`, short if possible: what an index holds. `a` is below
    /// `b`.
    fn separator(&self, a: &[u8], _b: &[u8]) -> Vec<u8> {
        a.to_vec()
    }

    /// A key that is not below `a`, short if possible.
    fn successor(&self, a: &[u8]) -> Vec<u8> {
        a.to_vec()
    }
}

/// The order of a store's keys. Clones are cheap.
#[derive(Clone, Debug, Default)]
pub enum Order {
    /// As bytes, shorter first where one begins with the other.
    #[default]
    Bytewise,
    /// The same, from the last to the first.
    Reverse,
    /// The user's own.
    Own(Arc<dyn Comparator>),
}

impl Order {
    /// The name that the manifest keeps.
    pub fn name(&self) -> &str {
        match self {
            Order::Bytewise => "bytewise",
            Order::Reverse => "reverse",
            Order::Own(own) => own.name(),
        }
    }

    /// How `a` and `b` stand. A match and not a call for the usual order: this is the innermost step
    /// of everything.
    #[inline]
    pub fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Order::Bytewise => a.cmp(b),
            Order::Reverse => b.cmp(a),
            Order::Own(own) => own.compare(a, b),
        }
    }

    /// Whether `a` and `b` are one key.
    #[inline]
    pub fn is_same(&self, a: &[u8], b: &[u8]) -> bool {
        match self {
            Order::Bytewise | Order::Reverse => a == b,
            Order::Own(own) => own.compare(a, b).is_eq(),
        }
    }

    /// A short key `s` with `a <= s < b`. `a` is below `b`.
    pub fn separator(&self, a: &[u8], b: &[u8]) -> Vec<u8> {
        match self {
            Order::Bytewise => bytewise_separator(a, b),
            Order::Reverse => reverse_separator(a, b),
            Order::Own(own) => own.separator(a, b),
        }
    }

    /// A short key that is not below `a`.
    pub fn successor(&self, a: &[u8]) -> Vec<u8> {
        match self {
            Order::Bytewise => bytewise_successor(a),
            // The empty key is the last of all.
            Order::Reverse => Vec::new(),
            Order::Own(own) => own.successor(a),
        }
    }

    /// Whether it is the order of bytes, in which the first bytes of keys already say how they stand.
    #[inline]
    pub fn is_bytewise(&self) -> bool {
        matches!(self, Order::Bytewise)
    }
}

impl PartialEq for Order {
    /// Orders are told apart by their names, as in the manifest.
    fn eq(&self, other: &Order) -> bool {
        self.name() == other.name()
    }
}

impl FromStr for Order {
    type Err = Error;

    fn from_str(name: &str) -> Result<Order> {
        match name {
            "bytewise" => Ok(Order::Bytewise),
            "reverse" => Ok(Order::Reverse),
            _ => Err(Error::invalid(format!("comparator={name}: bytewise, reverse, or kept"))),
        }
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Cuts `a` behind the first byte that can be raised and stay below `b`.
fn bytewise_separator(a: &[u8], b: &[u8]) -> Vec<u8> {
    let at = common(a, b);
    if at == a.len() {
        // `b` begins with `a`: nothing shorter will do.
        return a.to_vec();
    }
    if a[at] + 1 < b[at] || (a[at] < b[at] && at + 1 < b.len()) {
        // Raised at `at`; in the second case to the byte of `b`, which goes on behind it.
        let mut short = a[..=at].to_vec();
        short[at] += 1;
        return short;
    }
    // `b` ends with `a[at] + 1`: only a later byte can be raised.
    match (at + 1..a.len()).find(|&i| a[i] != 0xff) {
        Some(i) => {
            let mut short = a[..=i].to_vec();
            short[i] += 1;
            short
        }
        None => a.to_vec(),
    }
}

fn bytewise_successor(a: &[u8]) -> Vec<u8> {
    match a.iter().position(|&byte| byte != 0xff) {
        Some(i) => {
            let mut short = a[..=i].to_vec();
            short[i] += 1;
            short
        }
        None => a.to_vec(),
    }
}

/// In the reverse order a key that is cut short stands behind: `a` cut while it stays above `b`.
fn reverse_separator(a: &[u8], b: &[u8]) -> Vec<u8> {
    let at = common(a, b);
    a[..(at + 1).min(a.len())].to_vec()
}

#[cfg(test)]
mod tests {
    use super::Order;
    use std::cmp::Ordering::{Equal, Greater, Less};

    fn keys() -> Vec<Vec<u8>> {
        let bytes = [0u8, 1, b'a', b'b', 0xfe, 0xff];
        let mut keys = vec![Vec::new()];
        for len in 1..=3usize {
            for n in 0..bytes.len().pow(len as u32) {
                keys.push((0..len).map(|i| bytes[n / bytes.len().pow(i as u32) % bytes.len()]).collect());
            }
        }
        keys
    }

    #[test]
    fn separators_separate_and_are_never_longer() {
        for order in [Order::Bytewise, Order::Reverse] {
            for a in keys() {
                let after = order.successor(&a);
                assert!(
                    order.compare(&a, &after) != Greater && after.len() <= a.len().max(1),
                    "{a:?} {after:?}"
                );
                for b in keys().into_iter().filter(|b| order.compare(&a, b) == Less) {
                    let between = order.separator(&a, &b);
                    assert!(order.compare(&a, &between) != Greater, "{order:?} {a:?} {between:?} {b:?}");
                    assert!(order.compare(&between, &b) == Less, "{order:?} {a:?} {between:?} {b:?}");
                    assert!(between.len() <= a.len().max(1), "{order:?} {a:?} {between:?} {b:?}");
                }
            }
        }
        assert_eq!(Order::Bytewise.separator(b"abcdefgh", b"abzz"), b"abd");
        assert_eq!(Order::Bytewise.compare(b"a", b"a"), Equal);
    }
}
