//! Builds init, the freestanding program that rt puts into a sealed file and executes in the container, so that its
//! bytes can be embedded. A cargo inside cargo, with a target directory of its own: no lock is shared.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let init = Path::new(rt_init::DIR);
    let root = init.ancestors().nth(2).expect("crates/init lies two levels below the workspace");
    for file in [
        init.join("src"),
        init.join("Cargo.toml"),
        init.join("link.ld"),
        root.join("Cargo.toml"),
        root.join("Cargo.lock"),
    ] {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let directory = out.join("init");
    let flags = [
        "--cfg=rt_program",
        "-Ctarget-feature=+crt-static",
        "-Crelocation-model=static",
        "-Clink-arg=-nostartfiles",
        "-Clink-arg=-nostdlib",
        "-Clink-arg=-static",
        "-Clink-arg=-no-pie",
        "-Clink-arg=-Wl,--build-id=none",
        "-Clink-arg=-Wl,-z,norelro",
        // One segment for code and constants: each more is a page more that is resident while init waits.
        "-Clink-arg=-Wl,--no-rosegment",
        "-Cforce-unwind-tables=no",
    ];
    // The paths of a build machine are nobody's business, and would make every build's bytes different.
    let home =
        env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo"))).unwrap_or_default();
    let remap = [format!("--remap-path-prefix={home}=cargo"), format!("--remap-path-prefix={}=rt", root.display())];
    let script = format!("-Clink-arg=-Wl,-T,{}", init.join("link.ld").display());
    let all: Vec<&str> = flags.iter().copied().chain(remap.iter().map(String::as_str)).chain([&*script]).collect();

    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo.args([
        "build",
        "--locked",
        "--package",
        "rt-init",
        "--bin",
        "rt-init",
        "--profile",
        "init",
        "--target",
        &target,
    ]);
    cargo.arg("--manifest-path").arg(root.join("Cargo.toml")).arg("--target-dir").arg(&directory);
    // What the outer build was told (its profile, its flags, its wrapper) is not for this one.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let outer = ["CARGO_PROFILE_", "CARGO_FEATURE_", "CARGO_CFG_", "CARGO_TARGET_", "CARGO_BUILD_"];
        if outer.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    cargo.env_remove("RUSTFLAGS").env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("RUSTC_WRAPPER");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", all.join("\u{1f}"));
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "building init failed: {status}");

    let program = directory.join(&target).join("init").join("rt-init");
    println!("cargo::rustc-env=RT_INIT={}", program.display());
}
