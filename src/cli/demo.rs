//! The whole daemon on loopback, shown with one real empty mail.
//!
//! Nothing here is made for the show but the stage: the settings are a file like any other, the organisation and its member
//! come in by the operator's socket, the mail by the daemon's own SMTP listener, and the link is taken from the captured
//! answer. What always holds: no mail leaves the machine, and without `--keep` nothing stays behind.

mod stage;

use super::failure::Failure;
use super::print::Out;
use super::serve::Ending;
use super::{serve, voice};
use crate::config::Format;
use crate::control::{Request, Response, ask};
use crate::daemon::{Daemon, World};
use crate::model::{JobId, Span};
use crate::net::tls::Connectors;
use crate::outbound::demand::Demand;
use crate::outbound::dial::{Dialer, Peer, Sources};
use crate::queue::State;
use crate::smtp::client::Upshot;
use crate::store::{JobFilter, Store, StoreError};
use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use mail_parser::MessageParser;
use stage::Stage;
use std::path::PathBuf;

/// How long the answer may take before something must be wrong.
const PATIENCE: Span = Span::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  karamail demo                        stays up until Ctrl-C
  karamail demo --once                 ends when the answer has been captured
  karamail demo --keep /tmp/karamail   then: karamail trace … -c /tmp/karamail/karamail.toml";

/// Shows the whole daemon on loopback, with one real empty mail
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Demo {
    /// End with exit code 0 once the answer has been captured, instead of staying up
    #[arg(long)]
    once: bool,
    /// Keep the data in DIR (made where missing), for other commands: -c DIR/karamail.toml
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Demo {
    pub(super) fn run(self, out: &mut Out) -> Result<(), Failure> {
        voice::start(Format::Text, "warn");
        serve::on_all_cores(self.perform(out))?.map_err(|error| Failure::Refused(format!("{error:#}")))
    }

    async fn perform(&self, out: &mut Out) -> anyhow::Result<()> {
        let world = World::real();
        let (stage, config, doors) = Stage::set(self.keep.as_deref(), &world.random)?;
        let mut daemon = Daemon::start(config, doors, world.clone()).await?;
        let programme = show(&stage, &daemon, &world).await;
        if let Ok(programme) = &programme {
            out.line(programme)?;
            out.flush()?;
            if !self.once {
                out.line("Ctrl-C ends the demonstration.")?;
                out.flush()?;
                Ending::listen()?.wait(&mut daemon).await?;
            }
        }
        daemon.stop().await;
        programme.map(drop)
    }
}

/// Lets the journey happen; gives what the visitor is told.
async fn show(stage: &Stage, daemon: &Daemon, world: &World) -> anyhow::Result<String> {
    enrol(stage).await?;
    let deadline = world.clock.now().plus(PATIENCE);
    let answered = world.clock.within(deadline, send_and_await(stage, daemon, world)).await;
    let job = answered.context("no answer was captured within a minute; the log above says why")??;
    let file = stage.outbox().join(format!("{job}.eml"));
    let answer = std::fs::read(&file).with_context(|| format!("the captured answer, {}", file.display()))?;
    let link = link_in(&answer).context("the captured answer has no link")?;
    Ok(stage.programme(daemon, &link))
}

/// Puts in the organisation and its member, as an operator does; where the data was kept they are there already.
async fn enrol(stage: &Stage) -> anyhow::Result<()> {
    for request in stage.enrolment() {
        let mut answers = ask(stage.data_dir(), &request).await?;
        while let Some(answer) = answers.next().await? {
            match (&request, answer) {
                (Request::ImportMembers { .. }, Response::Refused { why }) => bail!(why),
                (_, Response::Faults { .. }) => bail!("the demonstration's own members are refused"),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Sends the empty mail and waits until the answer to it has been taken.
async fn send_and_await(stage: &Stage, daemon: &Daemon, world: &World) -> anyhow::Result<JobId> {
    let mut commits = daemon.commits.clone();
    let before = newest_answer(stage, &daemon.store).await?;
    send_empty_mail(stage, daemon, world).await?;
    loop {
        commits.mark_unchanged();
        match newest_answer(stage, &daemon.store).await? {
            newest @ Some(job) if newest != before => return Ok(job),
            Some(_) | None => commits.changed().await?,
        }
    }
}

/// The last mail to the demonstration's phone that was accepted.
async fn newest_answer(stage: &Stage, store: &Store) -> Result<Option<JobId>, StoreError> {
    let filter = JobFilter {
        to: Some(stage.phone().clone()),
        state: Some(State::Accepted),
        ended: true,
        limit: 1,
        ..JobFilter::default()
    };
    let jobs = store.read::<_, StoreError, _>(move |tx| tx.list_jobs(&filter)).await?;
    Ok(jobs.first().map(|job| job.id))
}

async fn send_empty_mail(stage: &Stage, daemon: &Daemon, world: &World) -> anyhow::Result<()> {
    let address = *daemon.smtp.first().context("the demonstration has an SMTP listener")?;
    let tls = Connectors::new(None, &world.clock)?;
    let name = "phone.karamail.example".to_owned();
    let dialer = Dialer::new(world.clock.clone(), name, tls, Sources::default(), None);
    let peer = Peer { name: "localhost".to_owned(), address };
    let opened = dialer.open(&peer, &Demand::Plain).await;
    let mut session = opened.map_err(|trouble| anyhow!("{}: {}", trouble.stage, trouble.reply))?;
    let give_up = world.clock.now().plus(PATIENCE);
    let ending = session.deliver(&stage.envelope(), &stage.empty_mail(), give_up).await;
    session.quit().await;
    match ending.upshot {
        Upshot::Accepted(_) => Ok(()),
        other => bail!("the empty mail was not taken: {other:?}"),
    }
}

fn link_in(message: &[u8]) -> Option<String> {
    let message = MessageParser::default().parse(message)?;
    let body = message.body_text(0)?;
    body.lines().map(str::trim).find(|line| line.starts_with("http")).map(str::to_owned)
}
