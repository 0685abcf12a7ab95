//! The identity file.

use super::input::Input;
use super::{disk, mend};
use kvs::engine::filename::ENGINE;
use kvs::engine::identity::{IDENTITY_LEN, Identity};
use kvs::error::Error;

/// `choice:u8 file`. What is read is written again to a file that says the same; what can not be read is
/// damage or a later format, never another error.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let mut bytes = input.rest().to_vec();
    if choice & 1 == 1 && bytes.len() >= IDENTITY_LEN {
        mend::whole(&mut bytes[..IDENTITY_LEN]);
    }
    match load(&bytes) {
        Ok(Some(identity)) => {
            let again = identity.encode();
            assert_eq!((again.len(), bytes.len()), (IDENTITY_LEN, IDENTITY_LEN));
            assert_eq!(load(&again).expect("it was just written"), Some(identity));
        }
        Ok(None) => unreachable!("the file is there"),
        Err(error) => {
            assert!(matches!(error, Error::Corruption { .. } | Error::UnknownFormat { .. }), "{error}")
        }
    }
}

fn load(bytes: &[u8]) -> kvs::Result<Option<Identity>> {
    Identity::load(&disk::with(ENGINE, bytes))
}

/// Identities of all engines, of a later format, and cut.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let names = ["bitcask", "lsm", "memory", "", "sixteen-letters!"];
    let of = |name| Identity::new(name, Some(disk::STORE)).encode();
    let mut seeds: Vec<Vec<u8>> = names.into_iter().map(|name| [&[0], &of(name)[..]].concat()).collect();
    let mut later = [&[1], &of("lsm")[..]].concat();
    later[9] = 2;
    seeds.push(later[..30].to_vec());
    seeds.push(later);
    seeds
}
