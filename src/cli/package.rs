//! `man` and `completions`: what a package lays beside the program, made from the command line's own description.

use super::failure::Failure;
use super::print::Out;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::roff::{Roff, roman};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const MAN_EXAMPLES: &str = "\
Examples:
  karamail man target/man                   karamail.1, karamail-serve.1, …
  man target/man/karamail-queue-hold.1      shows one of them";

/// What stands at the foot of each page.
const SOURCE: &str = concat!("karamail ", env!("CARGO_PKG_VERSION"));

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  karamail completions bash > /etc/bash_completion.d/karamail
  karamail completions zsh > /usr/local/share/zsh/site-functions/_karamail";

/// Writes a man page for the program and for each of its commands
#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES, hide = true)]
pub(super) struct Man {
    /// The folder they are written to; made where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints what a shell needs to complete commands and options
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Man {
    pub(super) fn run(self, mut program: Command) -> Result<(), Failure> {
        program.build();
        let written = fs::create_dir_all(&self.folder).and_then(|()| write(&program, &self.folder));
        written.map_err(|cause| Failure::Refused(format!("{}: {cause}", self.folder.display())))
    }
}

impl Completions {
    pub(super) fn run(self, mut program: Command, out: &mut Out) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "karamail", &mut script);
        Ok(out.bytes(&script)?)
    }
}

/// Writes the page of a command and those of the commands below it.
fn write(command: &Command, folder: &Path) -> io::Result<()> {
    let below = command.get_subcommands().filter(|command| !command.is_hide_set());
    below.into_iter().try_for_each(|command| write(command, folder))?;
    let examples = command.get_after_help().map(ToString::to_string);
    let man = clap_mangen::Man::new(command.clone().after_help(None::<&str>)).source(SOURCE);
    let mut page = Vec::new();
    man.render(&mut page)?;
    if let Some(examples) = examples {
        as_typed(&examples).to_writer(&mut page)?;
    }
    fs::write(folder.join(man.get_filename()), page)
}

/// Shows lines as they stand: filled into paragraphs, examples could not be read.
fn as_typed(examples: &str) -> Roff {
    let lines = examples.strip_prefix("Examples:\n").unwrap_or(examples);
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    roff.text([roman(lines)]).control("fi", []);
    roff
}
