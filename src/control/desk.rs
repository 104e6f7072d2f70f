//! Answers requests out of the database.

use super::facts::{
    AddressFacts, EventFacts, ImportFacts, JobFacts, MailFacts, OrgFacts, PlaceFacts, SecondFactors, TraceFacts,
    WhyFacts,
};
use super::why::{Reason, Sight, reason};
use super::{Live, Request, Response, journey};
use crate::clock::Clock;
use crate::keys::Keychain;
use crate::maillog;
use crate::model::{EmailAddress, JobId, MailId, OrgCode, Span};
use crate::queue::destination::Groups;
use crate::queue::{Class, Job, State};
use crate::random::Random;
use crate::service::members::{ImportError, Importer, MemberFile};
use crate::service::notice::Notices;
use crate::store::{AddressRow, AddressState, EventFilter, JobFilter, Org, Store, StoreError, Tail, Tx};
use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// How many rows one line of an answer holds.
pub(super) const PAGE: usize = 500;
/// How often the log is looked at where no commit of ours says that there is news: another node may have written.
const LOOK: Span = Span::from_secs(2);
/// The most lines of the log that are looked up backwards: they are held in memory.
const LINES: usize = 100_000;
/// The longest title of an organisation, in characters, as of that of the service: a code or a link stands behind it in a mail
/// that phones may cut.
const TITLE_MAX: usize = 64;

/// Answers the operator.
#[derive(Clone)]
pub struct Desk {
    /// Where everything is.
    pub store: Store,
    /// The keys, which it changes too.
    pub keys: Keychain,
    /// How long a link lives: so long its key is needed.
    pub link_lifetime: Span,
    /// Where nonces come from.
    pub random: Random,
    /// What tells members.
    pub notices: Notices,
    /// What time it is.
    pub clock: Clock,
    /// Changes with each commit that has events; closed where nobody writes but us.
    pub commits: watch::Receiver<u64>,
    /// Delivery at work; nothing while no daemon runs.
    pub live: Option<Arc<dyn Live>>,
    /// The receiving systems that have a name, for as long as no daemon knows them better.
    pub groups: Groups,
    /// Where the daemon listens.
    pub doors: Vec<SocketAddr>,
}

/// Why a request is not done.
pub(super) enum Stop {
    /// The operator is told why.
    Refused(String),
    /// Nobody is listening any more.
    Gone,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl<T> From<mpsc::error::SendError<T>> for Stop {
    fn from(_: mpsc::error::SendError<T>) -> Self {
        Self::Gone
    }
}

pub(super) fn refused(why: impl Display) -> Stop {
    Stop::Refused(why.to_string())
}

impl Desk {
    /// Answers one request; the last response is [`Response::End`]. Ends early when nobody listens.
    pub async fn answer(&self, request: Request, to: mpsc::Sender<Response>) {
        let last = match self.work(request, &to).await {
            Ok(()) => Ok(()),
            Err(Stop::Refused(why)) => to.send(Response::Refused { why }).await,
            Err(Stop::Gone) => return,
        };
        if last.is_err() || to.send(Response::End).await.is_err() {
            tracing::debug!("a command was gone before it heard the end of its answer");
        }
    }

