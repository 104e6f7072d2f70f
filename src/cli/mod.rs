//! The operator's commands, one file each.
//!
//! A command becomes a [`crate::control::Request`]; `ask` carries it to the daemon, or does the work itself while none runs;
//! `print` shows the answer as a table or as JSON. Knows nothing of how anything is decided. What always holds: facts go to
//! standard output and everything else to standard error; the exit code is 0 where it was done, 1 where it was refused or
//! failed, 2 where the command line was wrong; `--json` prints exactly the keys that scripts rely on.

mod address;
mod ask;
mod check;
mod demo;
mod dns;
mod failure;
mod key;
mod log;
mod member;
mod org;
mod owner;
mod package;
mod place;
mod print;
mod progress;
mod queue;
mod serve;
mod store;
mod trace;
mod voice;

use clap::{CommandFactory as _, Parser, Subcommand};
use failure::Failure;
use print::Out;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  karamail check                                    is everything set up rightly?
  karamail dns --verify                             and everything published?
  karamail org add ACME --title '株式会社アクメ'    a new organisation
  karamail member import ACME members.csv           and its members
  karamail trace hanako@docomo.ne.jp                what became of her empty mail?
  karamail log -f                                   what is happening now?
  karamail store backup /var/backups/karamail.db    everything in one file, while it runs

Exit code: 0 done, 1 refused or failed, 2 wrong command line.";

/// The mail daemon of a safety-confirmation service.
#[derive(Debug, Parser)]
#[command(name = "karamail", version, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Arguments {
    /// The settings [default: $KARAMAIL_CONFIG, ./config/karamail.toml, /etc/karamail/karamail.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Check(check::Check),
    Dns(dns::Dns),
    #[command(subcommand)]
    Org(org::Org),
    #[command(subcommand)]
    Member(member::Member),
    #[command(subcommand)]
    Store(store::Store),
    #[command(subcommand)]
    Queue(queue::Queue),
    #[command(subcommand)]
    Address(address::Address),
    #[command(subcommand)]
    Key(key::Key),
    Trace(trace::Trace),
    Log(log::Log),
    Man(package::Man),
    Completions(package::Completions),
}

impl Command {
    fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::Serve(serve) => serve.run(config),
            Self::Demo(demo) => demo.run(out),
            Self::Check(check) => check.run(config, out),
            Self::Dns(dns) => dns.run(config, out),
            Self::Org(org) => org.run(config, out),
            Self::Member(member) => member.run(config, out),
            Self::Store(store) => store.run(config, out),
            Self::Queue(queue) => queue.run(config, out),
            Self::Address(address) => address.run(config, out),
            Self::Key(key) => key.run(config, out),
            Self::Trace(trace) => trace.run(config, out),
            Self::Log(log) => log.run(config, out),
            Self::Man(man) => man.run(Arguments::command()),
            Self::Completions(completions) => completions.run(Arguments::command(), out),
        }
    }
}

/// Gives the tree of all commands, for whoever lists or tries them.
#[must_use]
pub fn tree() -> clap::Command {
    Arguments::command()
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        // Help and version come this way too; they are printed to standard output and leave 0.
        Err(other) => {
            let printed = other.print().is_ok();
            return ExitCode::from(if printed && !other.use_stderr() { 0 } else { 2 });
        }
    };
    let mut out = Out::new();
    let done = arguments.command.run(arguments.config, &mut out).and_then(|()| Ok(out.flush()?));
    done.map_or_else(Failure::exit, |()| ExitCode::SUCCESS)
}
