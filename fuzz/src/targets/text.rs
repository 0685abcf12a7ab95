//! What people write: sizes, durability, names, options.

use kvs::engine::bitcask::options::BitcaskOptions;
use kvs::engine::filename::{self, FileName};
use kvs::engine::kind::EngineKind;
use kvs::engine::lsm::comparator::Order;
use kvs::engine::lsm::options::{Compressions, LsmOptions};
use kvs::engine::options::{Durability, OptionInfo, parse_bytes};
use std::fmt::Display;
use std::str::FromStr;

/// Text, as it is. What is read is printed as something that is read as the same.
pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(bytes) = parse_bytes(&text) {
        assert_eq!(parse_bytes(&bytes.to_string()).ok(), Some(bytes));
    }
    prints_what_it_reads::<Durability>(&text);
    prints_what_it_reads::<EngineKind>(&text);
    prints_what_it_reads::<Compressions>(&text);
    if let Ok(order) = text.parse::<Order>() {
        assert_eq!(order.name(), text);
    }
    name(&text);
    if let Some((name, value)) = text.split_once('=') {
        set(name, value);
    }
}

fn prints_what_it_reads<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert!(read.to_string().parse::<T>().ok() == Some(read), "{text}");
    }
}

/// A name of a file of ours has one spelling.
fn name(text: &str) {
    let spelt = match filename::parse(text) {
        Some(FileName::Segment(number)) => filename::segment(number),
        Some(FileName::Hint(number)) => filename::hint(number),
        Some(FileName::Wal(number)) => filename::wal(number),
        Some(FileName::Table(number)) => filename::table(number),
        Some(FileName::Engine) => filename::ENGINE.to_string(),
        Some(FileName::Manifest) => filename::MANIFEST.to_string(),
        Some(FileName::Temporary) | None => return,
    };
    assert_eq!(spelt, text);
}

/// An option that is refused changes nothing that is then accepted.
fn set(name: &str, value: &str) {
    let mut bitcask = BitcaskOptions::default();
    if bitcask.set(name, value).is_ok() {
        assert!(bitcask.validate().is_ok(), "{name}={value}");
        assert!(BitcaskOptions::list().iter().any(|option| option.name == name));
    }
    let mut lsm = LsmOptions::default();
    if lsm.set(name, value).is_ok() {
        let is_known =
            |option: &OptionInfo| option.name.trim_end_matches("_bytes") == name.trim_end_matches("_bytes");
        assert!(LsmOptions::list().iter().any(is_known), "{name}");
    }
}

/// One of everything, and both engines' options with their defaults.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let words = "4096 64KiB 1MiB 2GiB 3m 18446744073709551615 always os interval:50 bitcask lsm memory none lz4 \
                 none,lz4,zstd bytewise reverse 000006.seg 000006.hint 1234567.wal 000001.sst ENGINE MANIFEST \
                 MANIFEST.tmp segment_bytes=1MiB merge_garbage_ratio=0.7 mmap=false compression=zstd,lz4";
    let mut seeds: Vec<Vec<u8>> = words.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
    let options = [BitcaskOptions::list(), LsmOptions::list()].concat();
    seeds.extend(options.iter().map(|option| format!("{}={}", option.name, option.default).into_bytes()));
    seeds
}
