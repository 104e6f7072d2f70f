use super::*;
use std::collections::HashSet;

/// The installation of the manual: mail comes in under one name and goes out under another.
fn plan() -> Plan {
    let half = |selector: &str, algorithm, standing| DkimHalf {
        domain: "mob-connect.example".parse().unwrap(),
        selector: selector.to_owned(),
        algorithm,
        text: Some(format!("v=DKIM1; p={selector}")),
        standing,
    };
    Plan {
        hostname: "mx.mc-anpi.example".parse().unwrap(),
        registration: vec!["bizanpi@mc-anpi.example".parse().unwrap()],
        from: "anpi@mob-connect.example".parse().unwrap(),
        bounce: "bounce.mob-connect.example".parse().unwrap(),
        way: Way::Direct,
        addresses: vec!["203.0.113.9".parse().unwrap(), "2001:db8::9".parse().unwrap()],
        senders: vec!["203.0.113.9".parse().unwrap(), "2001:db8::9".parse().unwrap()],
        assumed: false,
        pages: vec!["www.mc-anpi.example".parse().unwrap()],
        dkim: vec![
            half("k1", DkimAlgorithm::Rsa, Standing::Signs),
            half("e1", DkimAlgorithm::Ed25519, Standing::Signs),
            half("k2", DkimAlgorithm::Rsa, Standing::Waits),
        ],
    }
}

fn line(record: &Record) -> String {
    let mark = if record.needed { "" } else { "advised " };
    format!("{mark}{} {} {}", record.name, record.kind, record.value.as_deref().unwrap_or("?"))
}

fn lines(plan: &Plan) -> Vec<String> {
    records(plan).iter().map(line).collect()
}

/// The lines that one plan has and the other has not.
fn differing(changed: &Plan) -> (Vec<String>, Vec<String>) {
    let (before, after) = (lines(&plan()), lines(changed));
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>()
    };
    (only(&before, &after), only(&after, &before))
}

