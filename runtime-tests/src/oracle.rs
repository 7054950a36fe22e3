//! Which runtime is under test, and where it may differ from the others.

use std::{
    env,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
};

/// The runtime under test: `$RUNTIME` (a path, or a name to find in `$PATH`), else the workspace's own build.
pub fn runtime_path() -> &'static Path {
    static RUNTIME: OnceLock<PathBuf> = OnceLock::new();
    RUNTIME.get_or_init(|| match env::var_os("RUNTIME") {
        Some(name) => find(Path::new(&name)),
        None => workspace_build(),
    })
}

fn find(name: &Path) -> PathBuf {
    if name.components().count() > 1 {
        return name.canonicalize().unwrap_or_else(|error| panic!("RUNTIME={}: {error}", name.display()));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("RUNTIME={}: not in PATH", name.display()))
}

fn workspace_build() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    [format!("{triple}/release/rt"), format!("{triple}/debug/rt"), "release/rt".into(), "debug/rt".into()]
        .iter()
        .find_map(|build| target.join(build).canonicalize().ok())
        .unwrap_or_else(|| panic!("no rt below {}: build it, or set RUNTIME", target.display()))
}

/// Is the runtime under test called runc?
pub fn is_runc() -> bool {
    runtime_path().file_name().is_some_and(|name| name == "runc")
}

/// Is it a runc before 1.2, which lacks what newer versions of the runtime-spec added?
pub fn old_runc() -> bool {
    static OLD: OnceLock<bool> = OnceLock::new();
    *OLD.get_or_init(|| {
        let version = Command::new(runtime_path()).arg("--version").output().expect("the runtime runs");
        let version = String::from_utf8_lossy(&version.stdout);
        version.starts_with("runc version 1.0") || version.starts_with("runc version 1.1")
    })
}

/// True where the runtime under test is runc and behaves in the other way that `DIFFERENCES.md` describes under `id`.
///
/// With `RT_TEST_STRICT` set it is never true: then runc has to do as rt does, and fails where the difference is real.
pub fn differs(id: &str) -> bool {
    assert!(
        include_str!("../DIFFERENCES.md").contains(&format!("\n## {id}\n")),
        "the difference \"{id}\" has no section in DIFFERENCES.md"
    );
    is_runc() && env::var_os("RT_TEST_STRICT").is_none()
}

/// Say on the real standard error, past the capture of the test runner, that this test does not run here; and count it
/// in the file named by `RT_TEST_SKIPS`.
pub fn skip(reason: &str) {
    let line = format!("skipped: {}: {reason}\n", thread::current().name().unwrap_or("?"));
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = env::var_os("RT_TEST_SKIPS") {
        let mut file = OpenOptions::new().append(true).create(true).open(file).expect("RT_TEST_SKIPS can be written");
        file.write_all(line.as_bytes()).expect("RT_TEST_SKIPS can be written");
    }
}
