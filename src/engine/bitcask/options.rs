//! Bitcask's own options.

use crate::engine::options::{OptionInfo, read_bytes, read_option};
use crate::error::{Error, Result};

/// How a Bitcask lays out its files and when it merges them.
#[derive(Clone, Debug, PartialEq)]
pub struct BitcaskOptions {
    /// A segment is sealed before it grows beyond this many bytes (a larger batch gets a segment of
    /// its own). Larger: fewer files and seals. Smaller: merges in smaller steps, and less to read
    /// after a crash. 4 KiB to 2 GiB.
    pub segment_bytes: u64,
    /// A sealed segment is merged when this part of it is garbage. Write amplification tends to
    /// `1 / merge_garbage_ratio`, space to `1 / (1 - merge_garbage_ratio)` of the live data. 0.05 to
    /// 0.95, or 1 for never by itself.
    pub merge_garbage_ratio: f64,
    /// The most segments that are held open for reading, beside the active one. Each costs a file
    /// descriptor, and address space if it is mapped. Fewer, where the process may open fewer:
    /// [`limits::open_files`](crate::vfs::limits::open_files).
    pub max_open_segments: usize,
    /// Whether segments are read through memory maps: a get then needs no system call. Without, a
    /// file that another program cuts is an error instead of the end of the process.
    pub mmap: bool,
    /// Whether hint files are written, and read: opening is then several times faster, at about a fifth
    /// more bytes written for values of 100 bytes.
    pub hints: bool,
}

impl Default for BitcaskOptions {
    fn default() -> BitcaskOptions {
        BitcaskOptions {
            segment_bytes: 128 << 20,
            merge_garbage_ratio: 0.5,
            max_open_segments: 256,
            mmap: true,
            hints: true,
        }
    }
}

impl BitcaskOptions {
    /// Everything small, so that a short test rotates and merges.
    pub fn tiny() -> BitcaskOptions {
        BitcaskOptions { segment_bytes: 4 << 10, max_open_segments: 2, ..BitcaskOptions::default() }
    }

    /// Whether every option is in its range; names the one that is not.
    pub fn validate(&self) -> Result<()> {
        if !(4 << 10..=2 << 30).contains(&self.segment_bytes) {
            return Err(Error::invalid(format!("segment_bytes={}: 4KiB to 2GiB", self.segment_bytes)));
        }
        let ratio = self.merge_garbage_ratio;
        if !(0.05..=0.95).contains(&ratio) && ratio != 1.0 {
            return Err(Error::invalid(format!("merge_garbage_ratio={ratio}: 0.05 to 0.95, or 1")));
        }
        if self.max_open_segments == 0 {
            return Err(Error::invalid("max_open_segments=0: at least 1"));
        }
        Ok(())
    }

    /// Sets one option by its name, from text.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "segment_bytes" => self.segment_bytes = read_bytes(name, value)?,
            "merge_garbage_ratio" => self.merge_garbage_ratio = read_option(name, value, "a number, as 0.5")?,
            "max_open_segments" => self.max_open_segments = read_option(name, value, "a whole number")?,
            "mmap" => self.mmap = read_option(name, value, "true or false")?,
            "hints" => self.hints = read_option(name, value, "true or false")?,
            _ => {
                let names: Vec<_> = BitcaskOptions::list().iter().map(|option| option.name).collect();
                let names = names.join(", ");
                return Err(Error::invalid(format!("{name}: no option of bitcask; there are {names}")));
            }
        }
        self.validate()
    }

    /// All options, with their defaults and costs.
    pub fn list() -> Vec<OptionInfo> {
        let default = BitcaskOptions::default();
        let option = |name, default: String, about| OptionInfo { name, default, about };
        vec![
            option(
                "segment_bytes",
                format!("{}MiB", default.segment_bytes >> 20),
                "a segment is sealed at this size, 4KiB to 2GiB; larger: fewer files, more to read after a crash",
            ),
            option(
                "merge_garbage_ratio",
                default.merge_garbage_ratio.to_string(),
                "a sealed segment is merged when this part is garbage; write amplification tends to 1/ratio, \
                 space to 1/(1-ratio); 1: never by itself",
            ),
            option(
                "max_open_segments",
                default.max_open_segments.to_string(),
                "segments held open for reading; never more than half of the files that the process may open, less 24; \
                 each costs a file descriptor and, mapped, address space",
            ),
            option(
                "mmap",
                default.mmap.to_string(),
                "read segments through memory maps: no system call a get; \
                 but a file that another program cuts ends the process",
            ),
            option(
                "hints",
                default.hints.to_string(),
                "write hint files, at close and merge, and open by them: several times faster",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::BitcaskOptions;

    #[test]
    fn every_listed_option_takes_its_default() {
        let mut options = BitcaskOptions::default();
        for option in BitcaskOptions::list() {
            options.set(option.name, &option.default).unwrap();
        }
        assert_eq!(options, BitcaskOptions::default());
        assert!(options.set("no_such", "1").unwrap_err().to_string().contains("segment_bytes"));
        assert!(options.set("segment_bytes", "1").is_err());
        assert!(options.set("mmap", "perhaps").is_err());
    }
}
