//! Bytes and ranges as scripts write them.

use crate::engine::range::{Direction, KeyRange};
use std::ops::Bound;

/// Bytes as a script writes them.
pub fn show(bytes: &[u8]) -> String {
    let period = (1..=4).find(|&period| {
        bytes.len() >= 16
            && bytes.len().is_multiple_of(period)
            && bytes[period..] == bytes[..bytes.len() - period]
    });
    match period {
        Some(period) => format!("{}*{}", escape(&bytes[..period]), bytes.len() / period),
        None => escape(bytes),
    }
}

fn escape(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "\"\"".into();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/+!?%&$;()[]{}^~|'".contains(&byte);
    let shown = |&byte: &u8| if plain(byte) { (byte as char).to_string() } else { format!("\\x{byte:02x}") };
    bytes.iter().map(shown).collect()
}

/// The longest string that a script may ask for by repeating a part, in bytes: a batch's limit.
const MOST: usize = crate::engine::batch::MAX_BATCH_BYTES;

/// Reads what [`show`] wrote; the error is what is wrong, for people.
pub fn read(text: &str) -> Result<Vec<u8>, String> {
    match text.rsplit_once('*') {
        Some((part, times)) => {
            let times: usize = times.parse().map_err(|_| format!("{text}: how many times?"))?;
            let part = unescape(part)?;
            match part.len().checked_mul(times) {
                Some(..=MOST) => Ok(part.repeat(times)),
                _ => Err(format!("{text}: more than {MOST} bytes")),
            }
        }
        None => unescape(text),
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    if text == "\"\"" {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(escaped) = rest.strip_prefix("\\x") {
            let hex = escaped.get(..2).ok_or_else(|| format!("{text}: two digits after \\x"))?;
            bytes.push(u8::from_str_radix(hex, 16).map_err(|e| format!("{text}: {e}"))?);
            rest = &escaped[2..];
        } else {
            bytes.extend(first.to_string().as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(bytes)
}

/// A range as a script writes it; its direction is the verb's business.
pub fn show_range(range: &KeyRange) -> String {
    let start = match &range.start {
        Bound::Included(key) => show(key),
        Bound::Excluded(key) => format!("{}<", show(key)),
        Bound::Unbounded => String::new(),
    };
    match &range.end {
        Bound::Included(key) => format!("{start}..={}", show(key)),
        Bound::Excluded(key) => format!("{start}..{}", show(key)),
        Bound::Unbounded => format!("{start}.."),
    }
}

/// Reads what [`show_range`] wrote, forward; the error is what is wrong, for people.
pub fn read_range(text: &str) -> Result<KeyRange, String> {
    let (start, end) = text.split_once("..").ok_or_else(|| format!("{text}: a range has two dots"))?;
    let start = match start.strip_suffix('<') {
        Some(key) => Bound::Excluded(read(key)?),
        None if start.is_empty() => Bound::Unbounded,
        None => Bound::Included(read(start)?),
    };
    let end = match end.strip_prefix('=') {
        Some(key) => Bound::Included(read(key)?),
        None if end.is_empty() => Bound::Unbounded,
        None => Bound::Excluded(read(end)?),
    };
    Ok(KeyRange { start, end, direction: Direction::Forward })
}

#[cfg(test)]
mod tests {
    use super::{read, show};

    #[test]
    fn bytes_are_read_as_they_are_shown() {
        let samples: [&[u8]; 7] =
            [b"", b"plain", b"a b", b"\x00\xff", b"a..=b<:,*@#\"\\", &[b'x'; 300], b"*"];
        for bytes in samples {
            assert_eq!(read(&show(bytes)).as_deref(), Ok(bytes), "{}", show(bytes));
        }
        assert_eq!(read("ab*3").as_deref(), Ok(&b"ababab"[..]));
        assert_eq!(show(&b"ab".repeat(100)), "ab*100");
        for wrong in ["\\x4", "\\xzz", "a*b", "ab*99999999999", "ab*18446744073709551615"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
