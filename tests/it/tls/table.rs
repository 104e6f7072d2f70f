//! Every policy against every way in which TLS fails.

use super::pki::{Authority, HELD, HOLDS, Identity};
use super::publisher::{Publisher, policy};
use crate::delivery::world::{Plan, World};
use crate::peer::{Act, Peer, Setup, network};
use karamail::config::{Destinations, TlsPolicy};
use karamail::queue::destination::{Group, Groups, Limits};
use karamail::queue::{Cause, Class, State};
use std::fmt::Write;

/// What comes of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Plain,
    Encrypted,
    Waits,
}

use End::{Encrypted, Plain, Waits};

const MODES: [&str; 5] = ["off", "opportunistic", "require", "testing", "enforce"];

/// What comes of a mail in each of the modes.
const FAILURES: [(&str, [End; 5]); 8] = [
    ("not-offered", [Plain, Plain, Waits, Plain, Waits]),
    ("refused", [Plain, Plain, Waits, Plain, Waits]),
    ("broken", [Plain, Plain, Waits, Plain, Waits]),
    ("expired", [Plain, Encrypted, Waits, Encrypted, Waits]),
    ("self-signed", [Plain, Encrypted, Waits, Encrypted, Waits]),
    ("wrong-name", [Plain, Encrypted, Waits, Encrypted, Waits]),
    ("unknown-authority", [Plain, Encrypted, Waits, Encrypted, Waits]),
    ("good", [Plain, Encrypted, Encrypted, Encrypted, Encrypted]),
];

/// What a server for `name` shows that fails in this way.
pub fn shown(failure: &str, name: &str, known: &Authority) -> Identity {
    let names = [name.to_owned()];
    match failure {
        "expired" => known.identity(&names, HELD),
        "self-signed" => Identity::self_signed(name),
        "wrong-name" => known.identity(&["another.test".to_owned()], HOLDS),
        "unknown-authority" => Authority::new("stranger").identity(&names, HOLDS),
        _ => known.identity(&names, HOLDS),
    }
}

/// A server that fails in this way.
pub fn failing(failure: &str, identity: &Identity) -> Setup {
    let setup = match failure {
        "not-offered" => return Setup::default(),
        "refused" => Setup::default().says("starttls", ["454 4.7.0 not now"]),
        "broken" => Setup::default().at("starttls", [Act::Leave("220 go ahead")]),
        _ => Setup::default(),
    };
    identity.offered_by(setup)
}

/// `off` by the names of recipient domains, `require` by the names of their servers.
fn destinations() -> Destinations {
    let group = |name: &str, domains: &[&str], mx: &[&str]| {
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Group { name: name.to_owned(), domains: patterns(domains), mx: patterns(mx), limits: Limits::default() }
    };
    let groups = vec![group("off", &["*.off.example"], &[]), group("require", &[], &["*.require.example"])];
    let tls = [("off".to_owned(), TlsPolicy::Off), ("require".to_owned(), TlsPolicy::Require)].into();
    Destinations { groups: Groups::new(groups), tls }
}

#[tokio::test]
async fn each_policy_meets_each_failure_as_the_table_says() {
    let known = Authority::new("known");
    let network = network();
    let (mut zone, mut peers, mut port, mut host) = (String::new(), Vec::new(), 0, 3);
    let names: Vec<String> = ["testing", "enforce"]
        .iter()
        .flat_map(|mode| FAILURES.map(|(failure, _)| format!("mta-sts.{failure}.{mode}.example")))
        .collect();
    let address = format!("{network}2:0").parse().unwrap();
    let publisher = Publisher::listen(address, &known.identity(&names, HOLDS)).await;
    for (failure, ends) in FAILURES {
        for (mode, end) in MODES.into_iter().zip(ends) {
            let domain = format!("{failure}.{mode}.example");
            let setup = failing(failure, &shown(failure, &format!("mx.{domain}"), &known));
            let peer = Peer::listen(format!("{network}{host}:{port}").parse().unwrap(), setup).await;
            (port, host) = (peer.address.port(), host + 1);
            writeln!(zone, "{domain} MX 10 mx.{domain}\nmx.{domain} A {}", peer.address.ip()).unwrap();
            if ["testing", "enforce"].contains(&mode) {
                writeln!(zone, "_mta-sts.{domain} TXT v=STSv1; id=1;\nmta-sts.{domain} A {network}2").unwrap();
                publisher.set(&domain, policy(mode, &[&format!("*.{domain}")]));
            }
            peers.push((domain, end, peer));
        }
    }
    let authorities = known.file();
    let mut plan = Plan::new(&zone, port);
    plan.delivery.tls_ca_file = Some(authorities.path().to_owned());
    plan.destinations = destinations();
    plan.policy_port = publisher.address.port();
    let world = World::start(plan).await;
    for (domain, end, peer) in &peers {
        see(&world, domain, *end, Cause::Tls, peer).await;
    }
}

/// Sends a mail to a domain and looks what comes of it.
pub async fn see(world: &World, domain: &str, end: End, cause: Cause, peer: &Peer) {
    let job = world.order(Class::Alert, &format!("a@{domain}")).await;
    let event = if end == Waits { "deferred" } else { "accepted" };
    let found = world.wait_for(event, job).await;
    let secured: Vec<bool> = peer.seen().mails.iter().map(|mail| mail.tls).collect();
    if end == Waits {
        assert_eq!((found.state, found.last_cause), (State::Deferred, Some(cause)), "{domain}");
        assert!(secured.is_empty(), "{domain}");
    } else {
        assert_eq!(secured, [end == Encrypted], "{domain}");
    }
}
