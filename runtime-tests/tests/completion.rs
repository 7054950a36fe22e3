//! `completion`: scripts that shells take, and that complete.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use runtime_tests::{Container, Output, is_runc, require, runtime_path};

fn script(container: &Container, shell: &str) -> String {
    let output = container.bare_call().args(["completion", shell]).output();
    assert_eq!(output.stderr, "");
    output.ok()
}

/// The script in a file, and the runtime as `rt` in a directory for `PATH`.
fn prepared(container: &Container, shell: &str) -> (PathBuf, PathBuf) {
    let (file, bin) = (container.outside(shell), container.outside("bin"));
    fs::write(&file, script(container, shell)).expect("it can be written");
    if !bin.exists() {
        fs::create_dir(&bin).expect("it can be made");
        symlink(runtime_path(), bin.join("rt")).expect("a link can be made");
    }
    (file, bin)
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// What bash offers for the last of `words`.
fn offered(container: &Container, words: &[&str]) -> Vec<String> {
    let (file, bin) = prepared(container, "bash");
    let text = "PATH=$1:$PATH; source \"$2\"; shift 2
        function=$(complete -p rt | sed -E 's/.* -F ([^ ]+) .*/\\1/')
        COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
        \"$function\" rt \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let call = container.bare_call().program("bash").args(["-c", text, "bash"]).args([bin, file]).args(words);
    said(call.env("XDG_RUNTIME_DIR", "").output()).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn said(output: Output) -> String {
    assert_eq!(output.stderr, "", "{output:?}");
    output.ok()
}

/// The commands that help lists.
fn commands(container: &Container) -> Vec<String> {
    let help = container.bare_call().arg("--help").output().ok();
    let (_, rest) = help.split_once("\nCommands:\n").expect("help lists commands");
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| !line.starts_with("    ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn bash_takes_its_script() {
    require!(!is_runc(), "runc has no completion");
    let container = Container::new("bash");
    let (file, _) = prepared(&container, "bash");
    container.bare_call().program("bash").arg("-n").arg(file).output().quietly();
}

#[test]
fn zsh_takes_its_script() {
    require!(!is_runc(), "runc has no completion");
    require!(has("zsh"), "no zsh");
    let container = Container::new("zsh");
    let (file, _) = prepared(&container, "zsh");
    container.bare_call().program("zsh").arg("-n").arg(file).output().quietly();
}

#[test]
fn fish_takes_its_script() {
    require!(!is_runc(), "runc has no completion");
    require!(has("fish"), "no fish");
    let container = Container::new("fish");
    let (file, bin) = prepared(&container, "fish");
    container.bare_call().program("fish").arg("--no-execute").arg(&file).output().quietly();
    let text = format!("set -p PATH {}; source {}; complete -C 'rt ru'", bin.display(), file.display());
    let output = container.bare_call().program("fish").args(["--no-config", "-c", &text]).output().ok();
    assert!(output.starts_with("run\t"), "{output}");
}

#[test]
fn every_command_is_in_every_script() {
    require!(!is_runc(), "runc has no completion");
    let container = Container::new("commands");
    let commands = commands(&container);
    assert!(commands.len() > 10, "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let text = script(&container, shell);
        for command in &commands {
            let known = text.split(|c: char| !c.is_alphanumeric()).any(|word| word == command);
            assert!(known, "no {command} for {shell}");
        }
    }
}

#[test]
fn bash_completes_commands_options_and_values() {
    require!(!is_runc(), "runc has no completion");
    let container = Container::new("bash");
    assert_eq!(offered(&container, &["rt", "ru"]), ["run"]);
    assert_eq!(offered(&container, &["rt", "--log-l"]), ["--log-level"]);
    assert_eq!(offered(&container, &["rt", "--log-level", "w"]), ["warning"]);
    assert_eq!(offered(&container, &["rt", "--root", "/x", "sta"]), ["start", "state"]);
    assert_eq!(offered(&container, &["rt", "list", "--format", ""]), ["table", "json"]);
    assert_eq!(offered(&container, &["rt", "completion", ""]).last().map(String::as_str), Some("fish"));

    let options = offered(&container, &["rt", "run", "--"]);
    let help = container.bare_call().args(["run", "--help"]).output().ok();
    for option in ["--bundle", "--detach", "--pid-file", "--keep", "--no-pivot"] {
        assert!(options.iter().any(|offer| offer == option), "no {option} in {options:?}");
    }
    for option in &options {
        assert!(help.contains(option.as_str()), "{option} is not in the help");
    }
}

#[test]
fn bash_completes_the_names_of_containers() {
    require!(!is_runc(), "runc has no completion");
    let container = Container::new("names").args(["sleep", "1000"]);
    let _ = container.creating("create");
    // The script asks for those below the usual root.
    let call = |words: &[&str]| container.bare_call().args(words).env("XDG_RUNTIME_DIR", "");
    call(&["create", "--bundle"]).args([container.bundle()]).args([&container.id]).output().quietly();
    let (start, _) = container.id.rsplit_once('-').expect("it has a number");
    let [state, run] = ["state", "run"].map(|command| offered(&container, &["rt", command, start]));
    call(&["delete", "--force", &container.id]).output().quietly();
    assert!(state.contains(&container.id), "{state:?}");
    assert!(!run.contains(&container.id), "a new one has a new name: {run:?}");
}

#[test]
fn a_tab_completes() {
    require!(!is_runc(), "runc has no completion");
    require!(Path::new("/usr/bin/script").exists(), "no script(1), which gives bash a terminal");
    let container = Container::new("tab");
    let (file, bin) = prepared(&container, "bash");
    let keys = container.outside("keys");
    // What is completed is echoed first and said by echo then.
    fs::write(&keys, "rt() { echo \"asked: $*\"; }\nrt ru\t--det\tx\nexit\n").expect("it can be written");
    let rc = container.outside("bashrc");
    fs::write(&rc, format!("PATH={}:$PATH\nsource {}\nPS1='$ '\n", bin.display(), file.display()))
        .expect("it can be written");
    let shell = format!("bash --noprofile --rcfile {} -i", rc.display());
    let call = container.bare_call().program("/usr/bin/script").args(["--quiet", "--command", &shell, "/dev/null"]);
    let output = call.stdin(keys).env("TERM", "dumb").env("INPUTRC", "/dev/null").output();
    assert!(output.stdout.contains("asked: run --detach x"), "{output:?}");
}

#[test]
fn unknown_shell_is_refused() {
    require!(!is_runc(), "runc has no completion");
    let container = Container::new("shell");
    container.bare_call().args(["completion", "csh"]).output().refused().says("csh");
    container.bare_call().arg("completion").output().refused().says("requires exactly 1 argument(s)");
}
