//! The command line: every way to write an option, the help, the log, and the tables that others parse.

use std::{
    fs,
    os::unix::fs::{chown, symlink},
};

use runtime_tests::{Container, base_config, cgroup_v2, differs, is_runc, newer_than_this_runc, require, runtime_path};
use serde_json::{Value, json};

const COMMANDS: [&str; 8] = ["create", "start", "run", "state", "kill", "delete", "list", "spec"];

/// A container that has been created.
fn created(name: &str) -> Container {
    let container = Container::new(name).args(["sleep", "1000"]);
    container.create().quietly();
    container
}

// ---- version and help ----

#[test]
fn version_begins_with_the_name_and_the_version() {
    let container = Container::new("version");
    for option in ["--version", "-v"] {
        let text = container.call([option]).output().ok();
        let words: Vec<_> = text.lines().next().expect("a line").split(' ').collect();
        let name = runtime_path().file_name().expect("it has one").to_string_lossy();
        assert_eq!(words[..2], [&*name, "version"], "{text}");
        assert!(words[2].starts_with(|first: char| first.is_ascii_digit()), "{text}");
        assert!(text.lines().any(|line| line.starts_with("spec: 1.")), "{text}");
    }
}

#[test]
fn runtime_that_is_called_runc_says_so() {
    // containerd and docker look for "runc version".
    let container = Container::new("version");
    let link = container.outside("runc");
    symlink(runtime_path(), &link).expect("a link can be made");
    let text = container.call(["--version"]).program(&link).output().ok();
    assert!(text.starts_with("runc version "), "{text}");
}

