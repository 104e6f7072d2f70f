//! DANE, with zones that knot signs and mail servers with all sorts of certificates.

use super::knot::{self, Zones};
use crate::delivery::world::{Plan, World};
use crate::peer::{Peer, Setup};
use crate::place::{DNS_PORT, Place, SMTP_PORT};
use crate::tls::pki::{Authority, HOLDS, Identity};
use crate::tls::publisher::{Publisher, policy};
use crate::tls::table::{End, failing, see, shown};
use End::{Encrypted, Plain, Waits};
use data_encoding::HEXLOWER;
use karamail::config::{Destinations, Resolver, TlsPolicy};
use karamail::queue::Cause;
use karamail::queue::destination::{Group, Groups, Limits};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::net::SocketAddr;

/// A DANE record for a server's own certificate, one for its authority, one that authenticates no mail server.
const MODES: [&str; 3] = ["own", "authority", "unusable"];

/// What comes of a mail in each of the modes.
const FAILURES: [(&str, [End; 3]); 8] = [
    ("not-offered", [Waits, Waits, Waits]),
    ("refused", [Waits, Waits, Waits]),
    ("broken", [Waits, Waits, Waits]),
    ("expired", [Encrypted, Waits, Encrypted]),
    ("self-signed", [Encrypted, Waits, Encrypted]),
    ("wrong-name", [Encrypted, Waits, Encrypted]),
    ("unknown-authority", [Encrypted, Waits, Encrypted]),
    ("good", [Encrypted, Encrypted, Encrypted]),
];

/// Zones and the servers in them, as they are thought up.
struct Stage {
    place: Place,
    zones: Zones,
    servers: Vec<(String, End, Cause, Peer)>,
}

fn digest(certificate: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(certificate))
}

impl Stage {
    fn new() -> Self {
        let empty = || String::new();
        let zones = Zones { signed: empty(), unsigned: empty(), stripped: empty(), tampering: Vec::new() };
        Self { place: Place::take(), zones, servers: Vec::new() }
    }

    /// Sets up a server for what is sent to `domain`, and gives its address.
    async fn server(&mut self, domain: &str, end: End, cause: Cause, setup: Setup) -> SocketAddr {
        let host = u8::try_from(self.servers.len() + 10).unwrap();
        let peer = Peer::listen((self.place.host(host), SMTP_PORT).into(), setup).await;
        let address = peer.address;
        self.servers.push((domain.to_owned(), end, cause, peer));
        address
    }

    /// The same, with the records of a signed domain that has it as its MX and says this about its certificate.
    async fn signed(&mut self, domain: &str, tlsa: &str, end: End, cause: Cause, setup: Setup) {
        let address = self.server(domain, end, cause, setup).await.ip();
        let zone = &mut self.zones.signed;
        writeln!(zone, "{domain}. 60 IN MX 10 mx.{domain}.\nmx.{domain}. 60 IN A {address}").unwrap();
        if !tlsa.is_empty() {
            writeln!(zone, "_{SMTP_PORT}._tcp.mx.{domain}. 60 IN TLSA {tlsa}").unwrap();
        }
    }

    async fn run(self, authorities: Option<&tempfile::NamedTempFile>, policy_port: u16) {
        let (_knot, root) = knot::start(&self.place, &self.zones);
        let mut plan = Plan::new("", SMTP_PORT);
        plan.destinations = destinations();
        plan.delivery.resolver = Resolver::Server((self.place.host(2), DNS_PORT).into());
        plan.delivery.trust_anchor = Some(root);
        plan.delivery.tls_ca_file = authorities.map(|file| file.path().to_owned());
        plan.policy_port = policy_port;
        let world = World::start(plan).await;
        for (domain, end, cause, peer) in &self.servers {
            see(&world, domain, *end, *cause, peer).await;
        }
    }
}

