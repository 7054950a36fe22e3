//! Builds init, the freestanding program that rt puts into a sealed file and executes in the container, so that its
//! bytes can be embedded. A cargo inside cargo, with a target directory of its own: no lock is shared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

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
    // Some kernels for arm have pages of 64 KiB.
    let page = if target.starts_with("x86_64") { 4 << 10 } else { 64 << 10 };
    let (program, lengths) = with_room_for_the_plan(fs::read(program).expect("cargo has built it"), page);
    let file = out.join("rt-init");
    fs::write(&file, program).expect("cargo has made the directory");
    println!("cargo::rustc-env=RT_INIT={}", file.display());
    println!("cargo::rustc-env=RT_INIT_LENGTHS={lengths}");
}

/// Make the plan, which will be appended, the program's last segment, so that the kernel maps it with the others: elf(5).
/// Returns the program, and where in it the plan's length belongs: in the file and, behind that, in memory.
fn with_room_for_the_plan(mut program: Vec<u8>, page: usize) -> (Vec<u8>, usize) {
    const HEADER: usize = 64;
    const ENTRY: usize = 56;
    const PT_LOAD: u64 = 1;
    const PT_PHDR: u64 = 6;
    const PF_R: u64 = 4;

    let number = |at: usize, len: usize| {
        program[at..at + len].iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
    };
    assert_eq!((number(32, 8), number(54, 2)), (HEADER as u64, ENTRY as u64), "the table of segments lies elsewhere");
    let end = HEADER + ENTRY * usize::try_from(number(56, 2)).expect("a few");
    // It tells a dynamic linker where this table is, and init has none.
    assert_eq!(number(HEADER, 4), PT_PHDR, "init's first segment is another");
    for entry in (HEADER..end).step_by(ENTRY).filter(|entry| number(*entry, 4) == PT_LOAD) {
        let end = number(entry + 16, 8) + number(entry + 40, 8);
        assert!(end <= rt_wire::PLAN_ADDRESS as u64, "init has grown into the plan's place");
    }
    program.resize(program.len().next_multiple_of(page), 0);
    let (address, offset) = (rt_wire::PLAN_ADDRESS as u64, program.len() as u64);
    let segment = [PT_LOAD | PF_R << 32, offset, address, address, 0, 0, page as u64];
    program.copy_within(HEADER + ENTRY..end, HEADER);
    program[end - ENTRY..end].copy_from_slice(&segment.map(u64::to_le_bytes).concat());
    (program, end - ENTRY + 32)
}
