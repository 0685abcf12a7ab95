//! libFuzzer on the target `hint`.

fn main() {
    kvs_fuzz::hint();
}