/// `*.off.example` and `*.required.example` have policies of their own.
fn destinations() -> Destinations {
    let group = |name: &str| {
        let domains = vec![format!("*.{name}.example").parse().unwrap()];
        Group { name: name.to_owned(), domains, mx: Vec::new(), limits: Limits::default() }
    };
    let tls = [("off".to_owned(), TlsPolicy::Off), ("required".to_owned(), TlsPolicy::Require)].into();
    Destinations { groups: Groups::new(vec![group("off"), group("required")]), tls }
}

#[tokio::test]
async fn what_a_signed_domain_says_about_its_certificate_meets_each_failure_as_the_table_says() {
    let known = Authority::new("known");
    let mut stage = Stage::new();
    for (failure, ends) in FAILURES {
        for (mode, end) in MODES.into_iter().zip(ends) {
            let domain = format!("{failure}.{mode}.example");
            let identity = shown(failure, &format!("mx.{domain}"), &known);
            let tlsa = match mode {
                "own" => format!("3 0 1 {}", digest(&identity.chain[0])),
                "authority" => format!("2 0 1 {}", digest(&known.certificate)),
                _ => format!("1 0 1 {}", digest(b"no certificate")),
            };
            stage.signed(&domain, &tlsa, end, Cause::Tls, failing(failure, &identity)).await;
        }
    }
    stage.run(None, 443).await;
}

#[tokio::test]
async fn only_what_is_signed_all_the_way_counts_and_a_wrong_signature_is_no_answer() {
    let secured = |name: &str| Identity::self_signed(name).offered_by(Setup::default());
    let another = format!("3 0 1 {}", digest(b"another certificate"));
    let (tls, dns) = (Cause::Tls, Cause::Dns);
    let mut stage = Stage::new();
    stage.signed("silent.example", "", Plain, tls, Setup::default()).await;
    stage.signed("another.example", &another, Waits, tls, secured("mx.another.example")).await;

    // The MX record was changed after it was signed; so was the TLSA record of the next.
    stage.signed("tampered.example", "", Waits, dns, Setup::default()).await;
    stage.zones.tampering.push(("MX\t10 mx.tampered.example.".to_owned(), "MX\t11 mx.tampered.example.".to_owned()));
    let liar = secured("mx.liar.example");
    let signed = "1".repeat(64);
    stage.signed("liar.example", &format!("3 0 1 {signed}"), Waits, dns, liar).await;
    stage.zones.tampering.push((signed, "2".repeat(64)));

    // A zone whose signatures are missing although they should be there.
    let address = stage.server("d.stripped", Waits, dns, Setup::default()).await.ip();
    stage.zones.stripped = format!("d.stripped. 60 IN MX 10 mx.d.stripped.\nmx.d.stripped. 60 IN A {address}\n");

    // Nothing is signed: what is said about certificates counts for nothing.
    let address = stage.server("d.plain", Plain, tls, Setup::default()).await.ip();
    let wrong = |host: &str| format!("_{SMTP_PORT}._tcp.{host}. 60 IN TLSA {another}");
    stage.zones.unsigned =
        format!("d.plain. 60 IN MX 10 mx.d.plain.\nmx.d.plain. 60 IN A {address}\n{}\n", wrong("mx.d.plain"));
    // A signed MX whose server is not, and an unsigned one whose server is.
    let address = stage.server("half.example", Plain, tls, Setup::default()).await.ip();
    writeln!(stage.zones.signed, "half.example. 60 IN MX 10 mx.half.plain.").unwrap();
    writeln!(stage.zones.unsigned, "mx.half.plain. 60 IN A {address}\n{}", wrong("mx.half.plain")).unwrap();
    let address = stage.server("up.plain", Plain, tls, Setup::default()).await.ip();
    writeln!(stage.zones.unsigned, "up.plain. 60 IN MX 10 mx.up.example.").unwrap();
    writeln!(stage.zones.signed, "mx.up.example. 60 IN A {address}\n{}", wrong("mx.up.example")).unwrap();

    // A domain that is its own server, and a server that is an alias: records at the name that has the address.
    let address = stage.server("alone.example", Waits, tls, secured("alone.example")).await.ip();
    writeln!(stage.zones.signed, "alone.example. 60 IN A {address}\n{}", wrong("alone.example")).unwrap();
    let address = stage.server("alias.example", Waits, tls, secured("mx.alias.example")).await.ip();
    writeln!(
        stage.zones.signed,
        "alias.example. 60 IN MX 10 mx.alias.example.\nmx.alias.example. 60 IN CNAME real.alias.example.\n\
         real.alias.example. 60 IN A {address}\n{}",
        wrong("real.alias.example")
    )
    .unwrap();
    stage.run(None, 443).await;
}

