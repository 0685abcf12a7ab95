//! libFuzzer on the target `wal_batch`.

fn main() {
    kvs_fuzz::wal_batch();
}
