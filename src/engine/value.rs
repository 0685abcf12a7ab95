//! A key's value, as a read returns it.

use std::fmt;
use std::ops::Deref;

/// The longest value that is kept in the [`Value`] itself, without an allocation.
const INLINE: usize = 126;

/// Bytes that were read. Derefs to `[u8]`.
///
/// Whether it owns a copy, and where, is hidden, so that it can change. Now: up to 126 bytes live in
/// the value itself (a get then allocates nothing), longer ones on the heap.
#[derive(Clone)]
pub struct Value(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Box<[u8]>),
}

impl Value {
    /// The bytes as a vector of their own.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Repr::Heap(bytes) => bytes.into_vec(),
            Repr::Inline { .. } => self.to_vec(),
        }
    }
}

impl From<&[u8]> for Value {
    #[inline]
    fn from(source: &[u8]) -> Value {
        if source.len() > INLINE {
            return Value(Repr::Heap(source.into()));
        }
        let mut bytes = [0; INLINE];
        bytes[..source.len()].copy_from_slice(source);
        Value(Repr::Inline { len: source.len() as u8, bytes })
    }
}

impl From<Vec<u8>> for Value {
    fn from(source: Vec<u8>) -> Value {
        match source.len() {
            ..=INLINE => Value::from(&source[..]),
            _ => Value(Repr::Heap(source.into())),
        }
    }
}

impl Deref for Value {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Value {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn any_length_comes_back() {
        for len in [0, 1, 125, 126, 127, 128, 4096] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            assert_eq!(Value::from(&bytes[..]), bytes);
            assert_eq!(Value::from(bytes.clone()).into_vec(), bytes);
        }
    }
}
