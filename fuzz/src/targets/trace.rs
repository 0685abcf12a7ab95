//! One call of a trace.

use kvs::bench::trace::Made;
use kvs::engine::range::Direction;

/// What is read is written again to the same bytes.
pub(crate) fn run(data: &[u8]) {
    let Some(made) = Made::decode(data) else { return };
    let mut again = Vec::new();
    made.encode(&mut again);
    assert_eq!(again, data, "{made:?}");
}

/// Calls of every kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let key = || b"key".to_vec();
    let scan = |from, direction| Made::Scan { from, direction, pairs: 300 };
    let calls = [
        Made::State(key(), 7),
        Made::Get(key()),
        Made::Write(vec![(key(), Some(0)), (Vec::new(), None), (vec![0xff; 130], Some(u32::MAX))], true),
        Made::Swap(key(), None),
        Made::Swap(key(), Some(1)),
        scan(None, Direction::Forward),
        scan(Some(key()), Direction::Reverse),
        Made::Flush,
        Made::Compact,
    ];
    let encode = |made: &Made| {
        let mut out = Vec::new();
        made.encode(&mut out);
        out
    };
    calls.iter().map(encode).collect()
}
