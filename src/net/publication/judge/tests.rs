use super::super::plan::{DkimHalf, Standing};
use super::*;
use crate::config::Host;
use crate::keys::DkimAlgorithm;
use State::{Missing, Right, Unanswered, Unclear, Wrong};
use mail_auth::SpfResult;

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

/// A verdict is of this state, and its hint has these words; an empty one: there is no hint.
fn is(verdict: &Verdict, state: State, hint: &str, case: &impl std::fmt::Debug) {
    assert_eq!(verdict.state, state, "{case:?}: {verdict:?}");
    match (&verdict.hint, hint) {
        (None, "") => {}
        (Some(said), words) if !words.is_empty() && said.contains(words) => {}
        _ => panic!("{case:?}: {verdict:?} has not “{hint}”"),
    }
}

fn exchanges(all: &[&str]) -> Vec<Exchange> {
    let one = |host: &&str| Exchange { preference: 10, host: (*host).to_owned() };
    all.iter().map(one).collect()
}

#[test]
fn mail_comes_to_our_server_and_to_no_other() {
    for (found, state, hint) in [
        (&["mx.a.example"][..], Right, ""),
        (&["mx.a.example", "old.b.example"], Right, "mail also goes to old.b.example"),
        (&["old.b.example"], Wrong, "it has to go to mx.a.example"),
        (&[""], Wrong, "null MX"),
        (&[], Missing, ""),
    ] {
        is(&mail(&exchanges(found), &domain("mx.a.example")), state, hint, &found);
    }
    assert_eq!(mail(&exchanges(&["", "x.example"]), &domain("mx.a.example")).found, ["10 .", "10 x.example"]);
}

fn addresses(list: &[&str], alias_of: Option<&str>) -> Addresses {
    Addresses { list: list.iter().map(|text| ip(text)).collect(), alias_of: alias_of.map(domain) }
}

#[test]
fn our_name_has_our_address_itself() {
    let ours = Some(ip("203.0.113.9"));
    for (list, alias, expected, assumed, state, hint) in [
        (&["203.0.113.9"][..], None, ours, false, Right, ""),
        (&["203.0.113.9"], None, ours, true, Right, "only you can say"),
        (&["203.0.113.9", "203.0.113.10"], None, ours, false, Right, "also leads to 203.0.113.10"),
        (&["203.0.113.10"], None, ours, false, Wrong, "another machine"),
        (&["203.0.113.9"], Some("host.example"), ours, false, Wrong, "alias of host.example"),
        (&[], None, ours, false, Missing, ""),
        (&[], None, None, false, Missing, ""),
    ] {
        is(&address(&addresses(list, alias), expected, assumed), state, hint, &(list, alias, assumed));
    }
}

#[test]
fn our_address_has_our_name_and_our_name_confirms_it() {
    let (host, ours) = (domain("mx.a.example"), ip("203.0.113.9"));
    let confirms = [ours];
    for (names, forward, state, hint) in [
        (&["mx.a.example"][..], &confirms[..], Right, ""),
        (&["mx.a.example", "www.a.example"], &confirms, Right, "several names"),
        (&["mx.a.example"], &[ip("203.0.113.10")], Wrong, "do not believe the name"),
        (&["mx.a.example"], &[], Wrong, "do not believe the name"),
        (&["203-0-113-9.provider.example"], &confirms, Wrong, "say in EHLO, mx.a.example"),
        (&[], &confirms, Missing, ""),
    ] {
        is(&name(&texts(names), &host, ours, forward), state, hint, &(names, forward));
    }
}

