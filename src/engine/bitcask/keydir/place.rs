//! Where a value is: what the keydir knows of each key.

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of its segment.
    pub segment: u32,
    /// The offset of its first byte there.
    pub offset: u32,
    /// Its bytes in all; never 0.
    pub len: u32,
}