    async fn work(&self, request: Request, to: &mpsc::Sender<Response>) -> Result<(), Stop> {
        let response = match request {
            Request::Ping => {
                self.store.read(|tx| tx.next_dues()).await?;
                Response::Up { doors: self.doors.clone() }
            }
            Request::AddOrg { org, title, title_en } => self.add_org(org, title, title_en).await?,
            Request::SetOrg { org, title, title_en, policy } => self.set_org(org, title, title_en, policy).await?,
            Request::ListOrgs => Response::Orgs(self.store.read(list_orgs).await?),
            Request::ShowOrg { org } => {
                let code = org.clone();
                let found = self.store.read(move |tx| tx.org(&code)?.map(|org| org_facts(tx, org)).transpose()).await?;
                Response::Org(found.ok_or_else(|| no_org(&org))?)
            }
            Request::ImportMembers { org, file, dry_run, watched } => {
                let watcher = watched.then_some(to);
                self.import(org, file, dry_run, watcher).await?
            }
            Request::ListMembers { org } => return self.list_members(org, to).await,
            Request::ShowMember { org, id } => self.show_member(org, id).await?,
            Request::ResetTwoFactor { org, id } => self.reset_two_factor(org, id).await?,
            Request::ResetPassword { org, id } => self.reset_password(org, id).await?,
            Request::MemberHistory { org, id } => return self.history(org, id, to).await,
            Request::ListJobs { class, to, state, limit } => self.list_jobs(class, to, state, limit).await?,
            Request::ShowJob { job } => self.show_job(job).await?,
            Request::Why { job } => self.why(job).await?,
            Request::Summary => self.summary().await?,
            Request::Selected { which } => self.selected(which).await?,
            Request::Act { action, which } => self.act(action, which).await?,
            Request::ListKeys => self.list_keys().await?,
            Request::NewKey { kind, wait } => self.new_key(kind, wait).await?,
            Request::NewDkimKey { algorithm, selector } => self.new_dkim_key(algorithm, selector).await?,
            Request::UseKey { id } => self.use_key(id).await?,
            Request::RetireKey { id, now } => self.retire_key(id, now).await?,
            Request::Suppressions => return self.suppressions(to).await,
            Request::ClearAddress { address } => self.clear_address(address).await?,
            Request::ShowMail { mail } => self.show_mail(mail).await?,
            Request::ShowAddress { address } => {
                Response::Address(self.store.read(move |tx| address_facts(tx, &address)).await?)
            }
            Request::Trace { of } => {
                let events = self.store.read(move |tx| journey::events(tx, &of)).await?;
                let events = events.ok_or_else(|| refused("nothing is known of it"))?;
                Response::Trace(TraceFacts { events: events.into_iter().map(EventFacts::new).collect() })
            }
            Request::Log { lines, follow } => return self.log(lines, follow, to).await,
        };
        Ok(to.send(response).await?)
    }

    async fn add_org(&self, org: OrgCode, title: String, title_en: Option<String>) -> Result<Response, Stop> {
        [Some(&title), title_en.as_ref()].into_iter().flatten().try_for_each(|title| fit(title))?;
        let (code, at) = (org.clone(), self.clock.now());
        let work = move |tx: &mut Tx<'_>| {
            let added = tx.add_org(&code, title.trim(), title_en.as_deref().map(str::trim), at)?;
            added.map(|_| tx.org(&code)).transpose().map(Option::flatten)
        };
        let added = self.store.write::<_, StoreError, _>(work).await?;
        let added = added.ok_or_else(|| refused(format!("there is an organisation {org} already: org show {org}")))?;
        Ok(Response::Org(OrgFacts::new(added, 0, SecondFactors::default())))
    }

