//! What each section may say for itself but not together with the others.

use super::reader::Book;
use super::{Draft, Registration, Sender};
use crate::model::{Domain, EmailAddress};
use std::net::{IpAddr, SocketAddr};

/// Notes every contradiction between the sections that could be read.
pub(super) fn look(draft: &Draft, book: &Book<'_>) {
    listeners(draft, book);
    secured_pages(draft, book);
    if let Some(registration) = &draft.registration {
        twice(registration, book);
    }
    if let Some(sender) = &draft.sender {
        alignment(sender, draft, book);
        if let Some(registration) = &draft.registration {
            roles(registration, sender, draft.smtp.operator.as_ref(), book);
        }
    }
}

/// Two sockets cannot have one port, unless their addresses keep them apart.
fn listeners(draft: &Draft, book: &Book<'_>) {
    let smtp = draft.smtp.listen.iter().map(|address| ("smtp.listen", *address));
    let web = draft.web.iter().flat_map(|web| &web.listen).map(|address| ("web.listen", *address));
    let api = draft.api.listen.iter().map(|address| ("api.listen", *address));
    let all: Vec<(&str, SocketAddr)> = smtp.chain(web).chain(api).collect();
    for (place, (key, address)) in all.iter().enumerate() {
        if let Some((other, taken)) = all.iter().take(place).find(|(_, taken)| meet(*taken, *address)) {
            let what = format!("{address} cannot be opened beside {taken} of {other}: one port, one listener");
            book.complain(key, what, Some("give one of them another port".to_owned()));
        }
    }
}

/// Says whether two addresses cannot both be listened on. Port 0 is a free one each time; `[::]` takes IPv4 too on Linux.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |wide: IpAddr, narrow: IpAddr| match wide {
        IpAddr::V4(address) => address.is_unspecified() && narrow.is_ipv4(),
        IpAddr::V6(address) => address.is_unspecified(),
    };
    let (a, b) = (one.ip(), other.ip());
    one.port() != 0 && one.port() == other.port() && (a == b || covers(a, b) || covers(b, a))
}

/// Cookies are kept from plain HTTP where the published address is https, so the two have to say the same.
fn secured_pages(draft: &Draft, book: &Book<'_>) {
    if let Some(web) = draft.web.as_ref().filter(|web| web.tls.is_some() && !web.public_url.is_secure()) {
        let what = format!("“{}” is plain HTTP, and with web.tls_cert the pages speak HTTPS", web.public_url);
        book.complain(
            "web.public_url",
            what,
            Some("write https://, or remove web.tls_cert and web.tls_key".to_owned()),
        );
    }
}

fn twice(registration: &Registration, book: &Book<'_>) {
    let folded: Vec<String> = registration.addresses.iter().map(EmailAddress::folded).collect();
    for (place, address) in
        folded.iter().enumerate().filter(|(place, address)| folded.iter().take(*place).any(|a| a == *address))
    {
        let what = format!("“{address}” stands there twice (again at place {})", place + 1);
        book.complain("registration.addresses", what, Some("remove one".to_owned()));
    }
}

/// One address cannot have two roles: what is sent to it is read in one way.
fn roles(registration: &Registration, sender: &Sender, operator: Option<&EmailAddress>, book: &Book<'_>) {
    let is = |one: &EmailAddress, other: &EmailAddress| one.folded() == other.folded();
    let own = |address: &EmailAddress| registration.addresses.iter().any(|own| is(own, address));
    if own(&sender.address) {
        let what = format!("“{}” is also a registration address: who answers our mail would register", sender.address);
        book.complain("sender.address", what, Some("use another address for one of them".to_owned()));
    }
    if let Some(operator) =
        operator.filter(|operator| own(operator) || is_return_address(operator, &sender.bounce_domain))
    {
        let what = format!("“{operator}” is an address of ours: what is handed on to it would come back");
        book.complain("smtp.operator", what, Some("name a person's mailbox elsewhere".to_owned()));
    }
    let clash = registration.addresses.iter().find(|address| is_return_address(address, &sender.bounce_domain));
    if let Some(address) = clash {
        let what = format!("“{address}” cannot be told from the return addresses b+…@{}", sender.bounce_domain);
        book.complain(
            "registration.addresses",
            what,
            Some("use another name or another sender.bounce_domain".to_owned()),
        );
    }
    if is_return_address(&sender.address, &sender.bounce_domain) {
        let what =
            format!("“{}” cannot be told from the return addresses b+…@{}", sender.address, sender.bounce_domain);
        book.complain("sender.address", what, Some("use another name or another sender.bounce_domain".to_owned()));
    }
}

