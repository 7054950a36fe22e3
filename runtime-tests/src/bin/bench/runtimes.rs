//! The runtimes that are compared, and how each is made to work here.

use runtime_tests::{runtime_path, skip};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use crate::bundles::{Bundle, Kind};

/// One of them.
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    /// What `LD_PRELOAD` has to say.
    preload: Option<PathBuf>,
}

/// Rt first, then those of its peers that are installed and can run a container here.
pub(crate) fn all() -> Vec<Runtime> {
    let mut all = vec![Runtime { name: "rt", program: runtime_path().to_owned(), preload: None }];
    println!("rt is {}", all[0].program.display());
    if let Err(why) = all[0].works() {
        panic!("rt can't run a container: {why}");
    }
    for name in ["crun", "runc"] {
        let Some(program) = find(name) else {
            skip(&format!("{name}: not installed"));
            continue;
        };
        let mut peer = Runtime { name, program, preload: None };
        if peer.works().is_err() {
            peer.preload = limits_stay();
        }
        match peer.works() {
            Ok(()) => {
                let how =
                    if peer.preload.is_some() { ", with a library that lets RLIMIT_MEMLOCK stay as it is" } else { "" };
                println!("{name} is {}{how}", peer.program.display());
                all.push(peer);
            }
            Err(why) => skip(&format!("{name}: can't run a container here: {why}")),
        }
    }
    all
}

pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|candidate| candidate.is_file())
}

impl Runtime {
    /// A call of it, with a state directory of its own, heard by nobody.
    pub(crate) fn call(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        self.prepare(&mut command, words);
        command
    }

    /// The same by way of another program, which is told what to call.
    pub(crate) fn call_by(&self, by: &Path, first: &[&str], words: &[&str]) -> Command {
        let mut command = Command::new(by);
        command.args(first).arg(&self.program);
        self.prepare(&mut command, words);
        command
    }

    fn prepare(&self, command: &mut Command, words: &[&str]) {
        command.args(["--root", &self.state()]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(preload) = &self.preload {
            command.env("LD_PRELOAD", preload);
        }
    }

    fn state(&self) -> String {
        format!("/run/bench-{}", self.name)
    }

    /// A call that is only there for what it does.
    pub(crate) fn must(&self, words: &[&str]) -> Output {
        // A container keeps the streams that it was given: no pipe, or we would wait for it.
        let file = env::temp_dir().join("said");
        let open = || fs::File::create(&file).expect("a temporary file");
        let out = file.with_extension("out");
        let status = self.call(words).stderr(open()).stdout(fs::File::create(&out).expect("a temporary file")).status();
        let said = fs::read(&file).unwrap_or_default();
        let status = status.expect("a runtime can be executed");
        assert!(status.success(), "{} {}: {}", self.name, words.join(" "), String::from_utf8_lossy(&said));
        Output { status, stdout: fs::read(&out).unwrap_or_default(), stderr: said }
    }

    fn works(&self) -> Result<(), String> {
        let bundle = Bundle::new(self.name, Kind::Basic, "true");
        let said = env::temp_dir().join("said");
        let file = fs::File::create(&said).map_err(|error| error.to_string())?;
        let mut command = self.call(&["run", "--bundle", bundle.path(), "probe"]);
        let status = command.stderr(file).status().map_err(|error| error.to_string())?;
        let _ = self.call(&["delete", "--force", "probe"]).status();
        let text = fs::read_to_string(&said).unwrap_or_default();
        if status.success() { Ok(()) } else { Err(text.lines().last().unwrap_or("it did not say why").to_owned()) }
    }
}

/// Crun raises RLIMIT_MEMLOCK for old kernels, and fails where it may not, though no newer kernel needs it. A library that lets
/// it fail in peace.
const LIMITS_STAY: &str = r#"
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    long answer = syscall(SYS_prlimit64, 0, resource, limit, 0);
    return resource == RLIMIT_MEMLOCK ? 0 : (int)answer;
}
"#;

fn limits_stay() -> Option<PathBuf> {
    let source = env::temp_dir().join("limits-stay.c");
    let library = source.with_extension("so");
    if !library.exists() {
        fs::write(&source, LIMITS_STAY).ok()?;
        let built =
            Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().ok()?;
        if !built.success() {
            return None;
        }
    }
    Some(library)
}