/// Where the operator switched TLS off, signatures that do not hold keep no mail back; where it is required, a domain's own
/// word on its certificate will do.
#[tokio::test]
async fn the_operators_policy_goes_with_what_is_signed() {
    let known = Authority::new("known");
    let tls = Cause::Tls;
    let mut stage = Stage::new();
    let offered = |identity: &Identity| identity.offered_by(Setup::default());
    let another = format!("3 0 1 {}", digest(b"another certificate"));
    let stranger = Identity::self_signed("any.example");
    stage.signed("wrong.off.example", &another, Plain, tls, offered(&stranger)).await;
    stage.signed("tampered.off.example", "", Plain, tls, offered(&stranger)).await;
    let tampered = "MX\t10 mx.tampered.off.example.".to_owned();
    stage.zones.tampering.push((tampered.clone(), tampered.replace("10", "11")));
    let own = format!("3 0 1 {}", digest(&stranger.chain[0]));
    stage.signed("own.required.example", &own, Encrypted, tls, offered(&stranger)).await;
    let unusable = format!("1 0 1 {}", digest(&stranger.chain[0]));
    stage.signed("unusable.required.example", &unusable, Waits, tls, offered(&stranger)).await;
    let believed = known.identity(&["mx.believed.required.example".to_owned()], HOLDS);
    stage.signed("believed.required.example", &unusable, Encrypted, tls, offered(&believed)).await;
    let file = known.file();
    stage.run(Some(&file), 443).await;
}

/// RFC 8461 2: a policy fetched by HTTPS neither weakens nor forbids what DNS says.
#[tokio::test]
async fn what_is_signed_goes_before_what_is_fetched() {
    let known = Authority::new("known");
    let mut stage = Stage::new();
    let names = ["right.example", "wrong.example"].map(|domain| format!("mta-sts.{domain}"));
    let address = (stage.place.host(3), 0).into();
    let publisher = Publisher::listen(address, &known.identity(&names, HOLDS)).await;
    for (domain, end) in [("right.example", Encrypted), ("wrong.example", Waits)] {
        let host = format!("mx.{domain}");
        let (identity, tlsa, named) = if end == Encrypted {
            let identity = Identity::self_signed(&host);
            let tlsa = format!("3 0 1 {}", digest(&identity.chain[0]));
            (identity, tlsa, "mx.elsewhere.example".to_owned())
        } else {
            (
                known.identity(std::slice::from_ref(&host), HOLDS),
                format!("3 0 1 {}", digest(b"another certificate")),
                host,
            )
        };
        stage.signed(domain, &tlsa, end, Cause::Tls, identity.offered_by(Setup::default())).await;
        publisher.set(domain, policy("enforce", &[&named]));
        writeln!(
            stage.zones.signed,
            "_mta-sts.{domain}. 60 IN TXT \"v=STSv1; id=1;\"\nmta-sts.{domain}. 60 IN A {}",
            publisher.address.ip()
        )
        .unwrap();
    }
    let (port, file) = (publisher.address.port(), known.file());
    stage.run(Some(&file), port).await;
    assert_eq!(publisher.seen().len(), 2);
}