#[test]
fn version_is_three_lines() {
    require!(!is_runc(), "runc adds what it was built with");
    let container = Container::new("version");
    let link = container.outside("runc");
    symlink(runtime_path(), &link).expect("a link can be made");
    let expected = container.bare_call().arg("--version").output().ok();
    let lines: Vec<_> = expected.lines().collect();
    assert!(matches!(lines[..], [_, commit, spec] if commit.starts_with("commit: ") && spec.starts_with("spec: 1.")));
    // git's, or none; with a mark if there were changes.
    let commit = lines[1].trim_start_matches("commit: ").trim_end_matches("-dirty");
    let hash = commit.rsplit_once("-g").map_or(commit, |(_, hash)| hash);
    assert!(commit == "unknown" || hash.len() >= 7 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{expected}");
    // It is an answer of rt itself, wherever it is asked before a command, and whatever else is.
    for words in [&["-v"][..], &["-version"], &["--root", "/no/such/root", "--version"], &["--version", "list"]] {
        container.bare_call().args(words).output().prints(&expected);
    }
    let renamed = expected.replacen("rt ", "runc ", 1);
    container.bare_call().program(&link).arg("--version").output().prints(&renamed);
    container.call(["list", "--version"]).output().refused().says("--version");
}

#[test]
fn help_is_given_for_every_command() {
    let container = Container::new("help");
    for option in ["--help", "-h", "help"] {
        let text = container.call([option]).output().ok();
        for command in COMMANDS {
            assert!(text.contains(command), "no {command} in {text}");
        }
    }
    for command in COMMANDS {
        for words in [[command, "--help"], [command, "-h"], ["help", command]] {
            let text = container.call(words).output().ok();
            assert!(text.contains(command), "no {command} in {text}");
        }
    }
}

#[test]
fn no_command_gives_help() {
    let text = Container::new("help").call([]).output().ok();
    assert!(text.contains("create"), "{text}");
}

#[test]
fn version_and_help_need_no_rights() {
    let container = Container::new("rights");
    for words in [&["--version"][..], &["--help"], &["create", "--help"]] {
        let call = container.bare_call().args(words);
        let text = "exec setpriv --reuid 65534 --regid 65534 --clear-groups -- \"$@\"";
        call.through(text).output().ok();
    }
}

// ---- options ----

#[test]
fn options_can_be_written_in_every_way() {
    for style in [
        &["--bundle", "BUNDLE"][..],
        &["--bundle=BUNDLE"],
        &["-bundle", "BUNDLE"],
        &["-bundle=BUNDLE"],
        &["-b", "BUNDLE"],
        &["-b=BUNDLE"],
    ] {
        let container = Container::new("style").args(["echo", "fine"]);
        let _ = container.creating("run");
        let bundle = container.bundle();
        let words = style.iter().map(|word| word.replace("BUNDLE", &bundle.to_string_lossy()));
        container.call(["run"]).args(words).args([&container.id]).output().prints("fine\n");
        container.leaves_nothing();
    }
}

#[test]
fn global_options_can_be_written_in_every_way() {
    for style in [&["--root", "ROOT"][..], &["--root=ROOT"], &["-root", "ROOT"], &["-root=ROOT"]] {
        let container = created("style");
        let words = style.iter().map(|word| word.replace("ROOT", &container.state_root().to_string_lossy()));
        let call = container.bare_call().args(words).args(["list", "-q"]);
        call.output().prints(&format!("{}\n", container.id));
    }
}

#[test]
fn last_of_a_repeated_option_wins() {
    let container = created("repeated");
    let call = container.bare_call().args(["--root", "/no/such/root", "--root"]).arg(container.state_root());
    call.args(["list", "-f", "json", "-q"]).output().prints(&format!("{}\n", container.id));
}

#[test]
fn options_may_follow_the_name() {
    let container = Container::new("after").args(["sleep", "1000"]);
    let _ = container.creating("create");
    container.call(["create", &container.id, "--bundle"]).args([container.bundle()]).output().quietly();
    container.call(["kill", &container.id, "KILL", "--all"]).output().quietly();
    container.wait_for("stopped");
    container.call(["delete", &container.id, "--force"]).output().quietly();
    container.leaves_nothing();
}

#[test]
fn two_dashes_end_the_options() {
    let container = created("dashes");
    let text = container.call(["state", "--", &container.id]).output().ok();
    assert!(text.contains(&container.id), "{text}");
}

#[test]
fn switch_may_have_a_value() {
    let container = created("switch");
    container.call(["delete", "--force=true", &container.id]).output().quietly();
    container.leaves_nothing();
    container.create().quietly();
    container.start().quietly();
    container.call(["delete", "--force=false", &container.id]).output().refused().says("not stopped");
}

#[test]
fn unknown_option_is_named() {
    let container = Container::new("unknown");
    for words in [&["--frobnicate", "list"][..], &["list", "--frobnicate"], &["create", "-frobnicate", "x"]] {
        container.call(words.iter().copied()).output().refused().says("frobnicate");
    }
}

#[test]
fn unknown_command_is_named() {
    let output = Container::new("unknown").call(["frobnicate"]).output().says("frobnicate");
    if !differs("unknown-command") {
        output.refused();
    }
}

#[test]
fn number_of_arguments_is_checked() {
    let container = Container::new("count");
    for command in ["create", "start", "run", "state", "delete"] {
        // runc's text log puts a backslash before each quote around the command.
        container.call([command]).output().refused().says(command).says("requires exactly 1 argument(s)");
        container.call([command, "one", "two"]).output().refused().says("requires exactly 1 argument(s)");
    }
    container.call(["list", "one"]).output().refused().says("requires exactly 0 argument(s)");
    container.call(["kill"]).output().refused().says("requires a minimum of 1 argument(s)");
    container.call(["kill", "one", "TERM", "three"]).output().refused();
}

#[test]
fn option_without_its_value_is_named() {
    Container::new("value").call(["create", "--bundle"]).output().refused().says("bundle");
}

// ---- names ----

#[test]
fn name_may_have_letters_digits_and_some_signs() {
    for name in ["a", "A-1_2+3.4", "_", "+", "-", "...", "a..b", "0"] {
        let container = Container::new("name").args(["echo", "fine"]);
        let _ = container.creating("run");
        container.call(["run", "--bundle"]).args([container.bundle()]).args(["--", name]).output().prints("fine\n");
    }
}

#[test]
fn name_can_not_be_a_path() {
    let container = Container::new("name").args(["true"]);
    let _ = container.creating("create");
    for name in ["..", ".", "a/b", "/", "../x", "a b", "a\nb", "é", "a*", "a:b", "%s", "~"] {
        let call = container.call(["create", "--bundle"]).args([container.bundle()]).args(["--", name]);
        call.output().refused().says("invalid container ID format");
        for command in ["start", "state", "kill", "delete"] {
            container.call([command, "--", name]).output().refused().says("invalid container ID format");
        }
        container.leaves_nothing();
    }
}

#[test]
fn name_can_not_be_empty() {
    let container = Container::new("name").args(["true"]);
    let _ = container.creating("create");
    container.call(["create", "--bundle"]).args([container.bundle()]).args([""]).output().refused().says("container");
    container.call(["state", ""]).output().refused().says("container");
    container.call(["delete", "--force", ""]).output().refused();
    assert!(container.state_root().is_dir(), "the root itself must not be deleted");
}

#[test]
fn delete_by_force_refuses_a_path_too() {
    let container = created("name");
    let name = format!("../state/{}", container.id);
    container.call(["delete", "--force", &name]).output().refused().says("invalid container ID format");
    assert_eq!(container.status(), "created");
}

#[test]
fn name_that_is_too_long_is_refused() {
    let container = Container::new("name").args(["true"]);
    let _ = container.creating("create");
    let name = "x".repeat(2000);
    container.call(["create", "--bundle"]).args([container.bundle()]).args([&name]).output().refused();
    container.call(["state", &name]).output().refused();
    container.leaves_nothing();
}

// ---- the root directory ----

#[test]
fn root_may_be_relative() {
    let container = created("root");
    let call = container.bare_call().args(["--root", "state", "list", "-q"]);
    call.in_dir(container.outside("")).output().prints(&format!("{}\n", container.id));
}

#[test]
fn root_is_below_run_if_none_is_given() {
    let container = Container::new("default").args(["sleep", "1000"]);
    let _ = container.creating("create");
    let call = |words: &[&str]| container.bare_call().args(words).env("XDG_RUNTIME_DIR", "");
    call(&["create", "--bundle"]).args([container.bundle()]).args([&container.id]).output().quietly();
    let found =
        fs::read_dir("/run").expect("it can be read").flatten().any(|entry| entry.path().join(&container.id).is_dir());
    let listed = call(&["list", "-q"]).output().ok();
    call(&["delete", "--force", &container.id]).output().quietly();
    assert!(found, "no state below /run");
    assert!(listed.lines().any(|line| line == container.id), "{listed}");
}

#[test]
fn root_can_not_be_the_root_of_the_machine() {
    newer_than_this_runc!("refusing --root /");
    let container = Container::new("root");
    container.bare_call().args(["--root", "/", "list"]).output().refused().says("--root");
}

// ---- the log ----

#[test]
fn json_log_of_a_failure_is_one_object() {
    let container = Container::new("log");
    let log = container.outside("log.json");
    let container = container.global("--log").global(&log.to_string_lossy()).global("--log-format").global("json");
    container.call(["state", &container.id]).output().refused().says("container does not exist");
    let text = fs::read_to_string(&log).expect("it is written");
    // podman reads the whole file as one object; containerd wants a time it can parse.
    let entry: Value = serde_json::from_str(&text).expect("one object");
    assert!(text.ends_with("}\n"), "{text}");
    assert_eq!(entry["level"], "error");
    assert!(entry["msg"].as_str().is_some_and(|text| text.contains("container does not exist")), "{text}");
    let time = entry["time"].as_str().expect("a string");
    assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "{time}");
}

