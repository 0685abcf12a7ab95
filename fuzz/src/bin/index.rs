//! libFuzzer on the target `index`.

fn main() {
    kvs_fuzz::index();
}
