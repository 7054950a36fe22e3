//! completions/: what `rt completion` prints.

use crate::{Generated, args};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use std::path::Path;

/// Where they lie.
pub(crate) const DIRECTORY: &str = "completions";

/// The commands whose ID is a new name. That of any other is a container's.
const NAME_A_NEW_ONE: [&str; 3] = ["create", "run", "explain"];

/// Where a script has this word, it asks for the names of containers.
const NAMES: &str = "NAMES-OF-CONTAINERS";
const ASK: &str = "rt list --quiet 2>/dev/null";

pub(crate) fn all() -> Vec<Generated> {
    [Shell::Bash, Shell::Zsh, Shell::Fish].map(script).into()
}

fn script(shell: Shell) -> Generated {
    let mut command = command_line();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "rt", &mut script);
    let script = String::from_utf8_lossy(&script);
    let (name, text) = match shell {
        Shell::Zsh => ("_rt", script.replace(NAMES, &format!("$({ASK})"))),
        Shell::Fish => ("rt.fish", script.into_owned() + &fish_positionals(&command)),
        _ => ("rt.bash", script.replace(NAMES, &format!("$({ASK})"))),
    };
    // No trailing spaces, whatever the generator leaves: they are no part of a shell's grammar here.
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    Generated { path: Path::new(DIRECTORY).join(name), text }
}

/// The command line, as it is best typed: the scripts would be twice as long with `rt help COMMAND` and with every option
/// of rt repeated for each command, and rt carries them in its file.
fn command_line() -> Command {
    let mut command = args::command_line().disable_help_subcommand(true).mut_args(|arg| typed(arg.global(false)));
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |mut command| {
            // What a command takes is only there once it is built.
            command.build();
            let new = NAME_A_NEW_ONE.contains(&command.get_name());
            command.mut_args(|arg| match is_called(&arg, "ID") && !new {
                true => arg.value_parser(PossibleValuesParser::new([NAMES])),
                false => typed(arg),
            })
        });
    }
    command
}

/// An argument as a shell should know it.
fn typed(arg: Arg) -> Arg {
    // `--detach=true` is for programs. A word after `--detach` is not its value, and must not be offered as one.
    if arg.is_require_equals_set() {
        let bare = arg.require_equals(false).hide_possible_values(false).hide_default_value(false);
        bare.num_args(0).action(ArgAction::SetTrue)
    } else if is_called(&arg, "DIR") {
        arg.value_hint(ValueHint::DirPath)
    } else {
        arg
    }
}

fn is_called(arg: &Arg, value: &str) -> bool {
    arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == value))
}

/// The generator for fish leaves out what is no option.
fn fish_positionals(command: &Command) -> String {
    let mut text = String::new();
    for command in command.get_subcommands() {
        for arg in command.get_positionals() {
            let values: Vec<String> =
                arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            let words = values.join(" ").replace(NAMES, &format!("({ASK})"));
            if !words.is_empty() {
                let condition = format!("__fish_rt_using_subcommand {}", command.get_name());
                text.push_str(&format!("complete -c rt -n \"{condition}\" -f -a \"{words}\"\n"));
            }
        }
    }
    text
}