#[test]
fn text_log_of_a_failure_is_one_line() {
    let container = Container::new("log");
    let log = container.outside("log.txt");
    for format in [&[][..], &["--log-format=text"]] {
        let mut words = vec!["--log=LOG"];
        words.extend(format);
        words.extend(["state", &container.id]);
        let words: Vec<_> = words.iter().map(|word| word.replace("LOG", &log.to_string_lossy())).collect();
        container.call(words.iter().map(String::as_str)).output().refused();
    }
    let text = fs::read_to_string(&log).expect("it is written");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "the second call appends: {text}");
    for line in lines {
        assert!(line.starts_with("time=\"2"), "{line}");
        assert!(line.contains("\" level=error msg=\""), "{line}");
        assert!(line.contains("container does not exist") && line.ends_with('"'), "{line}");
    }
}

#[test]
fn log_of_a_success_is_empty() {
    let container = Container::new("log").args(["true"]);
    let log = container.outside("log.json");
    let container = container.global("--log").global(&log.to_string_lossy()).global("--log-format=json");
    container.run().quietly();
    assert_eq!(fs::read_to_string(&log).unwrap_or_default(), "");
}

#[test]
fn log_has_the_error_and_no_warning() {
    let container = Container::new("log").capability("CAP_FLY").args(["no-such-program"]);
    let log = container.outside("log.json");
    let container = container.global("--log").global(&log.to_string_lossy()).global("--log-format=json");
    container.create().refused();
    let text = fs::read_to_string(&log).expect("it is written");
    if differs("one-line-in-the-log") {
        return;
    }
    let entry: Value = serde_json::from_str(&text).expect("one object");
    assert_eq!(entry["level"], "error");
    assert!(entry["msg"].as_str().is_some_and(|text| text.contains("no-such-program")), "{text}");
}

