//! libFuzzer on the target `identity`.

fn main() {
    kvs_fuzz::identity();
}
