//! libFuzzer on the target `block`.

fn main() {
    kvs_fuzz::block();
}
