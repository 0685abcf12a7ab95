//! libFuzzer on the target `frame`.

fn main() {
    kvs_fuzz::frame();
}
