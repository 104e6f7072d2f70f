//! Looks up what was to be published.
//!
//! Knows nothing of what should be there. What always holds: all questions are under way at once, each ends by its deadline,
//! and one that is not answered leaves its record unanswered and no other.

use super::judge::{self, Addresses, Author, Exchange, Senders, Verdict};
use super::plan::{DkimHalf, Plan, Way};
use super::records::{Kind, Purpose, Record, records};
use crate::clock::TooLate;
use crate::config::Host;
use crate::model::Domain;
use crate::net::resolver::{Reach, Resolver, Unresolved};
use hickory_resolver::proto::rr::{RData, RecordType};
use mail_auth::SpfResult;
use mail_auth::spf::verify::SpfParameters;
use std::net::IpAddr;
use tokio::task::JoinSet;

/// How far up from the sender's domain a DMARC record is looked for.
const STEPS_MAX: usize = 5;

/// Looks up every record of a plan and judges what is there. Where our addresses are not known, those of our name are taken.
pub async fn verify(mut plan: Plan, resolver: &Resolver) -> Vec<(Record, Verdict)> {
    if plan.addresses.is_empty()
        && let Ok(found) = resolver.addresses(&plan.hostname, Reach::Any).await
    {
        plan.assumed = true;
        plan.addresses.clone_from(&found);
        if plan.senders.is_empty() {
            plan.senders = found;
        }
    }
    let records = records(&plan);
    let mut asking = JoinSet::new();
    for (place, record) in records.iter().enumerate() {
        let (asker, record) = (Asker(resolver.clone()), record.clone());
        asking.spawn(async move { (place, asker.judge(&record).await) });
    }
    let mut verdicts: Vec<Verdict> = records.iter().map(|_| Verdict::unanswered("it was not looked up")).collect();
    while let Some(done) = asking.join_next().await {
        if let Ok((place, verdict)) = done
            && let Some(slot) = verdicts.get_mut(place)
        {
            *slot = verdict;
        }
    }
    records.into_iter().zip(verdicts).collect()
}

struct Asker(Resolver);

impl Asker {
    async fn judge(&self, record: &Record) -> Verdict {
        Box::pin(self.look(record)).await.unwrap_or_else(Verdict::unanswered)
    }

    async fn look(&self, record: &Record) -> Result<Verdict, Unresolved> {
        let name = &record.name;
        Ok(match &record.purpose {
            Purpose::Mail(host) => judge::mail(&self.exchanges(name).await?, host),
            Purpose::Address { expected, assumed } => {
                judge::address(&self.addresses(name, record.kind).await?, *expected, *assumed)
            }
            Purpose::Name { address, host } => {
                let names = self.names(name).await?;
                judge::name(&names, host, *address, &self.every_address(host).await?.list)
            }
            Purpose::Answer => judge::answer(&self.exchanges(name).await?, &self.every_address(name).await?),
            Purpose::Spf { sender, hostname, way, addresses } => {
                self.spf(name, Spf { sender, hostname, way, addresses }).await?
            }
            Purpose::Dkim(key) => self.dkim(name, key).await?,
            Purpose::Dmarc { from, bounce, signing } => {
                judge::dmarc(&self.steps(name, from).await?, Author { from, bounce, signing })
            }
            Purpose::Site => judge::site(&self.every_address(name).await?),
            Purpose::Sts => judge::sts(&self.0.texts(name).await?),
            Purpose::TlsReports => judge::tls_reports(&self.0.texts(name).await?),
        })
    }

    async fn exchanges(&self, name: &Domain) -> Result<Vec<Exchange>, Unresolved> {
        let (found, _) = self.0.at(name, RecordType::MX).await?;
        let mut all: Vec<Exchange> = found
            .iter()
            .filter_map(|data| match data {
                RData::MX(mx) => Some(Exchange { preference: mx.preference, host: plain(&mx.exchange.to_ascii()) }),
                _ => None,
            })
            .collect();
        all.sort_by(|a, b| (a.preference, &a.host).cmp(&(b.preference, &b.host)));
        Ok(all)
    }

