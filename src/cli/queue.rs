//! `queue`: mails that are to go out, why one waits, and what is done to them.

mod act;
mod summary;

use act::Which;

use super::ask::{ask_one, unexpected};
use super::failure::Failure;
use super::org::Form;
use super::print::{Out, moment};
use crate::control::{Action, JobFacts, MailFacts, Request, Response};
use crate::model::{Domain, JobId, MailId};
use crate::queue::{Class, State};
use clap::Subcommand;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

const SUMMARY_EXAMPLES: &str = "\
Examples:
  karamail queue summary
  karamail queue summary --json | jq '.by_destination[] | select(.state != \"open\")'

A destination is a named receiving system, else the server its domains prefer, else a domain. CONN: open connections, how
many it gets now (as was learned) of how many at most. DRAINED: at the pace of the last minute. KEPT BACK: domains whose
names are not answered (dns), or that demand more of a connection than it gives (tls), though their destination is there.";

const LIST_EXAMPLES: &str = "\
Examples:
  karamail queue list --class registration --to docomo.ne.jp
  karamail queue list --state refused                  those that ended are asked for by state

States: queued, sending, deferred, held, unknown; accepted, refused, expired, suppressed, cancelled.
Classes: otp, alert, registration, contact_test, notice, report.";

const SHOW_EXAMPLES: &str = "\
Examples:
  karamail queue show jbb            a mail that goes out
  karamail queue show mb             one that came in; what was kept of it too";

const WHY_EXAMPLES: &str = "\
Examples:
  karamail queue why jbb
  karamail queue why jbb --json | jq -r .cause

Causes: rate, connections, suspended, throttled, breaker, held, retry, greylisted, no-key, dns, tls, full-hour,
queue, next, resolving, sending, not-due, lost, over, worker-lost, daemon-down, ended.";

/// Mails that are to go out
#[derive(Debug, Subcommand)]
pub(super) enum Queue {
    /// Shows the queue at a glance: by destination and age, by class, and when it will be through
    #[command(after_help = SUMMARY_EXAMPLES)]
    Summary {
        #[command(flatten)]
        form: Form,
    },
    /// Lists the mails that wait, the most urgent first
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Only this class
        #[arg(long)]
        class: Option<Class>,
        /// Only to this domain
        #[arg(long, value_name = "DOMAIN")]
        to: Option<Domain>,
        /// Only in this state
        #[arg(long)]
        state: Option<State>,
        /// No more than this many
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        #[command(flatten)]
        form: Form,
    },
    /// Shows one mail, and the one reason it is not moving now
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// A job (j…), or a mail that came in (m…)
        id: Id,
        #[command(flatten)]
        form: Form,
    },
    /// Keeps mails back until they are released; they still end when their time is over
    #[command(after_help = ACT_EXAMPLES)]
    Hold {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        form: Form,
    },
    /// Lets go of mails that are held
    #[command(after_help = ACT_EXAMPLES)]
    Release {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        form: Form,
    },
    /// Tries mails now that wait for another try
    #[command(after_help = ACT_EXAMPLES)]
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        form: Form,
    },
    /// Ends mails for good, after saying which
    #[command(after_help = ACT_EXAMPLES)]
    Drop {
        #[command(flatten)]
        which: Which,
        /// Does not ask at a terminal
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Says the one reason a mail is not moving now, and when it will
    #[command(after_help = WHY_EXAMPLES)]
    Why {
        /// A job (j…)
        id: JobId,
        #[command(flatten)]
        form: Form,
    },
}

const ACT_EXAMPLES: &str = "\
Examples:
  karamail queue hold --to docomo.ne.jp             nothing more goes there
  karamail queue release --to docomo.ne.jp --class alert
  karamail queue retry jbb jbc                      now, not when they are due
  karamail queue drop --class notice --yes          they end as cancelled

What is given has to fit altogether. What is being given to a server at that moment is left alone, and counted.";

/// What `show` can show.
#[derive(Debug, Clone, Copy)]
pub(super) enum Id {
    /// A job.
    Job(JobId),
    /// A mail that came in.
    Mail(MailId),
}

impl FromStr for Id {
    type Err = crate::model::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('m') { text.parse().map(Self::Mail) } else { text.parse().map(Self::Job) }
    }
}

