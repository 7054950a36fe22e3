//! What filters do: against libseccomp, and for profiles that nobody would write.

mod libseccomp;
mod oracle;
mod properties;
mod random;
mod refusals;
mod tables;

use rt_seccomp::Profile;

/// The default profiles in profiles/.
const ENGINES: [&str; 4] = ["docker", "containerd", "podman-4", "podman-5"];

fn engine(name: &str) -> Profile {
    let path = format!("{}/tests/filters/profiles/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).expect("a profile")).expect("a profile")
}