#[test]
fn everything_that_receivers_look_at_is_listed() {
    let id = lines(&plan()).into_iter().find_map(|line| Some(line.split_once("id=")?.1.to_owned())).unwrap();
    assert!(id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    let expected = [
        "mc-anpi.example MX 10 mx.mc-anpi.example",
        "bounce.mob-connect.example MX 10 mx.mc-anpi.example",
        "mx.mc-anpi.example A 203.0.113.9",
        "mx.mc-anpi.example AAAA 2001:db8::9",
        "9.113.0.203.in-addr.arpa PTR mx.mc-anpi.example",
        "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR mx.mc-anpi.example",
        "mob-connect.example MX 10 mx.mc-anpi.example",
        "mob-connect.example TXT v=spf1 a:mx.mc-anpi.example ~all",
        "bounce.mob-connect.example TXT v=spf1 a:mx.mc-anpi.example ~all",
        "advised mx.mc-anpi.example TXT v=spf1 a -all",
        "k1._domainkey.mob-connect.example TXT v=DKIM1; p=k1",
        "e1._domainkey.mob-connect.example TXT v=DKIM1; p=e1",
        "advised k2._domainkey.mob-connect.example TXT v=DKIM1; p=k2",
        "_dmarc.mob-connect.example TXT v=DMARC1; p=none; rua=mailto:postmaster@bounce.mob-connect.example",
        "www.mc-anpi.example A 203.0.113.9",
        "www.mc-anpi.example AAAA 2001:db8::9",
        &format!("advised _mta-sts.mc-anpi.example TXT v=STSv1; id={id}"),
        "advised mta-sts.mc-anpi.example A 203.0.113.9",
        "advised mta-sts.mc-anpi.example AAAA 2001:db8::9",
        "advised _smtp._tls.mc-anpi.example TXT v=TLSRPTv1; rua=mailto:postmaster@mc-anpi.example",
        &format!("advised _mta-sts.bounce.mob-connect.example TXT v=STSv1; id={id}"),
        "advised mta-sts.bounce.mob-connect.example A 203.0.113.9",
        "advised mta-sts.bounce.mob-connect.example AAAA 2001:db8::9",
        "advised _smtp._tls.bounce.mob-connect.example TXT v=TLSRPTv1; rua=mailto:postmaster@bounce.mob-connect.example",
    ];
    assert_eq!(lines(&plan()), expected);
    assert!(records(&plan()).iter().all(|record| !record.why.is_empty()));
}

#[test]
fn what_is_one_name_has_one_record_of_a_kind() {
    let mut one = plan();
    for name in [&mut one.hostname, &mut one.bounce] {
        *name = "anpi.example".parse().unwrap();
    }
    one.from = "anpi@anpi.example".parse().unwrap();
    one.registration = vec!["bizanpi@anpi.example".parse().unwrap(), "second@anpi.example".parse().unwrap()];
    one.pages = vec!["anpi.example".parse().unwrap()];
    one.dkim.clear();
    let found = records(&one);
    let names: HashSet<_> = found.iter().map(|record| (record.name.clone(), record.kind.to_string())).collect();
    assert_eq!(names.len(), found.len(), "{:?}", lines(&one));
    let spf: Vec<String> = lines(&one).into_iter().filter(|line| line.contains("v=spf1")).collect();
    assert_eq!(spf, ["anpi.example TXT v=spf1 a ~all"]);
    let mail = found.iter().find(|record| record.kind == Kind::Mx).unwrap();
    assert!(
        mail.why.contains("bizanpi@anpi.example, second@anpi.example") && mail.why.contains("Bounces"),
        "{}",
        mail.why
    );
}

#[test]
fn the_senders_domain_gets_an_mx_only_where_it_has_nothing_else() {
    let answers = |plan: &Plan| records(plan).iter().any(|record| record.purpose == Purpose::Answer);
    assert!(answers(&plan()));
    for change in [
        |plan: &mut Plan| plan.from = "anpi@mc-anpi.example".parse().unwrap(),
        |plan: &mut Plan| plan.from = "anpi@mx.mc-anpi.example".parse().unwrap(),
        |plan: &mut Plan| plan.pages.push("mob-connect.example".parse().unwrap()),
    ] {
        let mut other = plan();
        change(&mut other);
        assert!(!answers(&other));
    }
}

#[test]
fn where_another_server_delivers_it_is_the_one_that_may_send() {
    for (host, term) in [
        (Host::Name("relay.example".parse().unwrap()), "a:relay.example"),
        (Host::Address("198.51.100.1".parse().unwrap()), "ip4:198.51.100.1"),
        (Host::Address("2001:db8::1".parse().unwrap()), "ip6:2001:db8::1"),
    ] {
        let mut relayed = plan();
        relayed.way = Way::Relay(host);
        let (gone, come) = differing(&relayed);
        assert_eq!(gone.len(), 5, "{gone:?}");
        assert_eq!(
            come,
            [
                "advised 9.113.0.203.in-addr.arpa PTR mx.mc-anpi.example".to_owned(),
                "advised 9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR mx.mc-anpi.example".to_owned(),
                format!("mob-connect.example TXT v=spf1 {term} ~all"),
                format!("bounce.mob-connect.example TXT v=spf1 {term} ~all"),
            ]
        );
        let spf = records(&relayed).into_iter().find(|record| line(record).contains("v=spf1")).unwrap();
        assert!(spf.note.unwrap().contains("whoever runs it says what to put here"));
    }
}

#[test]
fn what_cannot_be_known_is_left_open_and_said() {
    let mut unknown = plan();
    unknown.addresses.clear();
    unknown.senders.clear();
    unknown.dkim[0].text = None;
    let found = records(&unknown);
    let open: Vec<String> = found.iter().filter(|record| record.value.is_none()).map(line).collect();
    assert_eq!(
        open,
        [
            "mx.mc-anpi.example A ?",
            "k1._domainkey.mob-connect.example TXT ?",
            "www.mc-anpi.example A ?",
            "advised mta-sts.mc-anpi.example A ?",
            "advised mta-sts.bounce.mob-connect.example A ?",
        ]
    );
    assert!(found.iter().filter(|record| record.value.is_none()).all(|record| record.note.is_some()));
    assert!(!found.iter().any(|record| record.kind == Kind::Ptr));
}

#[test]
fn only_the_addresses_that_mail_leaves_from_need_a_name() {
    let mut other = plan();
    other.senders.pop();
    let (gone, come) = differing(&other);
    assert!(come.is_empty() && gone.len() == 1 && gone[0].contains("ip6.arpa"), "{gone:?}");
}

#[test]
fn the_id_of_a_policy_changes_with_the_policy() {
    let id = |plan: &Plan| lines(plan).into_iter().find(|line| line.contains("STSv1")).unwrap();
    let mut other = plan();
    other.hostname = "mx2.mc-anpi.example".parse().unwrap();
    assert_ne!(id(&plan()), id(&other));
    assert_eq!(id(&plan()), id(&plan()));
    let policy = records(&plan()).into_iter().find(|record| record.purpose == Purpose::Sts).unwrap().note.unwrap();
    assert!(policy.contains("\nversion: STSv1\nmode: testing\nmx: mx.mc-anpi.example\nmax_age: 86400\n"), "{policy}");
}

#[test]
fn r142_the_name_of_the_pages_can_be_led_elsewhere_within_minutes() {
    let found = records(&plan());
    let page = |record: &&Record| record.name.as_str() == "www.mc-anpi.example";
    assert!(found.iter().filter(page).all(|record| record.ttl == 300));
    assert_eq!(found.iter().filter(page).count(), 2);
}