#[test]
fn error_with_quotes_and_newlines_is_still_json() {
    let container = Container::new("log").args(["no \"such\"\nprogram\t\u{1}\\"]);
    let log = container.outside("log.json");
    let container = container.global("--log").global(&log.to_string_lossy()).global("--log-format=json");
    let _ = container.create().exits(1);
    let text = fs::read_to_string(&log).expect("it is written");
    let line = if differs("one-line-in-the-log") { text.lines().next_back().expect("a line") } else { &text };
    let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(entry["level"], "error");
}

#[test]
fn log_that_can_not_be_written_is_an_error() {
    let container = Container::new("log");
    container.call(["--log", "/no/such/directory/log", "list"]).output().refused().says("/no/such/directory/log");
}

#[test]
fn unknown_log_format_is_refused() {
    let container = Container::new("log");
    container.call(["--log-format", "xml", "list"]).output().refused().says("xml");
}

#[test]
fn debug_does_not_touch_the_output_of_the_container() {
    let output = Container::new("debug").global("--debug").args(["echo", "fine"]).run();
    assert_eq!(output.stdout, "fine\n");
    assert_eq!(output.code, 0);
}

#[test]
fn log_level_can_be_chosen() {
    require!(!is_runc(), "runc has no --log-level");
    for level in ["error", "warning", "debug"] {
        Container::new("level").global("--log-level").global(level).args(["echo", "fine"]).run().prints("fine\n");
    }
    Container::new("level").call(["--log-level", "shouting", "list"]).output().refused().says("shouting");
}

// ---- other global options ----

#[test]
fn rootless_can_be_switched_off_and_left_to_the_runtime() {
    for value in ["false", "auto"] {
        Container::new("rootless").global("--rootless").global(value).args(["echo", "fine"]).run().prints("fine\n");
    }
}

#[test]
fn cgroup_manager_can_be_chosen() {
    require!(!is_runc(), "runc has no --cgroup-manager");
    Container::new("manager").global("--cgroup-manager=cgroupfs").args(["echo", "fine"]).run().prints("fine\n");
    Container::new("manager").call(["--cgroup-manager=heap", "list"]).output().refused().says("heap");
}

