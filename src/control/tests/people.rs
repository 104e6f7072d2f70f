//! Organisations and their members.

use super::*;
use crate::store::FactorKind;

#[tokio::test]
async fn an_organisation_is_added_once_changed_and_shown() {
    let office = Office::with_demo().await;
    let org: OrgCode = "DEMO".parse().unwrap();
    let shown = office.facts(Request::ShowOrg { org: org.clone() }).await;
    assert_eq!(
        shown,
        json!({
            "org": "DEMO", "title": "デモ", "title_en": "Demo", "members": 0, "created_at": at(100).to_string(),
            "second_factors": {"members": 0, "mail_only": 0},
            "profile": "manual", "plan": "standard", "two_factor": false, "otp_digits": 6, "otp_lifetime": 3600,
            "backup_code": "digits8", "password_min_length": 1, "password_max_length": 32,
            "password_min_strength": "weak", "blocklist": "reject", "reauthenticate_after": 300, "differs": [],
        })
    );
    let again = Request::AddOrg { org: org.clone(), title: "x".to_owned(), title_en: None };
    assert!(office.refusal(again).await.contains("already"));
    let set = Request::SetOrg { org: org.clone(), title: Some("新".to_owned()), title_en: None, policy: Vec::new() };
    assert_eq!(office.facts(set).await["title"], "新");
    assert_eq!(office.facts(Request::ListOrgs).await[0]["title_en"], "Demo");
    let nobody: OrgCode = "NOBODY".parse().unwrap();
    for request in [
        Request::ShowOrg { org: nobody.clone() },
        Request::SetOrg { org: nobody.clone(), title: None, title_en: None, policy: Vec::new() },
        Request::ListMembers { org: nobody.clone() },
        Request::ShowMember { org: nobody, id: "1".parse().unwrap() },
    ] {
        assert!(office.refusal(request).await.contains("no organisation NOBODY"));
    }
    for title in ["", " ", "a\nb", "see https://x.jp", &"x".repeat(65)] {
        let request =
            Request::SetOrg { org: org.clone(), title: Some(title.to_owned()), title_en: None, policy: Vec::new() };
        assert!(office.refusal(request).await.contains("one line"), "{title}");
    }
}

#[tokio::test]
async fn a_profile_goes_before_what_stands_beside_it_and_it_is_shown_what_differs() {
    let office = Office::with_demo().await;
    let org: OrgCode = "DEMO".parse().unwrap();
    let set = |changes: &[(&str, &str)]| {
        let policy = changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Request::SetOrg { org: org.clone(), title: None, title_en: None, policy }
    };
    let shown = office.facts(set(&[("password_min_length", "12"), ("two_factor", "on"), ("profile", "asvs2")])).await;
    assert_eq!((&shown["profile"], &shown["password_min_length"]), (&json!("asvs2"), &json!(12)));
    assert_eq!((&shown["otp_lifetime"], &shown["two_factor"]), (&json!(600), &json!(true)));
    assert_eq!(shown["differs"], json!(["password_min_length"]));
    assert_eq!(office.facts(set(&[("profile", "asvs2")])).await["differs"], json!([]));
}

#[tokio::test]
async fn the_share_of_members_who_have_codes_by_mail_only_is_shown() {
    let office = Office::with_demo().await;
    let file = "id,password,name\n1,kite7,a\n2,kite7,b\n3,kite7,c\n4,kite7,d\n5,kite7,e\n";
    office.facts(import(file, false)).await;
    let org: OrgCode = "DEMO".parse().unwrap();
    let found = office.write(|tx| tx.org(&"DEMO".parse().unwrap())).await.unwrap().id;
    office
        .write(move |tx| {
            let codes = address("codes@d.jp");
            for (login, app, mail, ends) in [
                ("1", false, true, false),
                ("2", true, true, false),
                ("3", true, false, false),
                ("4", false, true, true),
            ] {
                let member = tx.member(found, &login.parse().unwrap())?.unwrap().id;
                if app {
                    tx.put_factor(member, FactorKind::App, None, None, at(1))?;
                }
                if mail {
                    tx.put_factor(member, FactorKind::Mail, Some(&codes), None, at(1))?;
                }
                if ends {
                    tx.end_factors(member, at(2))?;
                }
            }
            Ok(())
        })
        .await;
    let shown = office.facts(Request::ShowOrg { org }).await;
    assert_eq!(shown["second_factors"], json!({"members": 3, "mail_only": 1}));
}

