//! Bytes in JSON objects: a string where they are UTF-8, else base64 under `NAME_b64`.

use crate::cli::encoding;
use std::io::{self, Write};

/// Writes one field.
pub(crate) fn put_bytes(out: &mut impl Write, name: &str, bytes: &[u8]) -> io::Result<()> {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            write!(out, "\"{name}\":")?;
            serde_json::to_writer(out, text).map_err(io::Error::from)
        }
        Err(_) => write!(out, "\"{name}_b64\":\"{}\"", encoding::base64(bytes)),
    }
}

/// Writes a pair as an object, with a newline.
pub(crate) fn put_pair(out: &mut impl Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    out.write_all(b"{")?;
    put_bytes(out, "key", key)?;
    out.write_all(b",")?;
    put_bytes(out, "value", value)?;
    out.write_all(b"}\n")
}