#[test]
fn systemd_cgroups_without_systemd_are_refused() {
    Container::new("systemd").global("--systemd-cgroup").args(["true"]).create().refused().says("systemd");
}

#[test]
fn config_may_be_another_file() {
    require!(!is_runc(), "runc has no run --config");
    let container = Container::new("config").args(["echo", "wrong"]);
    let _ = container.creating("run");
    let file = container.outside("other.json");
    let other = Container::new("config").args(["echo", "right"]).config.clone();
    fs::write(&file, other.to_string()).expect("it can be written");
    for option in ["--config", "-f"] {
        let container = Container::new("config").args(["echo", "wrong"]).option(option).option(&file.to_string_lossy());
        container.run().prints("right\n");
    }
}

#[test]
fn runtime_may_be_called_through_a_link() {
    let container = Container::new("link").args(["echo", "fine"]);
    let link = container.outside("another-name");
    symlink(runtime_path(), &link).expect("a link can be made");
    container.creating("run").program(&link).output().prints("fine\n");
    container.leaves_nothing();
}

#[test]
fn runtime_may_be_found_in_the_path() {
    let container = Container::new("path").args(["echo", "fine"]);
    let directory = container.outside("path");
    fs::create_dir(&directory).expect("it can be made");
    symlink(runtime_path(), directory.join("the-runtime")).expect("a link can be made");
    let text = format!("PATH={}:$PATH; shift; exec the-runtime \"$@\"", directory.display());
    container.creating("run").through(&text).output().prints("fine\n");
    container.leaves_nothing();
}

// ---- list ----

/// A table as Go's tabwriter makes it: columns of 12 or more, three spaces between, the last one as it is.
fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12);
    rows.iter()
        .map(|row| {
            let (last, others) = row.split_last().expect("a row has columns");
            let cells = others.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
            cells.collect::<String>() + last + "\n"
        })
        .collect()
}

fn header() -> Vec<String> {
    ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from).to_vec()
}