#[tokio::test]
async fn members_are_imported_listed_and_shown_with_the_keys_scripts_rely_on() {
    let office = Office::with_demo().await;
    let file = "id,password,name,language,mail1\n0001,kite7,山田,en,a@b.jp\n";
    let report = office.facts(import(file, true)).await;
    assert_eq!(
        report,
        json!({"org": "DEMO", "encoding": "UTF-8", "added": 1, "changed": 0, "unchanged": 0, "dry_run": true})
    );
    let list = Request::ListMembers { org: "DEMO".parse().unwrap() };
    assert!(office.ask(list.clone()).await.is_empty());
    assert_eq!(office.facts(import(file, false)).await["added"], 1);
    assert_eq!(office.facts(list).await[0]["id"], "0001");

    let row = AddressRow {
        address: address("a@b.jp"),
        state: AddressState::Verified,
        verdict: None,
        stage: None,
        reply: None,
        at: None,
        verified_at: Some(at(5)),
        unknown_day: None,
    };
    office.write(move |tx| tx.note_address(&row)).await;
    let shown = office.facts(Request::ShowMember { org: "DEMO".parse().unwrap(), id: "0001".parse().unwrap() }).await;
    assert_eq!(
        shown,
        json!({
            "org": "DEMO", "id": "0001", "name": "山田", "kana": null, "department": null, "language": "en",
            "must_change_password": true, "last_login": null,
            "start_password_expires": at(100 + 14 * 86_400).to_string(),
            "addresses": [{"priority": 1, "address": "a@b.jp", "state": "verified"}],
            "two_factor": {"app": false, "mail": false, "backup_code": false},
        })
    );
    let unknown = Request::ShowMember { org: "DEMO".parse().unwrap(), id: "0002".parse().unwrap() };
    assert_eq!(office.refusal(unknown).await, "DEMO has no member 0002");
}

#[tokio::test]
async fn r022_what_an_organisation_asks_for_is_set_all_or_nothing() {
    let office = Office::with_demo().await;
    let org: OrgCode = "DEMO".parse().unwrap();
    let set = |changes: &[(&str, &str)]| {
        let policy = changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Request::SetOrg { org: org.clone(), title: None, title_en: None, policy }
    };
    let shown = office.facts(set(&[("two_factor", "on"), ("otp_digits", "8")])).await;
    assert_eq!((&shown["two_factor"], &shown["otp_digits"]), (&json!(true), &json!(8)));
    assert!(office.refusal(set(&[("two_factor", "off"), ("otp_digits", "9")])).await.contains("from 6 to 8"));
    assert!(office.refusal(set(&[("family", "on")])).await.contains("no key “family”"));
    assert_eq!(office.facts(Request::ShowOrg { org: org.clone() }).await, shown);
}

#[tokio::test]
async fn a_faulty_file_is_answered_with_its_faults() {
    let office = Office::with_demo().await;
    let faults = office.facts(import("id,name,mail1\n1,x,a@\n2,,b@c.jp\n", false)).await;
    assert_eq!(faults["faults"][0]["line"], 2);
    assert_eq!(faults["faults"][0]["column"], "mail1");
    assert_eq!(faults["faults"][1]["problem"], "is empty");
    assert_eq!(faults["more"], 0);
    let org = "DEMO".parse().unwrap();
    assert!(
        office
            .refusal(Request::ImportMembers { org, file: "*".to_owned(), dry_run: true, watched: true })
            .await
            .contains("no base64")
    );
}

#[tokio::test]
async fn how_far_an_import_has_come_is_said_to_whoever_watches() {
    let office = Office::with_demo().await;
    let rows: String = (0..2_500).map(|number| format!("{number},kite7,花子\n")).collect();
    let mut request = import(&format!("id,password,name\n{rows}"), false);
    assert_eq!(office.ask(request.clone()).await.len(), 1);
    let Request::ImportMembers { watched, .. } = &mut request else { panic!("{request:?}") };
    *watched = true;
    let mut answers = office.ask(request).await;
    assert!(matches!(answers.pop(), Some(Response::Import(facts)) if facts.unchanged == 2_500));
    let told: Vec<(u64, u64)> = answers
        .iter()
        .map(|answer| match answer {
            Response::Progress { done, all } => (*done, *all),
            other => panic!("{other:?}"),
        })
        .collect();
    // Those that came while nobody looked are left out; the last is not.
    assert!(told.is_sorted() && told.last() == Some(&(5_000, 5_000)), "{told:?}");
}

#[tokio::test]
async fn long_lists_of_members_come_in_pages() {
    let office = Office::with_demo().await;
    let lines: String = (0..1_001).map(|id| format!("{id:04},kite7,member {id}\n")).collect();
    office.facts(import(&format!("id,password,name\n{lines}"), false)).await;
    let pages = office.ask(Request::ListMembers { org: "DEMO".parse().unwrap() }).await;
    let sizes: Vec<usize> =
        pages.iter().map(|page| if let Response::Members(rows) = page { rows.len() } else { 0 }).collect();
    assert_eq!(sizes, [500, 500, 1]);
}

#[tokio::test]
async fn a_member_of_the_store_is_shown_without_a_password() {
    let office = Office::with_demo().await;
    office
        .write(|tx| {
            let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
            let member = NewMember {
                login: "0001".parse().unwrap(),
                name: "山田".to_owned(),
                kana: None,
                department: None,
                language: Language::Ja,
                password_hash: Some("$argon2id$secret".to_owned()),
                addresses: [None, None, None],
            };
            let (id, _) = tx.put_member(org.id, &member, at(1))?;
            tx.put_address(id, Priority::First, &address("a@b.jp"), "registration", at(1))
        })
        .await;
    let request = Request::ShowMember { org: "DEMO".parse().unwrap(), id: "0001".parse().unwrap() };
    assert!(!office.facts(request).await.to_string().contains("secret"));
}
