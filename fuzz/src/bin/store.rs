//! libFuzzer on the target `store`.

fn main() {
    kvs_fuzz::store();
}
