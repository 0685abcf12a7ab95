//! One record, and the header of a log.

use super::input::Input;
use super::mend;
use kvs::record::frame::{self, CLOSE, HEADER_LEN, Header, Part};

const HEADER: Header = Header { store_id: 7, number: 3, kind: 1 };

/// `choice:u8 offset:u16 bytes`. What is read is written again to the same bytes; a record ends within the
/// bytes; what is said before the checksum is looked at is what is said behind it.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, offset) = (input.byte(), u64::from(input.number()));
    let mut bytes = input.rest().to_vec();
    header(&bytes);
    if let Some(head) = bytes.first_chunk::<{ HEADER_LEN as usize }>() {
        let mut head = *head;
        head[..8].copy_from_slice(frame::MAGIC);
        mend::whole(&mut head);
        header(&head);
    }
    if choice & 1 == 1
        && let Ok(len) = frame::record_len(&bytes, bytes.len() as u64)
    {
        mend::record(&mut bytes[..len], HEADER.salt(), offset);
    }
    record(&bytes, offset);
}

fn header(bytes: &[u8]) {
    if let Some(header) = Header::decode(bytes) {
        assert_eq!(header.encode(), bytes[..HEADER_LEN as usize]);
    }
}

fn record(bytes: &[u8], offset: u64) {
    let limit = bytes.len() as u64;
    let shape = frame::Shape::read(bytes, limit);
    assert_eq!(shape.map(|shape| shape.len), frame::record_len(bytes, limit));
    assert_eq!(shape.ok().and_then(|shape| shape.synced), frame::claim(bytes, limit));
    let unverified = frame::decode_verified(bytes);
    assert_eq!(unverified.map(|record| record.len), shape.map(|shape| shape.len));
    if let Ok(record) = frame::decode(bytes, HEADER.salt(), offset) {
        assert_eq!(Ok(record), unverified);
    }
    let Ok(record) = unverified else { return };
    assert!(record.len <= bytes.len() && record.payload.len() < record.len);
    let mut again = Vec::new();
    let what = (record.kind, record.part);
    frame::encode(&mut again, HEADER.salt(), offset, what, record.synced, &[record.payload]);
    assert_eq!(again[4..], bytes[4..record.len], "one encoding for one record");
    assert_eq!(frame::decode(&again, HEADER.salt(), offset), Ok(record));
    assert!(frame::decode(&again, HEADER.salt(), offset + 1).is_err(), "a record has one place");
}

/// Records of every part and kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let parts = [Part::Full, Part::First, Part::Middle, Part::Last];
    let mut seeds = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        for (kind, synced, payload) in
            [(1, None, &b"payload"[..]), (CLOSE, Some(300), b""), (2, Some(0), &[7; 200])]
        {
            let mut seed = vec![i as u8, 32, 0];
            frame::encode(&mut seed, HEADER.salt(), 32, (kind, part), synced, &[payload]);
            seeds.push(seed);
        }
    }
    seeds.push([&[0, 0, 0][..], &HEADER.encode()].concat());
    seeds
}
