//! What is run: a small config, and one as an engine writes it.

use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Which config.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The repository's example.
    Basic,
    /// As an engine writes it: more mounts, more paths, more devices, parameters; without seccomp.
    Real,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Real => "real",
        }
    }
}

/// A directory with a config and the root file system that all share.
pub(crate) struct Bundle {
    path: PathBuf,
    config: Value,
}

impl Bundle {
    /// For the runtime `owner`. `program` is `true`, or `pause`, which does nothing until it is killed.
    pub(crate) fn new(owner: &str, kind: Kind, program: &str) -> Self {
        let path = env::temp_dir().join(format!("bundle-{owner}-{}-{program}", kind.name()));
        fs::create_dir_all(&path).expect("a bundle can be made");
        let mut config: Value = serde_json::from_str(match kind {
            Kind::Basic => include_str!("../../../../config.example.json"),
            Kind::Real => include_str!("../../../benches/real.json"),
        })
        .expect("the config is JSON");
        // What the oldest of them knows.
        config["ociVersion"] = json!("1.0.2");
        config["process"]["args"] = if program == "pause" { json!(["/bin/sleep", "86400"]) } else { json!([PROGRAM]) };
        config["root"]["path"] = json!(root());
        for mount in config["mounts"].as_array_mut().into_iter().flatten().filter(|mount| mount["type"] == "bind") {
            let source = path.join(mount["source"].as_str().expect("a bind has a source"));
            fs::write(&source, "bench\n").expect("a bind's source can be written");
            mount["source"] = json!(source);
        }
        let bundle = Self { path, config };
        bundle.at(owner);
        bundle
    }

    /// Give the next container a cgroup of this name, below the view's.
    pub(crate) fn at(&self, name: &str) -> &Self {
        let mut config = self.config.clone();
        let view = env::var("RT_TEST_CGROUP").expect("in a view");
        config["linux"]["cgroupsPath"] = json!(format!("{view}/bench-{name}"));
        let text = serde_json::to_string_pretty(&config).expect("JSON");
        fs::write(self.path.join("config.json"), text).expect("the config can be written");
        self
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().expect("a readable path")
    }
}

/// The program of a container that ends at once.
pub(crate) const PROGRAM: &str = "/bin/true";

fn root() -> PathBuf {
    let root = env::temp_dir().join("root");
    if !root.exists() {
        make(&root);
    }
    root
}

fn make(root: &Path) {
    for directory in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] {
        fs::create_dir_all(root.join(directory)).expect("the root can be made");
    }
    let busybox = env::var("BUSYBOX").unwrap_or_else(|_| "busybox".into());
    let made = Command::new("sh")
        .args(["-c", r#"cp "$(command -v "$0")" "$1/busybox" && chmod 755 "$1/busybox""#, &busybox])
        .arg(root.join("bin"))
        .status()
        .expect("sh runs");
    assert!(made.success(), "no busybox: install busybox-static, or set BUSYBOX to a static one");
    for name in ["true", "sleep"] {
        symlink("busybox", root.join("bin").join(name)).expect("a link can be made");
    }
}