#[test]
fn empty_list_is_a_header() {
    let container = Container::new("list");
    container.call(["list"]).output().prints("ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    container.call(["list", "--format", "table"]).output().prints(&table(&[header()]));
    container.call(["list", "-q"]).output().prints("");
    container.call(["list", "--quiet"]).output().prints("");
    container.call(["list", "--format", "json"]).output().prints("null\n");
}

#[test]
fn list_without_a_root_directory_is_empty() {
    let container = Container::new("list");
    fs::remove_dir(container.state_root()).expect("it is empty");
    container.call(["list", "-q"]).output().prints("");
}

#[test]
fn list_is_the_table_that_others_parse() {
    let container = created("list");
    let state = container.state();
    let text = |key: &str| state[key].as_str().expect("a string").to_owned();
    let row = vec![
        container.id.clone(),
        container.pid().to_string(),
        "created".into(),
        text("bundle"),
        text("created"),
        "root".into(),
    ];
    container.call(["list"]).output().prints(&table(&[header(), row]));
}

#[test]
fn list_shows_a_stopped_container_without_a_pid() {
    let container = created("list");
    container.kill("KILL").quietly();
    container.wait_for("stopped");
    let text = container.call(["list"]).output().ok();
    let words: Vec<_> = text.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(words[1..3], ["0", "stopped"]);
}

#[test]
fn list_in_json_is_one_line_of_states_with_their_owners() {
    let container =
        Container::new("list").edit(|config| config["annotations"] = json!({ "a": "1" })).args(["sleep", "1000"]);
    container.create().quietly();
    let mut expected = container.state();
    expected["owner"] = json!("root");
    for words in [["list", "--format", "json"], ["list", "-f", "json"]] {
        let text = container.call(words).output().ok();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(text.starts_with("[{\"ociVersion\":\""), "{text}");
        assert!(text.ends_with(",\"annotations\":{\"a\":\"1\"},\"owner\":\"root\"}]\n"), "{text}");
        let list: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(list, json!([expected]));
    }
}

#[test]
fn list_is_sorted_by_name() {
    let container = Container::new("sorted").args(["sleep", "1000"]);
    let _ = container.creating("create");
    let name = |prefix: &str| format!("{prefix}-{}", container.id);
    for prefix in ["b", "c", "a"] {
        container.call(["create", "--bundle"]).args([container.bundle()]).args([name(prefix)]).output().quietly();
    }
    container.call(["list", "-q"]).output().prints(&format!("{}\n{}\n{}\n", name("a"), name("b"), name("c")));
    for prefix in ["b", "c", "a"] {
        container.call(["delete", &name(prefix)]).output().quietly();
    }
}

#[test]
fn owner_in_the_list_is_the_owner_of_the_state() {
    let container = created("owner");
    let directory = container.state_root().join(&container.id);
    chown(&directory, Some(4242), None).expect("root may");
    let text = container.call(["list"]).output().ok();
    assert!(text.trim_end().ends_with("#4242"), "{text}");
    chown(&directory, Some(0), None).expect("root may");
}

#[test]
fn list_passes_over_what_is_no_container() {
    let container = created("list");
    fs::create_dir(container.state_root().join("half-created")).expect("it can be made");
    fs::write(container.state_root().join("a-file"), "").expect("it can be made");
    container.call(["list", "-q"]).output().prints(&format!("{}\n", container.id));
    fs::remove_dir(container.state_root().join("half-created")).expect("it is empty");
    fs::remove_file(container.state_root().join("a-file")).expect("it is there");
}

#[test]
fn unknown_list_format_is_refused() {
    let container = Container::new("list");
    let words = if differs("wording") { "invalid format option" } else { "yaml" };
    container.call(["list", "--format", "yaml"]).output().refused().says(words);
}

// ---- spec ----

#[test]
fn spec_writes_the_config_that_everybody_starts_from() {
    let container = Container::new("spec");
    fs::remove_file(container.bundle().join("config.json")).unwrap_or_default();
    container.call(["spec"]).in_dir(container.bundle()).output().quietly();
    let text = fs::read_to_string(container.bundle().join("config.json")).expect("it is written");
    assert!(text.starts_with("{\n\t\"ociVersion\": \"1."), "indented with tabs: {text}");
    let mut written: Value = serde_json::from_str(&text).expect("it is JSON");

    let mut expected = base_config();
    // runc hides the host's cgroups only where there is v2 alone.
    if cgroup_v2() || !is_runc() {
        expected["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "cgroup" }));
    }
    // Newer runcs leave the ambient set out; what it is called and whether it has a terminal is everybody's own.
    for config in [&mut written, &mut expected] {
        config["process"]["capabilities"].as_object_mut().expect("an object").remove("ambient");
        config["process"]["terminal"].take();
        config["ociVersion"].take();
        config["hostname"].take();
    }
    assert_eq!(written, expected);
}

#[test]
fn what_spec_writes_can_be_run() {
    let container = Container::new("spec");
    container.call(["spec", "--bundle"]).args([container.bundle()]).output().quietly();
    let file = container.bundle().join("config.json");
    let mut config: Value =
        serde_json::from_str(&fs::read_to_string(&file).expect("it is written")).expect("it is JSON");
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["echo", "fine"]);
    container.edit(|own| *own = config).run().prints("fine\n");
}

#[test]
fn spec_does_not_overwrite() {
    let container = Container::new("spec");
    let file = container.bundle().join("config.json");
    fs::write(&file, "mine").expect("it can be written");
    container.call(["spec", "-b"]).args([container.bundle()]).output().refused().says("config.json");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");
}

#[test]
fn spec_needs_a_bundle_that_exists() {
    Container::new("spec").call(["spec", "--bundle", "/no/such/bundle"]).output().refused().says("/no/such/bundle");
}