    async fn set_org(
        &self,
        org: OrgCode,
        title: Option<String>,
        title_en: Option<String>,
        mut changes: Vec<(String, String)>,
    ) -> Result<Response, Stop> {
        // What stands beside a profile is meant to differ from it.
        changes.sort_by_key(|(key, _)| key != "profile");
        [&title, &title_en].into_iter().flatten().try_for_each(|title| fit(title))?;
        let code = org.clone();
        let work = move |tx: &mut Tx<'_>| {
            let Some(mut policy) = tx.org(&code)?.map(|org| org.policy) else { return Ok(None) };
            if let Err(wrong) = changes.iter().try_for_each(|(key, value)| policy.set(key, value)) {
                return Ok(Some(Err(wrong)));
            }
            tx.set_org(&code, title.as_deref().map(str::trim), title_en.as_deref().map(str::trim))?;
            tx.set_policy(&code, &policy)?;
            tx.org(&code)?.map(|org| org_facts(tx, org).map(Ok)).transpose()
        };
        let set = self.store.write::<_, StoreError, _>(work).await?;
        Ok(Response::Org(set.ok_or_else(|| no_org(&org))?.map_err(refused)?))
    }

    async fn import(
        &self,
        org: OrgCode,
        file: String,
        dry_run: bool,
        watcher: Option<&mpsc::Sender<Response>>,
    ) -> Result<Response, Stop> {
        let (passed, rows) = watch::channel(0);
        // Decoding and reading a large file takes a while; the runtime has others to serve.
        let read = tokio::task::spawn_blocking(move || {
            data_encoding::BASE64.decode(file.as_bytes()).map(|bytes| MemberFile::read(&bytes))
        });
        let file = match read.await.map_err(refused)?.map_err(|cause| refused(format!("no base64: {cause}")))? {
            Ok(file) => Arc::new(file),
            Err(faults) => return Ok(Response::Faults { faults: faults.shown().to_vec(), more: faults.more() }),
        };
        let seal = self.keys.now().seal().clone();
        let importer = Importer { store: self.store.clone(), seal, random: self.random.clone() };
        let done = match dry_run {
            true => {
                let rehearsal = importer.rehearse(&org, &file, self.clock.now(), passed);
                telling(rehearsal, rows, file.rows().len(), watcher).await
            }
            false => {
                let import = importer.import(&org, &file, self.clock.now(), passed);
                telling(import, rows, 2 * file.rows().len(), watcher).await
            }
        };
        match done {
            Ok(report) => Ok(Response::Import(ImportFacts::new(org, file.encoding().to_string(), report, dry_run))),
            Err(ImportError::Faults(faults)) => {
                Ok(Response::Faults { faults: faults.shown().to_vec(), more: faults.more() })
            }
            Err(other) => Err(refused(other)),
        }
    }

    async fn list_jobs(
        &self,
        class: Option<String>,
        to: Option<String>,
        state: Option<String>,
        limit: usize,
    ) -> Result<Response, Stop> {
        let state: Option<State> = named(state)?;
        let filter = JobFilter {
            class: named::<Class>(class)?,
            to_domain: named(to)?,
            state,
            ended: state.is_some_and(State::has_ended),
            limit,
            ..JobFilter::default()
        };
        let (jobs, now) = (self.store.read(move |tx| tx.list_jobs(&filter)).await?, self.clock.now());
        let sight = self.live.as_deref().map(Sight::of);
        let facts = |job| JobFacts::new(job, reason(job, sight.as_ref(), now));
        Ok(Response::Jobs(jobs.iter().map(facts).collect()))
    }

    async fn show_job(&self, job: JobId) -> Result<Response, Stop> {
        let (found, reason) = self.job(job).await?;
        Ok(Response::Job(JobFacts::new(&found, reason)))
    }

    async fn why(&self, job: JobId) -> Result<Response, Stop> {
        let (found, reason) = self.job(job).await?;
        Ok(Response::Why(WhyFacts::new(&found, reason)))
    }

    /// Finds a job, and the reason it is not moving.
    async fn job(&self, job: JobId) -> Result<(Job, Reason), Stop> {
        let found = self.store.read(move |tx| tx.job(job)).await?;
        let found = found.ok_or_else(|| refused(format!("there is no job {job}, or its history was trimmed")))?;
        let sight = self.live.as_deref().map(Sight::of);
        let reason = reason(&found, sight.as_ref(), self.clock.now());
        Ok((found, reason))
    }

    async fn show_mail(&self, mail: MailId) -> Result<Response, Stop> {
        let work = move |tx: &mut Tx<'_>| {
            let Some(row) = tx.mail(mail)? else { return Ok::<_, StoreError>(None) };
            Ok(Some(MailFacts::new(row, tx.mail_raw(mail)?)))
        };
        let found = self.store.read(work).await?;
        Ok(Response::Mail(found.ok_or_else(|| refused(format!("there is no mail {mail}")))?))
    }

    async fn suppressions(&self, to: &mpsc::Sender<Response>) -> Result<(), Stop> {
        let mut after: Option<EmailAddress> = None;
        loop {
            let behind = after.clone();
            let work = move |tx: &mut Tx<'_>| {
                let rows = tx.suppressions(behind.as_ref(), PAGE)?;
                rows.into_iter().map(|row| facts_of(tx, row)).collect::<Result<Vec<_>, StoreError>>()
            };
            let page = self.store.read(work).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.address.clone());
            to.send(Response::Addresses(page)).await?;
        }
    }

    async fn clear_address(&self, address: EmailAddress) -> Result<Response, Stop> {
        let (cleared, at) = (address.clone(), self.clock.now());
        let work = move |tx: &mut Tx<'_>| {
            if !tx.clear_address(&cleared, at)? {
                return Ok(None);
            }
            let state = tx.address(&cleared)?.map_or(AddressState::New, |row| row.state);
            maillog::marked(tx, &cleared, state.as_str(), at)?;
            address_facts(tx, &cleared).map(Some)
        };
        let facts = self.store.write::<_, StoreError, _>(work).await?;
        let facts =
            facts.ok_or_else(|| refused(format!("nothing is held against {address}: address show {address}")))?;
        Ok(Response::Address(facts))
    }

    async fn log(&self, lines: Option<usize>, follow: bool, to: &mpsc::Sender<Response>) -> Result<(), Stop> {
        // Before looking: what is committed while we look counts as news.
        let mut commits = self.commits.clone();
        let mut tail = match lines {
            Some(lines) => self.send_newest(lines.clamp(1, LINES), to).await?,
            None => Tail::behind(0),
        };
        loop {
            while self.send_news(&mut tail, to).await? {}
            if !follow {
                return Ok(());
            }
            if to.is_closed() {
                return Err(Stop::Gone);
            }
            if let Ok(Err(_)) = self.clock.within(self.clock.now().plus(LOOK), commits.changed()).await {
                return Err(refused("no daemon is running, so nothing more will come"));
            }
        }
    }

    /// Sends so many of the newest events, and says where to read on.
    async fn send_newest(&self, lines: usize, to: &mpsc::Sender<Response>) -> Result<Tail, Stop> {
        let filter = EventFilter { limit: lines, newest: true, ..EventFilter::default() };
        let page = self.store.read(move |tx| tx.events(&filter)).await?;
        for lines in page.chunks(PAGE) {
            let facts = lines.iter().map(|(_, event)| EventFacts::new(event.clone())).collect();
            to.send(Response::Events(facts)).await?;
        }
        let rows: Vec<i64> = page.iter().map(|(row, _)| *row).collect();
        Ok(Tail::of(&rows, self.clock.now()))
    }

    /// Sends a page of what was not read before; says whether there was any.
    async fn send_news(&self, tail: &mut Tail, to: &mpsc::Sender<Response>) -> Result<bool, Stop> {
        let (from, now) = (tail.clone(), self.clock.now());
        let (events, read) = self.store.read::<_, StoreError, _>(move |tx| tx.read_on(&from, now, PAGE)).await?;
        *tail = read;
        let any = !events.is_empty();
        if any {
            to.send(Response::Events(events.into_iter().map(EventFacts::new).collect())).await?;
        }
        Ok(any)
    }
}

