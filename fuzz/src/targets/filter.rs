//! A Bloom filter: read, and built.

use super::input::Input;
use kvs::engine::lsm::table::filter::Filter;

/// `choice:u8 bytes`: bytes are a filter, or hashes of keys. A filter that is built denies none of its keys,
/// and is read again.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let bits = input.below(64) + 1;
    let bytes = input.rest();
    let hashes: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|hash| u64::from_le_bytes(*hash)).collect();
    if choice & 1 == 1 {
        let mut out = Vec::new();
        Filter::build(&mut out, &hashes, bits);
        let filter = Filter::decode(&out).expect("it was just built");
        assert_eq!(out.len(), filter.byte_len() + 1);
        assert!(hashes.iter().all(|&hash| filter.may_contain(hash)));
        assert!(hashes.is_empty() == (filter.fill() == 0.0));
    }
    if let Some(filter) = Filter::decode(bytes) {
        assert_eq!(filter.byte_len() + 1, bytes.len());
        assert!((1..=16).contains(&filter.probes()) && (0.0..=1.0).contains(&filter.fill()));
        let _ = hashes.iter().filter(|&&hash| filter.may_contain(hash)).count();
    }
}

/// Filters, and hashes.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let hashes: Vec<u64> = (1..40u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
    let mut filter = Vec::new();
    Filter::build(&mut filter, &hashes, 10);
    vec![[&[0, 0], &filter[..]].concat(), [&[1, 9], &bytes[..]].concat(), [&[1, 0], &bytes[..100]].concat()]
}