    async fn addresses(&self, name: &Domain, kind: Kind) -> Result<Addresses, Unresolved> {
        let kind = if kind == Kind::Aaaa { RecordType::AAAA } else { RecordType::A };
        let (found, owner) = self.0.at(name, kind).await?;
        let mut list: Vec<IpAddr> = found.iter().filter_map(RData::ip_addr).collect();
        list.sort();
        Ok(Addresses { list, alias_of: owner.filter(|owner| owner != name) })
    }

    async fn every_address(&self, name: &Domain) -> Result<Addresses, Unresolved> {
        let (v4, v6) = tokio::join!(self.addresses(name, Kind::A), self.addresses(name, Kind::Aaaa));
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => {
                let alias_of = v4.alias_of.or(v6.alias_of);
                Ok(Addresses { list: [v4.list, v6.list].concat(), alias_of })
            }
            // One family is enough to be found by.
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.list.is_empty() => Ok(found),
            (Err(trouble), _) | (_, Err(trouble)) => Err(trouble),
        }
    }

    async fn names(&self, name: &Domain) -> Result<Vec<String>, Unresolved> {
        let (found, _) = self.0.at(name, RecordType::PTR).await?;
        let mut all: Vec<String> = found
            .iter()
            .filter_map(|data| match data {
                RData::PTR(pointer) => Some(plain(&pointer.to_ascii())),
                _ => None,
            })
            .collect();
        all.sort();
        Ok(all)
    }

    /// A key that is still to be made cannot be there.
    async fn dkim(&self, name: &Domain, key: &DkimHalf) -> Result<Verdict, Unresolved> {
        if key.text.is_none() {
            return Ok(Verdict::missing());
        }
        Ok(judge::dkim(&self.0.texts(name).await?, key))
    }

    async fn steps(&self, name: &Domain, from: &Domain) -> Result<Vec<(Domain, Vec<String>)>, Unresolved> {
        let mut steps = vec![(from.clone(), self.0.texts(name).await?)];
        let mut above = from.parent();
        while let Some(domain) =
            above.filter(|_| steps.len() < STEPS_MAX && steps.iter().all(|(_, texts)| texts.is_empty()))
        {
            let Ok(name) = format!("_dmarc.{domain}").parse() else { break };
            steps.push((domain.clone(), self.0.texts(&name).await?));
            above = domain.parent();
        }
        Ok(steps)
    }

    async fn spf(&self, name: &Domain, wanted: Spf<'_>) -> Result<Verdict, Unresolved> {
        let texts = self.0.texts(name).await?;
        let one = texts.iter().filter(|text| judge::is_spf(text)).count() == 1;
        let relay = match wanted.way {
            Way::Direct => None,
            Way::Relay(relay) => Some(relay),
        };
        let addresses = match relay {
            _ if !one => Vec::new(),
            None => wanted.addresses.to_vec(),
            Some(Host::Address(address)) => vec![*address],
            // Where it does not say, the record is only read.
            Some(Host::Name(relay)) => self.every_address(relay).await.unwrap_or_default().list,
        };
        let mut results = Vec::new();
        for address in addresses {
            results.push((address, self.try_spf(address, &wanted).await?));
        }
        Ok(judge::spf(&texts, Senders { name, hostname: wanted.hostname, relay, results: &results }))
    }

    async fn try_spf(&self, address: IpAddr, wanted: &Spf<'_>) -> Result<SpfResult, Unresolved> {
        let host = wanted.hostname.as_str();
        let question = SpfParameters::verify_mail_from(address, host, host, wanted.sender);
        let late = |late: TooLate| Unresolved::Trouble { name: wanted.sender.to_owned(), why: late.to_string() };
        self.0.spf(question).await.map_err(late)
    }
}

/// What is asked of an SPF record.
struct Spf<'a> {
    sender: &'a str,
    hostname: &'a Domain,
    way: &'a Way,
    addresses: &'a [IpAddr],
}

/// A name without the dot at its end, in lower case.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