/// Does an import, and tells a watcher meanwhile how many rows were gone through. One who is slow to read misses some of it and
/// holds nothing up.
async fn telling<T>(
    import: impl Future<Output = T>,
    mut passed: watch::Receiver<usize>,
    all: usize,
    watcher: Option<&mpsc::Sender<Response>>,
) -> T {
    let tell = async {
        let Some(to) = watcher else { return };
        while passed.changed().await.is_ok() {
            let done = *passed.borrow_and_update() as u64;
            if to.try_send(Response::Progress { done, all: all as u64 }).is_err() {
                tracing::debug!("a command does not keep up with its import");
            }
        }
    };
    tokio::join!(import, tell).0
}

pub(super) fn named<T: FromStr<Err: Display>>(name: Option<String>) -> Result<Option<T>, Stop> {
    name.map(|name| name.parse().map_err(refused)).transpose()
}

pub(super) fn no_org(org: &OrgCode) -> Stop {
    refused(format!("there is no organisation {org}; all there are: org list"))
}

fn fit(title: &str) -> Result<(), Stop> {
    let is_line = !title.trim().is_empty() && !title.chars().any(char::is_control);
    // It stands in mails that carry no URL, or one.
    let fits = is_line && title.chars().count() <= TITLE_MAX && !title.contains("://");
    if fits {
        Ok(())
    } else {
        Err(refused(format!("a title is one line of 1 to {TITLE_MAX} characters without a URL")))
    }
}

fn list_orgs(tx: &mut Tx<'_>) -> Result<Vec<OrgFacts>, StoreError> {
    let orgs = tx.orgs()?;
    orgs.into_iter().map(|org| org_facts(tx, org)).collect()
}

fn org_facts(tx: &mut Tx<'_>, org: Org) -> Result<OrgFacts, StoreError> {
    let count = tx.member_count(org.id)?;
    let (members, mail_only) = tx.second_factors_of(org.id)?;
    Ok(OrgFacts::new(org, count, SecondFactors { members, mail_only }))
}

fn address_facts(tx: &mut Tx<'_>, address: &EmailAddress) -> Result<AddressFacts, StoreError> {
    let unknown = || AddressRow {
        address: address.clone(),
        state: AddressState::New,
        verdict: None,
        stage: None,
        reply: None,
        at: None,
        verified_at: None,
        unknown_day: None,
    };
    let row = tx.address(address)?.unwrap_or_else(unknown);
    facts_of(tx, row)
}

fn facts_of(tx: &mut Tx<'_>, row: AddressRow) -> Result<AddressFacts, StoreError> {
    let holders = tx.holders(&row.address)?.into_iter();
    let members = holders.map(|(org, id, priority)| PlaceFacts { org, id, priority: priority.number() }).collect();
    Ok(AddressFacts::new(row, members))
}
