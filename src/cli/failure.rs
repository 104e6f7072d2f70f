//! Why a command did not do what it was asked.

use std::io::{self, Write};
use std::process::ExitCode;

/// What `serve` leaves where the settings are wrong: `EX_CONFIG` of sysexits.h, so that systemd does not try again in vain.
const SETTINGS: u8 = 78;

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody reads on (`log | head`): no failure to whoever typed that.
    Unread,
    /// What there is to say has been printed.
    Said,
    /// It cannot be, and why.
    Refused(String),
    /// The settings keep the daemon from starting, and what of them; empty: that has been printed.
    Settings(String),
    /// The command line was wrong in a way that only we can see.
    Usage(String),
}

impl Failure {
    /// Refuses with whatever went wrong.
    pub(super) fn refused(why: impl ToString) -> Self {
        Self::Refused(why.to_string())
    }

    /// Says the rest on standard error, and gives the exit code.
    pub(super) fn exit(self) -> ExitCode {
        match self {
            Self::Unread => ExitCode::SUCCESS,
            Self::Said => ExitCode::FAILURE,
            Self::Refused(why) => {
                complain(&why);
                ExitCode::FAILURE
            }
            Self::Settings(why) => {
                if !why.is_empty() {
                    complain(&why);
                }
                ExitCode::from(SETTINGS)
            }
            Self::Usage(why) => {
                complain(&why);
                ExitCode::from(2)
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Refused(format!("standard output cannot be written: {cause}")),
        }
    }
}

/// Says something on standard error.
pub(super) fn complain(what: &str) {
    // Where standard error is closed there is nobody left to tell.
    drop(writeln!(io::stderr(), "karamail: {what}"));
}