#[test]
fn the_senders_domain_can_be_answered() {
    for (mx, list, state, hint) in [
        (&["anything.example"][..], &[][..], Right, ""),
        (&[], &["203.0.113.80"], Right, ""),
        (&["anything.example"], &["203.0.113.80"], Right, ""),
        (&[""], &["203.0.113.80"], Wrong, "null MX"),
        (&[], &[], Missing, ""),
    ] {
        is(&answer(&exchanges(mx), &addresses(list, None)), state, hint, &(mx, list));
    }
    is(&site(&addresses(&["203.0.113.80"], Some("cdn.example"))), Right, "", &"site");
    is(&site(&addresses(&[], Some("cdn.example"))), Missing, "", &"site");
}

#[test]
fn an_spf_record_is_judged_by_whom_it_lets_pass() {
    let host = domain("mx.a.example");
    let one = [(ip("203.0.113.9"), SpfResult::Pass)];
    let with = |result| [(ip("203.0.113.9"), SpfResult::Pass), (ip("2001:db8::9"), result)];
    let many = format!("v=spf1 {} ip4:203.0.113.9 ~all", "include:a.example ".repeat(11).trim_end());
    for (found, results, state, hint) in [
        (&["v=spf1 a:mx.a.example ~all"][..], &one[..], Right, ""),
        (&["V=SPF1 include:_spf.b.example -all", "other text"], &one, Right, ""),
        (
            &["v=spf1 ip4:203.0.113.9 -all"],
            &with(SpfResult::Fail),
            Wrong,
            "2001:db8::9 does not pass (fail): put a:mx.a.example",
        ),
        (&["v=spf1 ~all"], &with(SpfResult::SoftFail), Wrong, "(softfail)"),
        (&["v=spf1 a:MX.a.example ~all"], &with(SpfResult::SoftFail), Wrong, "give mx.a.example that address"),
        (&["v=spf1 a ~all"], &with(SpfResult::SoftFail), Wrong, "put a:mx.a.example"),
        (&["v=spf1"], &with(SpfResult::Neutral), Wrong, "(neutral)"),
        (&["v=spf1 include:b.example -all"], &with(SpfResult::PermError), Wrong, "more than 10 names"),
        (&["v=spf1 include:b.example -all"], &with(SpfResult::TempError), Unanswered, "cannot be looked up"),
        (&["v=spf1 -all"], &[], Unclear, "--address"),
        (&["v=spf1 +all"], &one, Wrong, "+all"),
        (&["v=spf1 all"], &one, Wrong, "+all"),
        (&["v=spf1 +mx/24 ?ptr -exists:%{i}.a.example ip6:2001:db8::/32 exp=x.a.example new=1 ~all"], &one, Right, ""),
        (&["v=spf1 ip4:300.1.1.1 ~all"], &one, Wrong, "“ip4:300.1.1.1” is nothing"),
        (&["v=spf1 ip4:203.0.113.0/33 ~all"], &one, Wrong, "ip4:203.0.113.0/33"),
        (&["v=spf1 ip4:2001:db8::9 ~all"], &one, Wrong, "ip4:2001:db8::9"),
        (&["v=spf1 include: ~all"], &one, Wrong, "include:"),
        (&["v=spf1 ipv4:203.0.113.9 ~all"], &one, Wrong, "ipv4:203.0.113.9"),
        (&["v=spf1 203.0.113.9 ~all"], &one, Wrong, "203.0.113.9"),
        (&["v=spf1 a;~all"], &one, Wrong, "a;~all"),
        (&[&many], &one, Wrong, "11 names"),
        (&["v=spf1 -all", "v=spf1 ~all"], &one, Wrong, "2 SPF records"),
        (&["v=spf10 -all", "google-site-verification=x"], &one, Missing, ""),
        (&[], &[], Missing, ""),
    ] {
        let senders = Senders { name: &domain("a.example"), hostname: &host, relay: None, results };
        is(&spf(&texts(found), senders), state, hint, &found);
    }
}