fn is_return_address(address: &EmailAddress, bounce_domain: &Domain) -> bool {
    let local = address.local().to_ascii_lowercase();
    address.domain() == bounce_domain && (local == "b" || local.starts_with("b+"))
}

/// Carriers and DMARC compare the domain in From with that of the return address and of the signature (RFC 7489 3.1).
fn alignment(sender: &Sender, draft: &Draft, book: &Book<'_>) {
    let from = sender.address.domain();
    if !same_organisation(from, &sender.bounce_domain) {
        let what = format!("{} and {from} (sender.address) do not belong together", sender.bounce_domain);
        let hint = format!("SPF would speak for another domain than From shows: use one below {from}");
        book.complain("sender.bounce_domain", what, Some(hint));
    }
    if !draft.dkim.is_empty() && !draft.dkim.iter().any(|entry| same_organisation(from, &entry.domain)) {
        let what = format!("no [[dkim]] signs for {from} (sender.address)");
        book.complain("dkim", what, Some(format!("add one with domain = \"{from}\"")));
    }
}

/// Second-level names below which organisations register, as far as they matter to those who run this.
const REGISTRIES: [&str; 13] = ["ac", "ad", "co", "com", "ed", "edu", "go", "gov", "gr", "lg", "ne", "or", "org"];

/// Says whether two domains are one organisation's: one lies within the other, or they share what was registered.
#[must_use]
pub fn same_organisation(one: &Domain, other: &Domain) -> bool {
    one.is_within(other) || other.is_within(one) || registered(one).is_some_and(|part| Some(part) == registered(other))
}

/// Gives the registered part of a name: `example.jp` of `mail.example.jp`, `example.co.jp` of `mail.example.co.jp`.
#[must_use]
pub fn registered(domain: &Domain) -> Option<&str> {
    let name = domain.as_str();
    let labels: Vec<&str> = name.rsplit('.').collect();
    let depth = match labels.as_slice() {
        [top, second, ..] if top.len() == 2 && REGISTRIES.contains(second) => 3,
        _ => 2,
    };
    let dot = name.rmatch_indices('.').nth(depth - 1).map(|(at, _)| at + 1);
    (labels.len() >= depth).then(|| name.get(dot.unwrap_or(0)..)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_meet_where_one_port_serves_both_addresses() {
        let meeting = |one: &str, other: &str| meet(one.parse().unwrap(), other.parse().unwrap());
        for (one, other) in [
            ("0.0.0.0:25", "127.0.0.1:25"),
            ("[::]:25", "127.0.0.1:25"),
            ("[::]:25", "[::1]:25"),
            ("[::1]:25", "[::1]:25"),
        ] {
            assert!(meeting(one, other) && meeting(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("127.0.0.1:25", "127.0.0.2:25"),
            ("0.0.0.0:25", "[::1]:25"),
            ("0.0.0.0:25", "0.0.0.0:26"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert!(!meeting(one, other), "{one} {other}");
        }
    }

    #[test]
    fn domains_of_one_organisation_are_known_by_what_was_registered() {
        let same = |one: &str, other: &str| same_organisation(&one.parse().unwrap(), &other.parse().unwrap());
        for (one, other) in [
            ("mob-connect.com", "bounce.mob-connect.com"),
            ("mail.example.co.jp", "bounce.example.co.jp"),
            ("mail.ntt.jp", "bounce.ntt.jp"),
            ("localhost", "localhost"),
        ] {
            assert!(same(one, other) && same(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("a.co.jp", "b.co.jp"),
            ("a.jp", "b.jp"),
            ("a.example.jp", "a.example.com"),
            ("x.localhost", "y.localhost.jp"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
