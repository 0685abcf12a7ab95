//! The end of a table: its footer, and what it says of itself.

use super::input::Input;
use super::{disk, mend};
use kvs::engine::lsm::table::format::{BadFooter, FOOTER_LEN, Footer, Handle, Properties, Salt};

/// `choice:u8 offset:u16 bytes`. What is read is written again to the same bytes; a footer leads into the
/// table.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, offset) = (input.byte(), u64::from(input.number()));
    let mut bytes = input.rest().to_vec();
    if let Some(properties) = Properties::decode(&bytes) {
        assert_eq!(properties.encode(), bytes);
        let meta = properties.meta(properties.level, offset, 7);
        assert_eq!((meta.len, meta.contents, meta.smallest), (offset, 7, properties.smallest));
    }
    let salt = Salt::new(disk::STORE, 3);
    if choice & 1 == 1 {
        mend::footer(&mut bytes, salt, offset);
    }
    let Some(footer) = bytes.first_chunk::<FOOTER_LEN>() else { return };
    match Footer::decode(footer, salt, offset) {
        Ok(found) => {
            assert_eq!(found.encode(salt, offset), *footer);
            assert!(found.top.end() <= offset && found.properties.end() <= offset);
        }
        Err(BadFooter::Unknown(format)) => assert!(choice & 1 == 0, "format {format}"),
        Err(BadFooter::Damaged(_)) => {}
    }
}

/// Properties, and footers.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let properties = Properties {
        entries: 9,
        raw_bytes: 100,
        smallest: b"a\x02\x01\0\0\0\0\0\0".to_vec(),
        largest: b"b\x02\x01\0\0\0\0\0\0".to_vec(),
        comparator: "bytewise".into(),
        partitions: 1,
        plain_blocks: 1,
        ..Properties::default()
    };
    let [top, at] = [Handle { offset: 10, len: 20 }, Handle { offset: 30, len: 40 }];
    let footer = Footer { top, properties: at, contents: 99 }.encode(Salt::new(disk::STORE, 3), 70);
    let small = Properties::default();
    let bodies = [properties.encode(), small.encode(), footer.to_vec()];
    let mut seeds = Vec::new();
    for body in bodies {
        for choice in [0, 1] {
            seeds.push([&[choice, 70, 0][..], &body].concat());
        }
    }
    seeds
}
