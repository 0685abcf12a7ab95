//! The steps of a batch, and the batch in a record of a write-ahead log.

use super::input::Input;
use kvs::codec::{self, Reader};
use kvs::engine::batch::{MAX_KEY_LEN, Op, Ops, WriteBatch};
use kvs::engine::lsm::key::MAX_SEQNO;
use kvs::engine::lsm::wal::{BATCH, LoggedBatch};
use kvs::record::frame::{Part, Record};

/// The steps alone. What is read is written again to the same bytes.
pub(crate) fn run(data: &[u8]) {
    varint(data);
    let Some((ops, count)) = Ops::decode(data) else { return };
    let batch = collect(ops);
    assert_eq!((batch.as_bytes(), batch.len() as u64), (data, count));
    assert!(batch.validate().is_ok());
    assert!(batch.iter().all(|op| op.key().len() <= MAX_KEY_LEN));
}

/// `kind and part:u8 payload`: a record of a log. What is read is written again to the same bytes, and has
/// sequence numbers that there are.
pub(crate) fn logged(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let part = [Part::Full, Part::First, Part::Middle, Part::Last][usize::from(choice & 3)];
    let payload = input.rest();
    let record = Record { kind: choice >> 4, part, synced: None, payload, len: payload.len() + 6 };
    let Some(logged) = LoggedBatch::decode(&record) else { return };
    assert_eq!((record.kind, record.part), (BATCH, Part::Full));
    let mut again = Vec::new();
    codec::put_varint(&mut again, logged.first_seqno);
    again.extend_from_slice(collect(logged.ops().map(|(_, op)| op)).as_bytes());
    assert_eq!(again, payload);
    assert!(logged.ops().all(|(seqno, _)| seqno <= MAX_SEQNO));
    assert!(logged.ops().next().is_some());
}

fn collect<'a>(ops: impl Iterator<Item = Op<'a>>) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for op in ops {
        match op {
            Op::Set(key, value) => batch.set(key, value),
            Op::Remove(key) => batch.remove(key),
        }
    }
    batch
}

/// One number has one encoding.
fn varint(data: &[u8]) {
    let mut reader = Reader::new(data);
    if let Some(number) = reader.varint() {
        let mut again = Vec::new();
        codec::put_varint(&mut again, number);
        let len = data.len() - reader.rest().len();
        assert_eq!((&again[..], codec::varint_len(number)), (&data[..len], len));
    }
}

fn batches() -> Vec<WriteBatch> {
    let mut long = WriteBatch::new();
    long.set(b"", b"");
    long.remove(b"gone");
    long.set(&[7; 200], &[8; 300]);
    let mut two = WriteBatch::new();
    two.remove(b"a");
    two.set(b"a", b"value");
    vec![WriteBatch::new(), two, long]
}

/// Batches.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    batches().iter().map(|batch| batch.as_bytes().to_vec()).collect()
}

/// Records that hold batches.
pub(crate) fn logged_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (i, batch) in batches().iter().enumerate() {
        for seqno in [1, 300, MAX_SEQNO - i as u64, MAX_SEQNO] {
            let mut seed = vec![BATCH << 4 | u8::from(i == 9)];
            codec::put_varint(&mut seed, seqno);
            seed.extend_from_slice(batch.as_bytes());
            seeds.push(seed);
        }
    }
    seeds
}
