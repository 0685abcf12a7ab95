//! libFuzzer on the target `wal`.

fn main() {
    kvs_fuzz::wal();
}
