//! Manual pages, made of what the program itself says of its commands.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use crate::SelfError;

/// That of commands for administrators.
const SECTION: &str = "8";

/// Writes the page of a program and of each of its commands, `lbctl-checkpoint-show.8` say.
pub(crate) fn write(program: Command, directory: &Path) -> Result<(), SelfError> {
    let mut program = program.disable_help_subcommand(true);
    // Names of commands become those of their pages.
    program.build();
    write_below(&program, program.get_version(), directory)
}

fn write_below(command: &Command, version: Option<&str>, directory: &Path) -> Result<(), SelfError> {
    write_page(command, version, directory)?;
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .try_for_each(|below| write_below(below, version, directory))
}

fn write_page(command: &Command, version: Option<&str>, directory: &Path) -> Result<(), SelfError> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let file = directory.join(format!("{name}.{SECTION}"));
    let source = format!("Understudy {}", version.unwrap_or_default());
    let page = Man::new(command.clone()).title(name).section(SECTION).manual("Understudy").source(source.trim());
    let mut text = Vec::new();
    let written = page.render(&mut text).and_then(|()| std::fs::write(&file, &text));
    written.map_err(|source| SelfError::Page { file, source })
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn program() -> Command {
        let deep = Command::new("deep").about("Lies below").arg(Arg::new("depth").long("depth").help("How deep"));
        let hidden = Command::new("hidden").hide(true);
        let group = Command::new("group").about("Holds others").subcommand(deep);
        Command::new("tool").version("1.2.3").about("Does things").subcommand(group).subcommand(hidden)
    }

    #[test]
    fn every_command_has_a_page_and_a_hidden_one_has_none() {
        let directory = tempfile::tempdir().unwrap();
        write(program(), directory.path()).unwrap();
        let entries = std::fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["tool-group-deep.8", "tool-group.8", "tool.8"]);
    }

    #[test]
    fn a_page_says_what_the_program_says() {
        let directory = tempfile::tempdir().unwrap();
        write(program(), directory.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        let page = read("tool.8");
        assert!(page.contains(".TH tool 8") && page.contains("Understudy 1.2.3"), "{page}");
        assert!(page.contains("Does things") && page.contains("tool\\-group(8)"), "{page}");
        let page = read("tool-group-deep.8");
        assert!(page.contains("How deep") && page.contains("Understudy 1.2.3"), "{page}");
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = write(program(), Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.starts_with("cannot write the manual page /nowhere/at/all/tool.8: "), "{error}");
    }
}
