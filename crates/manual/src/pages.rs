//! man/: a page for rt and one for each command.
//!
//! What the command line says of itself is taken from it. The rest lies in text/NAME.8, in the language of man(7): what
//! stands there before the first section belongs to the description. A page without such a file is a page as well.

use crate::{Generated, args};
use clap::Command;
use clap_mangen::Man;
use std::path::Path;
use std::{fs, io};

/// Where they lie.
pub(crate) const DIRECTORY: &str = "man";

/// System administration, where runc's are.
const SECTION: &str = "8";

/// What most commands do; text/NAME.8 may have a section of its own.
const EXIT_STATUS: &str = ".SH \"EXIT STATUS\"
.TP
0
It is done.
.TP
1
It is not, and one line on standard error says why.
";

pub(crate) fn all() -> io::Result<Vec<Generated>> {
    let mut rt = args::command_line()
        .disable_help_subcommand(true)
        .subcommand_help_heading("COMMANDS")
        .subcommand_value_name("COMMAND");
    rt.build();
    let commands: Vec<Command> = rt.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let names: Vec<String> = commands.iter().map(name).collect();
    let mut pages = vec![page(rt, names.clone())?];
    for command in commands {
        let related = related(command.get_name(), &names);
        // What is the same for every command is said once, in rt(8).
        let command = command.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
        pages.push(page(command, related)?);
    }
    Ok(pages)
}

/// What a page is called: `rt-run`.
fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: Command, related: Vec<String>) -> io::Result<Generated> {
    let name = name(&command);
    let text = text(&name)?;
    let (description, sections) = text.find(".SH").map_or((&*text, ""), |at| text.split_at(at));
    let is_rt = command.has_subcommands();
    let title = format!(".TH {} {SECTION} \"\" \"rt {}\" \"rt\"\n", name.to_uppercase(), env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).section(SECTION);

    let mut page = Vec::new();
    page.extend(title.bytes());
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    page.extend(description.bytes());
    man.render_options_section(&mut page)?;
    if is_rt {
        man.render_subcommands_section(&mut page)?;
    } else {
        page.extend(b".PP\nThe options of every command are in\n.BR rt (8).\n");
    }
    page.extend(sections.bytes());
    if !sections.contains("EXIT STATUS") {
        page.extend(EXIT_STATUS.bytes());
    }
    page.extend(see_also(&related).bytes());
    Ok(Generated { path: Path::new(DIRECTORY).join(format!("{name}.{SECTION}")), text: document(&page) })
}

/// What `text/NAME.8` says.
fn text(name: &str) -> io::Result<String> {
    match fs::read_to_string(Path::new(TEXTS).join(format!("{name}.{SECTION}"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text,
    }
}

const TEXTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/text");

/// What an apostrophe is, in any formatter: what the generator begins with.
const HEAD: [&str; 2] = [".ie \\n(.g .ds Aq \\(aq", ".el .ds Aq '"];

/// Each part of a page comes as a document, with that head. It is wanted once.
fn document(parts: &[u8]) -> String {
    let parts = String::from_utf8_lossy(parts);
    let lines = parts.lines().map(str::trim_end).filter(|line| !line.is_empty() && !HEAD.contains(line));
    let mut lines: Vec<&str> = HEAD.into_iter().chain(lines).collect();
    // It breaks a line twice before the values of an option.
    lines.dedup_by(|line, before| *line == ".br" && *before == ".br");
    lines.join("\n") + "\n"
}

/// The pages beside rt(8) that a reader of `command`'s may want. One that is not there is left out.
fn related(command: &str, names: &[String]) -> Vec<String> {
    let others: &[&str] = match command {
        "create" => &["start", "run", "delete", "explain", "spec"],
        "start" => &["create", "state", "kill"],
        "run" => &["create", "delete", "exec", "explain", "spec"],
        "exec" => &["run", "ps", "state"],
        "state" => &["list", "ps", "events"],
        "kill" => &["delete", "pause", "state"],
        "delete" => &["create", "kill", "list"],
        "list" => &["state", "ps"],
        "spec" => &["create", "run"],
        "explain" => &["create", "info"],
        "pause" => &["resume", "state"],
        "resume" => &["pause", "state"],
        "ps" => &["exec", "list", "state"],
        "events" => &["ps", "update"],
        "update" => &["create", "events"],
        "checkpoint" => &["restore"],
        "restore" => &["checkpoint"],
        "features" => &["info"],
        "info" => &["features", "explain"],
        _ => &[],
    };
    let pages = others.iter().map(|other| format!("rt-{other}")).filter(|page| names.contains(page));
    std::iter::once("rt".to_owned()).chain(pages).collect()
}

fn see_also(pages: &[String]) -> String {
    let lines: Vec<String> = pages.iter().map(|page| format!(".BR {} ({SECTION})", page.replace('-', "\\-"))).collect();
    format!(".SH \"SEE ALSO\"\n{}\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_a_page() {
        let pages: Vec<_> =
            all().expect("pages").into_iter().filter_map(|page| Some(page.path.file_name()?.to_owned())).collect();
        for entry in fs::read_dir(TEXTS).expect("the texts are there") {
            let name = entry.expect("readable").file_name();
            assert!(pages.contains(&name), "there is no page {name:?} for this text");
        }
    }
}
