//! libFuzzer on the target `edit`.

fn main() {
    kvs_fuzz::edit();
}