impl Queue {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let (request, form) = match self {
            Self::Summary { form } => (Request::Summary, form),
            Self::List { class, to, state, limit, form } => (list(class, to.as_ref(), state, limit), form),
            Self::Show { id: Id::Job(job), form } => (Request::ShowJob { job }, form),
            Self::Show { id: Id::Mail(mail), form } => (Request::ShowMail { mail }, form),
            Self::Why { id, form } => (Request::Why { job: id }, form),
            Self::Hold { which, form } => return act::run(config, Action::Hold, &which, form, out),
            Self::Release { which, form } => return act::run(config, Action::Release, &which, form, out),
            Self::Retry { which, form } => return act::run(config, Action::Retry, &which, form, out),
            Self::Drop { which, yes, form } => return act::drop_mails(config, &which, yes, form, out),
        };
        match ask_one(config, &request)? {
            Response::Summary(facts) if form.json => Ok(out.json(&facts)?),
            Response::Summary(facts) => Ok(summary::show(out, &facts)?),
            Response::Jobs(jobs) if form.json => Ok(out.json(&jobs)?),
            Response::Jobs(jobs) => Ok(table(out, jobs)?),
            Response::Job(job) if form.json => Ok(out.json(&job)?),
            Response::Job(job) => Ok(show_job(out, job)?),
            Response::Why(why) if form.json => Ok(out.json(&why)?),
            Response::Why(why) => Ok(out.line(&format!("{} ({}): {}", why.job, why.state, why.why))?),
            Response::Mail(mail) if form.json => Ok(out.json(&mail)?),
            Response::Mail(mail) => Ok(show_mail(out, mail)?),
            _ => Err(unexpected()),
        }
    }
}

fn list(class: Option<Class>, to: Option<&Domain>, state: Option<State>, limit: u32) -> Request {
    Request::ListJobs {
        class: class.map(|class| class.to_string()),
        to: to.map(Domain::to_string),
        state: state.map(|state| state.to_string()),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    }
}

fn table(out: &mut Out, jobs: Vec<JobFacts>) -> io::Result<()> {
    let row = |job: JobFacts| {
        let due = job.due.as_deref().map_or_else(|| "-".to_owned(), moment);
        [job.job.to_string(), job.class, job.to.to_string(), job.state, due, job.attempts.to_string()]
    };
    let rows = jobs.into_iter().map(row).collect();
    out.table(["JOB", "CLASS", "TO", "STATE", "DUE", "TRIES"], rows, "no such mails")
}

fn show_job(out: &mut Out, job: JobFacts) -> io::Result<()> {
    let last = job.last.map(|last| format!("{} {} ({})", last.code, last.reply, last.stage));
    out.sheet([
        ("job", Some(job.job.to_string())),
        ("class", Some(job.class)),
        ("to", Some(job.to.to_string())),
        ("state", Some(job.state)),
        ("why", Some(job.why)),
        ("ordered", Some(moment(&job.queued_at))),
        ("due", job.due.as_deref().map(moment)),
        ("given up", Some(moment(&job.give_up))),
        ("tries", Some(job.attempts.to_string())),
        ("last reply", last),
        ("cause", job.cause.map(|mail| mail.to_string())),
    ])
}

fn show_mail(out: &mut Out, mail: MailFacts) -> io::Result<()> {
    out.sheet([
        ("mail", Some(mail.mail.to_string())),
        ("came", Some(format!("{} by {} from {} ({})", moment(&mail.at), mail.via, mail.peer, mail.helo))),
        ("from", Some(mail.from.map_or_else(|| "<>".to_owned(), |from| from.to_string()))),
        ("to", Some(mail.to.to_string())),
        ("message-id", mail.message_id),
        ("size", Some(format!("{} bytes", mail.size))),
        ("decision", Some(mail.decision)),
        ("reason", mail.reason),
    ])?;
    match mail.message {
        Some(message) => {
            out.line("")?;
            message.lines().try_for_each(|line| out.line(&harmless(line)))
        }
        None => Ok(()),
    }
}

/// Shows a stranger's line without letting it speak to the terminal.
fn harmless(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_moves_no_cursor() {
        assert_eq!(harmless("a\u{1b}[2Jb\tc\u{9b}"), "a\u{fffd}[2Jb\tc\u{fffd}");
    }
}