#[test]
fn what_another_server_sends_only_its_operator_can_judge() {
    let (host, relay) = (domain("mx.a.example"), Host::Name(domain("relay.example")));
    let address = ip("198.51.100.1");
    for (results, state, hint) in [
        (&[(address, SpfResult::Pass)][..], Right, "lets relay.example pass; ask"),
        (&[(address, SpfResult::SoftFail)], Unclear, "ask whoever runs relay.example"),
        (&[], Unclear, "ask whoever runs relay.example"),
        (&[(address, SpfResult::PermError)], Wrong, "give up"),
    ] {
        let senders = Senders { name: &domain("a.example"), hostname: &host, relay: Some(&relay), results };
        is(&spf(&texts(&["v=spf1 include:relay.example ~all"]), senders), state, hint, &results);
    }
}

fn key(algorithm: DkimAlgorithm, standing: Standing) -> DkimHalf {
    // Twenty-four bytes of head and eight of key, where it is RSA.
    let text = match algorithm {
        DkimAlgorithm::Rsa => "v=DKIM1; k=rsa; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAS0VZLUtFWS4=",
        DkimAlgorithm::Ed25519 => "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    };
    let (domain, selector) = (domain("a.example"), "k1".to_owned());
    DkimHalf { domain, selector, algorithm, text: Some(text.to_owned()), standing }
}

#[test]
fn a_dkim_record_shows_just_our_key() {
    const P: &str = "p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAS0VZLUtFWS4=";
    let good = format!("v=DKIM1; k=rsa; {P}");
    let with = |tags: &str| format!("v=DKIM1; {tags}; {P}");
    let rsa = key(DkimAlgorithm::Rsa, Standing::Signs);
    for (text, state, hint) in [
        (good.clone(), Right, ""),
        // RFC 6376 3.6.1: all but p= may be left out, and blanks may be anywhere in it.
        (P.to_owned(), Right, ""),
        (format!("v = DKIM1 ;{};", P.replace("AAS0", "AA S0")), Right, ""),
        (with("h=sha1:sha256; s=*; t=s"), Right, ""),
        ("v=DKIM1; p=S0VZLUtFWS4=".to_owned(), Right, ""),
        (with("k=ed25519"), Wrong, "of type ed25519, and ours is rsa"),
        ("v=DKIM1; k=rsa; p=".to_owned(), Wrong, "revoked"),
        ("v=DKIM1; k=rsa; p=S0VZLUtFWS8=".to_owned(), Wrong, "another key"),
        ("v=DKIM1; k=rsa; p=!!".to_owned(), Wrong, "another key"),
        ("v=DKIM1; k=rsa".to_owned(), Wrong, "no key"),
        (format!("v=DKIM2; {P}"), Wrong, "v=DKIM1"),
        (with("h=sha1"), Wrong, "h="),
        (with("s=tlsrpt"), Wrong, "s="),
        (format!("k=rsa; v=DKIM1; {P}"), Wrong, "does not begin with v=DKIM1"),
        (with("t=s:y"), Wrong, "t=y"),
    ] {
        is(&dkim(std::slice::from_ref(&text), &rsa), state, hint, &text);
    }
    is(&dkim(&[], &rsa), Missing, "", &"none");
    is(&dkim(&[good.clone(), good.clone()], &rsa), Wrong, "several", &"two");

    let short = key(DkimAlgorithm::Ed25519, Standing::Signs);
    let text = short.text.clone().unwrap();
    is(&dkim(std::slice::from_ref(&text), &short), Right, "", &text);
    is(&dkim(&[text.replace("k=ed25519; ", "")], &short), Wrong, "of type rsa, and ours is ed25519", &text);
}

#[test]
fn a_key_that_waits_is_ready_once_its_record_is_there() {
    let waiting = key(DkimAlgorithm::Rsa, Standing::Waits);
    is(&dkim(&[waiting.text.clone().unwrap()], &waiting), Right, "karamail key use k1", &"there");
    is(&dkim(&[], &waiting), Missing, "", &"not there");
    is(&dkim(&texts(&["v=DKIM1; p="]), &waiting), Wrong, "revoked", &"revoked");
}

#[test]
fn a_dmarc_record_is_one_that_our_mail_can_meet() {
    let own = "p.a.example";
    let author = |bounce: &str, signing: &str| (domain(own), domain(bounce), vec![domain(signing)]);
    let usual = || author("bounce.p.a.example", own);
    for (at_own, above, (from, bounce, signing), state, hint) in [
        (&["v=DMARC1; p=quarantine; rua=mailto:x@a.example"][..], &[][..], usual(), Right, ""),
        (&["v=DMARC1; p=none; rua=mailto:x@a.example"], &[], usual(), Right, "go to p=quarantine"),
        (&["v=DMARC1;p=reject"], &[], usual(), Right, "without rua="),
        (&["v=DMARC1; p=reject; rua=mailto:x@a.example", "some text"], &[], usual(), Right, ""),
        (
            &[],
            &["v=DMARC1; p=reject; rua=mailto:x@a.example"],
            usual(),
            Right,
            "the record of a.example holds for p.a.example",
        ),
        // An own record goes before that of the domain above.
        (&["v=DMARC1; p=nothing"], &["v=DMARC1; p=reject"], usual(), Wrong, "cannot be read"),
        (&["v=DMARC1; rua=mailto:x@a.example"], &[], usual(), Wrong, "(p=)"),
        (&["v=DMARC1; p=none", "v=DMARC1; p=reject"], &[], usual(), Wrong, "several"),
        (&["p=none"], &[], usual(), Wrong, "v=DMARC1"),
        (&["v=DMARC1; p=reject; aspf=s; rua=mailto:x@a.example"], &[], usual(), Right, "aspf=s"),
        (&["v=DMARC1; p=reject; adkim=s; rua=mailto:x@a.example"], &[], usual(), Right, ""),
        (
            &["v=DMARC1; p=reject; adkim=s; rua=mailto:x@a.example"],
            &[],
            author("bounce.p.a.example", "a.example"),
            Right,
            "adkim=s",
        ),
        (
            &["v=DMARC1; p=reject; adkim=s; aspf=s"],
            &[],
            author("bounce.p.a.example", "a.example"),
            Wrong,
            "none of our mail",
        ),
        (
            &["v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:x@a.example"],
            &[],
            author(own, "a.example"),
            Right,
            "adkim=s",
        ),
        (&[], &[], usual(), Missing, ""),
    ] {
        let steps = [(domain(own), texts(at_own)), (domain("a.example"), texts(above))];
        let author = Author { from: &from, bounce: &bounce, signing: &signing };
        is(&dmarc(&steps, author), state, hint, &(at_own, above));
    }
}

#[test]
fn announcements_about_tls_are_one_each_and_complete() {
    for (found, state, hint) in [
        (&["v=STSv1; id=20261129"][..], Right, ""),
        (&["v=STSv1; id=1", "another text"], Right, ""),
        (&["v=STSv1; id=1", "v=STSv1; id=2"], Wrong, "several"),
        (&["v=STSv1;"], Wrong, "no id="),
        (&["v=STSv1; id=2026-11-29"], Wrong, "no id="),
        (&["another text"], Missing, ""),
    ] {
        is(&sts(&texts(found)), state, hint, &found);
    }
    for (found, state, hint) in [
        (&["v=TLSRPTv1; rua=mailto:x@a.example"][..], Right, ""),
        (&["v=TLSRPTv1;rua=https://a.example/x, mailto:x@a.example"], Right, ""),
        (&["v=TLSRPTv1; rua=x@a.example"], Wrong, "no rua="),
        (&["v=TLSRPTv1"], Wrong, "no rua="),
        (&["v=TLSRPTv1; rua=mailto:x@a.example", "v=TLSRPTv1; rua=mailto:y@a.example"], Wrong, "several"),
        (&[], Missing, ""),
    ] {
        is(&tls_reports(&texts(found)), state, hint, &found);
    }
}
