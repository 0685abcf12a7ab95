//! Bytes as text: how keys and values are written in arguments, input and output.

use base64::Engine;
use base64::alphabet;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use clap::ValueEnum;
use std::borrow::Cow;
use std::io::{self, Write};

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// As they are
    Text,
    /// Readable, with \n \t \\ and \xNN for what is not
    Escape,
    /// Two digits a byte
    Hex,
    /// Base64, padded
    Base64,
}

/// Reads with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Encoding {
    /// Writes `bytes`.
    pub(crate) fn encode(self, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        match self {
            Encoding::Text => out.write_all(bytes),
            Encoding::Escape => escape(bytes, out),
            Encoding::Hex => bytes.iter().try_for_each(|byte| out.write_all(&hex(*byte))),
            Encoding::Base64 => write!(out, "{}", Base64Display::new(bytes, &STANDARD)),
        }
    }

    /// Reads what [`Encoding::encode`] writes; says what is wrong with it otherwise.
    pub(crate) fn decode(self, text: &[u8]) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Encoding::Text => Ok(Cow::Borrowed(text)),
            Encoding::Escape => unescape(text),
            Encoding::Hex => unhex(text).map(Cow::Owned),
            Encoding::Base64 => LENIENT.decode(text).map(Cow::Owned).map_err(|e| format!("not base64: {e}")),
        }
    }
}

/// Bytes as padded base64, for JSON.
pub(crate) fn base64(bytes: &[u8]) -> Base64Display<'_, '_, GeneralPurpose> {
    Base64Display::new(bytes, &STANDARD)
}

/// Reads base64 from JSON.
pub(crate) fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    Encoding::Base64.decode(text.as_bytes()).map(Cow::into_owned)
}

fn hex(byte: u8) -> [u8; 2] {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

/// Readable characters stay; a backslash, control characters, characters that draw nothing or turn
/// the text around, and bytes that are no UTF-8 do not.
fn escape(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    for chunk in bytes.utf8_chunks() {
        let mut plain = 0;
        let text = chunk.valid();
        for (at, c) in text.char_indices().filter(|(_, c)| !is_readable(*c)) {
            out.write_all(&text.as_bytes()[plain..at])?;
            plain = at + c.len_utf8();
            match c {
                '\\' => out.write_all(b"\\\\")?,
                '\n' => out.write_all(b"\\n")?,
                '\r' => out.write_all(b"\\r")?,
                '\t' => out.write_all(b"\\t")?,
                _ => escape_bytes(&text.as_bytes()[at..plain], out)?,
            }
        }
        out.write_all(&text.as_bytes()[plain..])?;
        escape_bytes(chunk.invalid(), out)?;
    }
    Ok(())
}

fn is_readable(c: char) -> bool {
    match c {
        ' '..='~' => c != '\\',
        '\0'..='\u{9f}' => false,
        // The standard library knows which characters can be printed, and escapes the others.
        _ => c.escape_debug().len() == 1,
    }
}

fn escape_bytes(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    for byte in bytes {
        out.write_all(b"\\x")?;
        out.write_all(&hex(*byte))?;
    }
    Ok(())
}

fn unescape(text: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if !text.contains(&b'\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'\\' {
            out.push(first);
            continue;
        }
        let Some((&kind, tail)) = rest.split_first() else {
            return Err("a backslash at the end; write \\\\ for a backslash".into());
        };
        rest = tail;
        out.push(match kind {
            b'\\' | b'"' | b'\'' => kind,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'x' => {
                let digits = rest.split_at_checked(2).ok_or("\\x takes two hex digits")?;
                rest = digits.1;
                unhex(digits.0).map_err(|_| "\\x takes two hex digits")?[0]
            }
            other => return Err(format!("\\{}: no such escape", other.escape_ascii())),
        });
    }
    Ok(Cow::Owned(out))
}

fn unhex(text: &[u8]) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| match (byte as char).to_digit(16) {
        Some(digit) => Ok(digit as u8),
        None => Err(format!("'{}' is no hex digit", byte.escape_ascii())),
    };
    if !text.len().is_multiple_of(2) {
        return Err("an odd number of hex digits".into());
    }
    text.chunks_exact(2).map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::Encoding;

    const ALL: [Encoding; 4] = [Encoding::Text, Encoding::Escape, Encoding::Hex, Encoding::Base64];

    fn encoded(encoding: Encoding, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        encoding.encode(bytes, &mut out).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>, text: String) {
            for encoding in ALL {
                for bytes in [&bytes[..], text.as_bytes()] {
                    let mut out = Vec::new();
                    encoding.encode(bytes, &mut out).unwrap();
                    assert_eq!(&*encoding.decode(&out).unwrap(), bytes, "{encoding:?}");
                }
            }
        }
    }

    #[test]
    fn escaped_text_is_readable_and_safe_to_print() {
        let escaped = |bytes: &[u8]| encoded(Encoding::Escape, bytes);
        assert_eq!(escaped("grün 茶 'x'".as_bytes()), "grün 茶 'x'");
        assert_eq!(escaped(b"a\tb\n\\\x1b[31m\x00\xff"), r"a\tb\n\\\x1b[31m\x00\xff");
        assert_eq!(escaped("\u{202e}\u{9b}".as_bytes()), r"\xe2\x80\xae\xc2\x9b");
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        for (encoding, text, reason) in [
            (Encoding::Escape, r"a\", r"a backslash at the end; write \\ for a backslash"),
            (Encoding::Escape, r"\q", r"\q: no such escape"),
            (Encoding::Escape, r"\x1", r"\x takes two hex digits"),
            (Encoding::Hex, "abc", "an odd number of hex digits"),
            (Encoding::Hex, "zz", "'z' is no hex digit"),
        ] {
            assert_eq!(encoding.decode(text.as_bytes()).unwrap_err(), reason);
        }
        assert!(Encoding::Base64.decode(b"!").unwrap_err().starts_with("not base64"));
        assert_eq!(&*Encoding::Base64.decode(b"YQ").unwrap(), b"a");
    }
}
