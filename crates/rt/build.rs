//! Leaves unwinding tables out of the program: with `panic = "abort"` nothing ever reads them, and they are a tenth of it.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/link.ld");
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{script}");
}
