//! What works as it stands in the file, and is unwise: said by `check`, in the way of nothing.
//!
//! What always holds: the shipped file, with the five values given, is advised about in nothing but what is between its pages
//! and the world.

use super::reader::Book;
use super::{Delivery, Draft, Route, Storage, TlsPolicy, Web};
use crate::model::Span;
use std::net::IpAddr;

/// A link that lives for less is often over when a mail that was greylisted arrives.
const SHORT_LIFE: Span = Span::from_secs(1_800);

/// Notes what an operator may not have meant.
pub(super) fn look(draft: &Draft, book: &Book<'_>) {
    if let Some(hostname) = draft.hostname.as_ref().filter(|name| !name.as_str().contains('.')) {
        let what = format!("“{hostname}” is no full name: many servers refuse whoever greets them with one");
        book.advise("hostname", what, "give the name that DNS has for this machine, such as mx.example.jp");
    }
    if let Some(web) = &draft.web {
        pages(web, book);
    }
    if let Some(address) = draft.api.listen.iter().find(|address| is_open(address.ip())) {
        let what = format!("{address} shows the metrics to whoever can reach it, without a password");
        book.advise("api.listen", what, "listen on loopback or on an inner network");
    }
    if let Some(delivery) = &draft.delivery {
        ways_out(delivery, book);
    }
    if let Some(registration) = draft.registration.as_ref().filter(|one| one.link_lifetime < SHORT_LIFE) {
        let what = format!("a link is over after {}: carriers may take longer for a mail", registration.link_lifetime);
        book.advise("registration.link_lifetime", what, "give it an hour or more");
    }
    if let Some(Storage::Postgres(url)) = &draft.storage
        && crosses_a_network(url.reveal())
    {
        let what = "goes to another machine without TLS: passwords and all that is stored can be read on the way";
        book.advise("storage.url", what, "add ?sslmode=require");
    }
}

fn pages(web: &Web, book: &Book<'_>) {
    for (key, url) in [("web.public_url", &web.public_url), ("web.system_url", &web.system_url)] {
        let said_already = key == "web.system_url" && web.system_url == web.public_url;
        if !(url.is_secure() || is_here(url.as_str()) || said_already) {
            let what = "is http: links, passwords and cookies can be read and changed on the way";
            book.advise(key, what, "put HTTPS before the pages, and write https://");
        }
    }
    if web.tls.is_some() {
        return;
    }
    if web.public_url.is_secure() && web.trusted_proxies.is_empty() && web.listen.iter().all(|at| at.ip().is_loopback())
    {
        let what = "names no proxy, though only one on this machine can reach web.listen: all browsers count as one, and \
                    wait for one another's wrong passwords";
        book.advise("web.trusted_proxies", what, "write trusted_proxies = [\"127.0.0.1\", \"::1\"]");
    }
    if let Some(address) = web.listen.iter().find(|address| web.public_url.is_secure() && is_open(address.ip())) {
        let what = format!("{address} takes plain HTTP from whoever can reach it: passwords could come in the open");
        book.advise(
            "web.listen",
            what,
            "listen on loopback or on an inner network, behind the proxy that speaks HTTPS",
        );
    }
}

fn ways_out(delivery: &Delivery, book: &Book<'_>) {
    match delivery.route {
        Route::Capture => {
            let what = "“capture” keeps every mail here: nobody gets one, and the pages show them to everybody";
            book.advise("delivery.route", what, "for a demonstration only; else write \"mx\" or \"smarthost\"");
        }
        Route::Mx if delivery.private_addresses => {
            let what = "lets whoever sends an empty mail have us dial servers of the inner network";
            book.advise("delivery.private_addresses", what, "for tests only; inner servers are reached as a smarthost");
        }
        Route::Mx | Route::Smarthost(_) => {}
    }
    if delivery.tls == TlsPolicy::Off && !matches!(delivery.route, Route::Capture) {
        let what = "“off” sends links and one-time passwords in the open, even where the other side offers TLS";
        book.advise("delivery.tls", what, "write \"opportunistic\"");
    }
}

/// Says whether whoever is on the Internet may reach a socket at this address, but for a firewall.
fn is_open(address: IpAddr) -> bool {
    let inner = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    !inner
}

/// Says whether pages are reached without leaving this machine.
fn is_here(url: &str) -> bool {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    let host = match place.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => place.split(':').next(),
    };
    let host = host.unwrap_or_default();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Says whether the way to a PostgreSQL database leads over a network that others may listen on.
fn crosses_a_network(url: &str) -> bool {
    use postgres::config::{Host, SslMode};
    let Ok(config) = url.parse::<postgres::Config>() else { return false };
    let leaves = |host: &Host| match host {
        Host::Tcp(name) => name != "localhost" && !name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        Host::Unix(_) => false,
    };
    config.get_ssl_mode() != SslMode::Require && config.get_hosts().iter().any(leaves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_open_unless_only_this_machine_or_its_network_has_it() {
        for open in ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(is_open(open.parse().unwrap()), "{open}");
        }
        for inner in ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"] {
            assert!(!is_open(inner.parse().unwrap()), "{inner}");
        }
    }

    #[test]
    fn pages_of_this_machine_are_told_from_those_of_others() {
        for here in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080", "http://x.localhost:1"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["http://www.example.jp", "http://192.168.0.1:8080", "http://localhost.example.jp"] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_database_on_another_machine_is_to_be_asked_for_tls() {
        for (url, crosses) in [
            ("postgres://u@db.example.jp/k", true),
            ("postgres://u@db.example.jp/k?sslmode=prefer", true),
            ("postgres://u@db.example.jp/k?sslmode=require", false),
            ("postgres://u@127.0.0.1/k", false),
            ("postgres://u@localhost,db.example.jp/k", true),
            ("postgres:///k?host=/run/postgresql", false),
        ] {
            assert_eq!(crosses_a_network(url), crosses, "{url}");
        }
    }
}
