//! Organisations, members, addresses, secrets, logins, sessions.

use super::{Place, address, at, demo, new_member, read, taro, write};
use karamail::model::{EmailAddress, JobId, Language, LoginId, Policy, Priority, Stage};
use karamail::queue::Verdict;
use karamail::store::{AddressRow, AddressState, Gate, NewChallenge, NewMember, START_PASSWORD, Session, Store, Tx};
use tokio::task::JoinSet;

pub async fn an_organisation_is_added_once(place: Place) {
    let store = place.open().await;
    let id = demo(&store).await;
    assert_eq!(write(&store, |tx| tx.add_org(&"demo".parse().unwrap(), "another", None, at(2))).await, None);
    write(&store, |tx| tx.add_org(&"ACME".parse().unwrap(), "アクメ", Some("Acme"), at(3))).await.unwrap();
    let org = read(&store, |tx| tx.org(&"Demo".parse().unwrap())).await.unwrap();
    assert_eq!((org.id, org.title.as_str(), org.title_en, org.created_at), (id, "株式会社デモ", None, at(1)));
    let orgs = read(&store, |tx| tx.orgs()).await;
    assert_eq!(orgs.iter().map(|org| org.code.as_str()).collect::<Vec<_>>(), ["ACME", "DEMO"]);
    assert_eq!(orgs[0].title_en.as_deref(), Some("Acme"));
    assert_eq!(read(&store, move |tx| tx.org_by_id(id)).await.as_ref(), Some(&orgs[1]));
    assert_eq!(read(&store, |tx| tx.org(&"NONE".parse().unwrap())).await, None);
}

pub async fn an_organisation_changes_only_what_is_given(place: Place) {
    let store = place.open().await;
    demo(&store).await;
    assert!(write(&store, |tx| tx.set_org(&"DEMO".parse().unwrap(), None, Some("Demo Inc."))).await);
    assert!(write(&store, |tx| tx.set_org(&"DEMO".parse().unwrap(), Some("デモ"), None)).await);
    assert!(!write(&store, |tx| tx.set_org(&"NONE".parse().unwrap(), Some("x"), None)).await);
    let policy = Policy { two_factor: true, otp_digits: 8, ..Policy::default() };
    let kept = policy.clone();
    assert!(write(&store, move |tx| tx.set_policy(&"DEMO".parse().unwrap(), &kept)).await);
    assert!(!write(&store, |tx| tx.set_policy(&"NONE".parse().unwrap(), &Policy::default())).await);
    let policies: Vec<Policy> = read(&store, |tx| tx.orgs()).await.into_iter().map(|org| org.policy).collect();
    assert_eq!(policies, [policy]);
    let org = read(&store, |tx| tx.org(&"DEMO".parse().unwrap())).await.unwrap();
    assert_eq!((org.title.as_str(), org.title_en.as_deref()), ("デモ", Some("Demo Inc.")));
}

pub async fn a_member_is_found_by_id_in_any_case(place: Place) {
    let store = place.open().await;
    let id = taro(&store).await;
    let org = read(&store, |tx| tx.org(&"DEMO".parse().unwrap())).await.unwrap().id;
    let member = read(&store, move |tx| tx.member(org, &"tARO".parse().unwrap())).await.unwrap();
    assert_eq!((member.id, member.login.as_str(), member.name.as_str()), (id, "Taro", "山田 太郎"));
    assert_eq!((member.kana.as_deref(), member.department.as_deref()), (Some("ヤマダ タロウ"), None));
    assert_eq!((member.language, member.must_change_password, member.last_login), (Language::Ja, true, None));
    assert_eq!(read(&store, move |tx| tx.member_by_id(id)).await, Some(member));
    assert_eq!(read(&store, move |tx| tx.member(org, &"jiro".parse().unwrap())).await, None);
    write(&store, move |tx| {
        tx.note_login(id, at(50))?;
        tx.set_language(id, Language::En)
    })
    .await;
    let member = read(&store, move |tx| tx.member_by_id(id)).await.unwrap();
    assert_eq!((member.last_login, member.language), (Some(at(50)), Language::En));
}

/// Imports Taro again; gives what password he has then.
async fn again(store: &Store, hash: &str) -> Option<String> {
    let again = NewMember { name: "新しい名".into(), password_hash: Some(hash.to_owned()), ..new_member("TARO") };
    let org = read(store, |tx| tx.org(&"DEMO".parse().unwrap())).await.unwrap().id;
    let (id, created) = write(store, move |tx| tx.put_member(org, &again, at(9))).await;
    assert!(!created);
    let member = read(store, move |tx| tx.member_by_id(id)).await.unwrap();
    assert_eq!((member.name.as_str(), member.login.as_str()), ("新しい名", "TARO"));
    member.password_hash
}

pub async fn importing_again_keeps_a_chosen_password(place: Place) {
    let store = place.open().await;
    let id = taro(&store).await;
    write(&store, move |tx| tx.set_password(id, "chosen", at(2))).await;
    assert_eq!(again(&store, "from the file").await.as_deref(), Some("chosen"));
    assert!(!read(&store, move |tx| tx.member_by_id(id)).await.unwrap().must_change_password);
}

pub async fn importing_again_keeps_a_sealed_password(place: Place) {
    let store = place.open().await;
    let id = taro(&store).await;
    write(&store, move |tx| tx.put_secret(START_PASSWORD, id.number(), b"sealed")).await;
    assert_eq!(again(&store, "from the file").await, None);
    assert!(read(&store, move |tx| tx.secret(START_PASSWORD, id.number())).await.is_some());
}

pub async fn importing_again_fills_in_a_missing_password(place: Place) {
    let store = place.open().await;
    let id = taro(&store).await;
    assert_eq!(again(&store, "from the file").await.as_deref(), Some("from the file"));
    assert!(read(&store, move |tx| tx.member_by_id(id)).await.unwrap().must_change_password);
}

pub async fn importing_again_keeps_addresses_where_the_file_is_blank(place: Place) {
    let store = place.open().await;
    let org = demo(&store).await;
    let import = |addresses: [Option<&str>; 3]| NewMember {
        addresses: addresses.map(|one| one.map(address)),
        ..new_member("taro")
    };
    let first = import([Some("a@docomo.ne.jp"), Some("b@docomo.ne.jp"), None]);
    let (id, created) = write(&store, move |tx| tx.put_member(org, &first, at(1))).await;
    assert!(created);
    let second = import([None, Some("B2@docomo.ne.jp"), Some("c@docomo.ne.jp")]);
    write(&store, move |tx| tx.put_member(org, &second, at(2))).await;
    let addresses = read(&store, move |tx| tx.addresses_of(id)).await;
    let expected = ["a@docomo.ne.jp", "B2@docomo.ne.jp", "c@docomo.ne.jp"].map(address);
    assert_eq!(addresses, Priority::ALL.into_iter().zip(expected).collect::<Vec<_>>());
}

pub async fn members_are_listed_page_by_page(place: Place) {
    let store = place.open().await;
    let org = demo(&store).await;
    write(&store, move |tx| {
        let other = tx.add_org(&"ACME".parse().unwrap(), "x", None, at(1))?.unwrap();
        tx.put_member(other, &new_member("a-stranger"), at(1))?;
        ["b", "A", "_", "c", "B2"].iter().try_for_each(|id| tx.put_member(org, &new_member(id), at(1)).map(drop))
    })
    .await;
    let mut seen = Vec::new();
    let mut after: Option<LoginId> = None;
    loop {
        let from = after.clone();
        let page = read(&store, move |tx| tx.members(org, 2, from.as_ref())).await;
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.login.clone());
        seen.extend(page.into_iter().map(|member| member.login.as_str().to_owned()));
    }
    assert_eq!(seen, ["_", "A", "b", "B2", "c"]);
    assert_eq!(read(&store, move |tx| tx.member_count(org)).await, 5);
}

pub async fn an_address_has_its_holders(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let who: EmailAddress = address("Shared@docomo.ne.jp");
    let spelt = who.clone();
    write(&store, move |tx| {
        let acme = tx.add_org(&"ACME".parse().unwrap(), "x", None, at(1))?.unwrap();
        let (hanako, _) = tx.put_member(acme, &new_member("hanako"), at(1))?;
        tx.put_address(taro, Priority::Second, &spelt, "registration", at(2))?;
        tx.put_address(hanako, Priority::First, &address("shared@docomo.ne.jp"), "import", at(2))?;
        tx.put_address(hanako, Priority::Third, &address("other@docomo.ne.jp"), "import", at(2))
    })
    .await;
    let holders = read(&store, |tx| tx.holders(&address("SHARED@docomo.ne.jp"))).await;
    let expected = [("ACME", "hanako", Priority::First), ("DEMO", "Taro", Priority::Second)];
    assert_eq!(holders, expected.map(|(org, id, place)| (org.parse().unwrap(), id.parse().unwrap(), place)));
    assert_eq!(read(&store, move |tx| tx.addresses_of(taro)).await, [(Priority::Second, who)]);
    write(&store, move |tx| tx.put_address(taro, Priority::Second, &address("new@docomo.ne.jp"), "page", at(3))).await;
    assert_eq!(read(&store, |tx| tx.holders(&address("shared@docomo.ne.jp"))).await.len(), 1);
    write(&store, move |tx| tx.drop_address(taro, Priority::Second)).await;
    assert_eq!(read(&store, move |tx| tx.addresses_of(taro)).await, []);
    assert_eq!(read(&store, |tx| tx.holders(&address("other@docomo.ne.jp"))).await.len(), 1);
}

pub async fn a_new_password_wipes_the_start_password(place: Place) {
    let store = place.open().await;
    let id = taro(&store).await;
    write(&store, move |tx| tx.put_secret(START_PASSWORD, id.number(), b"sealed")).await;
    write(&store, move |tx| tx.set_password(id, "$argon2id$chosen", at(2))).await;
    let member = read(&store, move |tx| tx.member_by_id(id)).await.unwrap();
    assert_eq!((member.password_hash.as_deref(), member.must_change_password), (Some("$argon2id$chosen"), false));
    assert_eq!(read(&store, move |tx| tx.secret(START_PASSWORD, id.number())).await, None);
}

pub async fn what_is_known_of_an_address_is_replaced(place: Place) {
    let store = place.open().await;
    let row = |state, verdict, spelt: &str| AddressRow {
        address: address(spelt),
        state,
        verdict,
        stage: verdict.map(|_| Stage::Rcpt),
        reply: verdict.map(|_| "550 5.1.1 no".to_owned()),
        at: Some(at(5)),
        verified_at: None,
        unknown_day: None,
    };
    assert_eq!(read(&store, |tx| tx.address(&address("a@docomo.ne.jp"))).await, None);
    let bare = AddressRow { at: None, ..row(AddressState::New, None, "a@docomo.ne.jp") };
    let refused = row(AddressState::Unreachable, Some(Verdict::UnknownUser), "A@docomo.ne.jp");
    let verified = AddressRow { verified_at: Some(at(9)), ..row(AddressState::Verified, None, "a@docomo.ne.jp") };
    let again = AddressRow { unknown_day: Some(20_000), ..refused.clone() };
    for row in [bare, refused, again, verified] {
        let note = row.clone();
        write(&store, move |tx| tx.note_address(&note)).await;
        assert_eq!(read(&store, |tx| tx.address(&address("a@DOCOMO.ne.jp"))).await, Some(row));
    }
}

pub async fn suppressed_addresses_are_told_listed_and_cleared(place: Place) {
    let store = place.open().await;
    let row = |spelt: &str, state| AddressRow {
        address: address(spelt),
        state,
        verdict: Some(Verdict::UnknownUser),
        stage: Some(Stage::Rcpt),
        reply: Some("550 5.1.1 no".to_owned()),
        at: Some(at(5)),
        verified_at: Some(at(3)),
        unknown_day: Some(20_000),
    };
    for (spelt, state) in [
        ("C@docomo.ne.jp", AddressState::Suppressed),
        ("a@docomo.ne.jp", AddressState::Suppressed),
        ("b@docomo.ne.jp", AddressState::Suppressed),
        ("d@docomo.ne.jp", AddressState::Unreachable),
        ("e@docomo.ne.jp", AddressState::Accepted),
    ] {
        let row = row(spelt, state);
        write(&store, move |tx| tx.note_address(&row)).await;
    }
    let listed = async |after: Option<&str>, limit| {
        let after = after.map(address);
        let rows = read(&store, move |tx| tx.suppressions(after.as_ref(), limit)).await;
        rows.into_iter().map(|row| row.address.local().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 2).await, ["a", "b"]);
    assert_eq!(listed(Some("B@docomo.ne.jp"), 2).await, ["C"]);
    let told = async |spelt| read(&store, move |tx| tx.is_suppressed(&address(spelt))).await;
    for (spelt, expected) in [("c@docomo.ne.jp", true), ("d@docomo.ne.jp", false), ("z@docomo.ne.jp", false)] {
        assert_eq!(told(spelt).await, expected, "{spelt}");
    }
    let cleared = async |spelt| write(&store, move |tx| tx.clear_address(&address(spelt), at(9))).await;
    for (spelt, state) in [
        ("c@DOCOMO.ne.jp", AddressState::New),
        ("D@docomo.ne.jp", AddressState::New),
        ("e@docomo.ne.jp", AddressState::Accepted),
    ] {
        assert!(cleared(spelt).await, "{spelt}");
        let row = read(&store, move |tx| tx.address(&address(spelt))).await.unwrap();
        assert_eq!((row.state, row.verdict, row.stage, row.reply), (state, None, None, None));
        assert_eq!((row.at, row.verified_at, row.unknown_day), (Some(at(9)), Some(at(3)), None));
        // What is known then is nothing to be forgotten.
        assert!(!cleared(spelt).await, "{spelt}");
    }
    assert!(!told("c@docomo.ne.jp").await);
    assert!(!cleared("nobody@docomo.ne.jp").await);
    assert_eq!(listed(None, 9).await, ["a", "b"]);
}

pub async fn a_secret_belongs_to_its_purpose_and_owner(place: Place) {
    let store = place.open().await;
    write(&store, |tx| {
        tx.put_secret("otp", 1, b"\x00one")?;
        tx.put_secret("otp", 2, b"two")?;
        tx.put_secret("totp", 1, b"three")?;
        tx.put_secret("otp", 1, b"\x00four")
    })
    .await;
    assert_eq!(read(&store, |tx| tx.secret("otp", 1)).await.as_deref(), Some(&b"\x00four"[..]));
    write(&store, |tx| tx.wipe_secret("otp", 1)).await;
    assert_eq!(read(&store, |tx| tx.secret("otp", 1)).await, None);
    assert_eq!(read(&store, |tx| tx.secret("otp", 2)).await.as_deref(), Some(&b"two"[..]));
    assert_eq!(read(&store, |tx| tx.secret("totp", 1)).await.as_deref(), Some(&b"three"[..]));
}

async fn knock(store: &Store, now: i64) -> Gate {
    write(store, move |tx| tx.try_login(&[1; 32], &[2; 32], at(now))).await
}

pub async fn a_login_gate_opens_for_one_at_a_time_and_longer_each_time(place: Place) {
    let store = place.open().await;
    // The first failure is free.
    assert_eq!(knock(&store, 0).await, Gate::Open { failures: 0 });
    let mut now = 0;
    for (failures, wait) in (1..).zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        assert_eq!(knock(&store, now).await, Gate::Open { failures });
        let until = now + wait * 1_000;
        assert_eq!(knock(&store, until - 1).await, Gate::Wait { until: at(until) });
        now = until;
    }
    // Neither the device nor the account of others is held up.
    for (account, device) in [([1; 32], [9; 32]), ([9; 32], [2; 32])] {
        let gate = write(&store, move |tx| tx.try_login(&account, &device, at(now))).await;
        assert_eq!(gate, Gate::Open { failures: 0 });
    }
}

pub async fn many_guesses_at_once_are_judged_once_per_open_moment(place: Place) {
    let store = place.open().await;
    assert_eq!(knock(&store, 0).await, Gate::Open { failures: 0 });
    for now in [0, 1_000, 3_000] {
        let mut tasks = JoinSet::new();
        for _ in 0..200 {
            let store = store.clone();
            tasks.spawn(async move { knock(&store, now).await });
        }
        let judged = tasks.join_all().await.into_iter().filter(|gate| matches!(gate, Gate::Open { .. })).count();
        assert_eq!(judged, 1, "at {now}");
    }
}

pub async fn old_failures_are_forgotten_and_recent_ones_are_not(place: Place) {
    let store = place.open().await;
    let try_at = |device: u8, now: i64| write(&store, move |tx| tx.try_login(&[1; 32], &[device; 32], at(now)));
    for (device, now) in [(1, 100), (2, 200), (3, 300), (4, 300)] {
        assert_eq!(try_at(device, now).await, Gate::Open { failures: 0 });
    }
    assert_eq!(write(&store, |tx| tx.trim_login_failures(at(300), 1)).await, 1);
    assert_eq!(write(&store, |tx| tx.trim_login_failures(at(300), 9)).await, 1);
    assert_eq!(write(&store, |tx| tx.trim_login_failures(at(300), 9)).await, 0);
    assert_eq!(try_at(2, 400).await, Gate::Open { failures: 0 });
    assert_eq!(try_at(3, 400).await, Gate::Open { failures: 1 });
}

pub async fn a_right_password_takes_the_failures_away(place: Place) {
    let store = place.open().await;
    knock(&store, 0).await;
    knock(&store, 0).await;
    assert_eq!(knock(&store, 0).await, Gate::Wait { until: at(1_000) });
    write(&store, |tx| tx.login_succeeded(&[1; 32], &[2; 32])).await;
    assert_eq!(knock(&store, 0).await, Gate::Open { failures: 0 });
}

pub async fn tries_for_an_account_are_counted_wherever_they_come_from_and_none_is_lost(place: Place) {
    let store = place.open().await;
    let mut tasks = JoinSet::new();
    for device in 0..200u8 {
        let store = store.clone();
        let count = move |tx: &mut Tx<'_>| {
            assert_eq!(tx.try_login(&[1; 32], &[device; 32], at(5))?, Gate::Open { failures: 0 });
            tx.count_try(&[1; 32], at(0), at(5))
        };
        tasks.spawn(async move { write(&store, count).await });
    }
    let mut before = tasks.join_all().await;
    before.sort_unstable();
    assert_eq!(before, (0..200).collect::<Vec<u32>>());
    assert_eq!(write(&store, |tx| tx.count_try(&[2; 32], at(0), at(5))).await, 0);
    write(&store, |tx| tx.end_streak(&[1; 32])).await;
    assert_eq!(write(&store, |tx| tx.count_try(&[1; 32], at(0), at(5))).await, 0);
    assert_eq!(write(&store, |tx| tx.count_try(&[2; 32], at(0), at(5))).await, 1);
}

pub async fn tries_are_counted_anew_after_a_quiet_time_and_forgotten_in_steps(place: Place) {
    let store = place.open().await;
    let count =
        |account: u8, quiet: i64, now: i64| write(&store, move |tx| tx.count_try(&[account; 32], at(quiet), at(now)));
    assert_eq!(count(1, 0, 100).await, 0);
    assert_eq!(count(1, 99, 200).await, 1);
    assert_eq!(count(1, 200, 300).await, 0);
    assert_eq!(count(1, 299, 300).await, 1);
    // A clock that was set back forgets nothing.
    assert_eq!(count(1, -100, 0).await, 2);
    for account in [2, 3] {
        assert_eq!(count(account, 0, 400).await, 0);
    }
    assert_eq!(write(&store, |tx| tx.trim_streaks(at(400), 9)).await, 1);
    assert_eq!(write(&store, |tx| tx.trim_streaks(at(401), 1)).await, 1);
    assert_eq!(write(&store, |tx| tx.trim_streaks(at(401), 9)).await, 1);
}

pub async fn tries_for_unknown_accounts_are_counted_until_they_are_taken(place: Place) {
    let store = place.open().await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        tasks.spawn(async move { write(&store, |tx| tx.count_unknown_login(at(5))).await });
    }
    tasks.join_all().await;
    assert_eq!(write(&store, |tx| tx.take_unknown_logins(at(4))).await, None);
    assert_eq!(write(&store, |tx| tx.take_unknown_logins(at(5))).await, Some((at(5), 20)));
    assert_eq!(write(&store, |tx| tx.take_unknown_logins(at(5))).await, None);
}

pub async fn a_gate_is_looked_at_without_a_try(place: Place) {
    let store = place.open().await;
    let is_open = |now| read(&store, move |tx| tx.login_open(&[1; 32], &[2; 32], at(now)));
    assert!(is_open(1).await && is_open(1).await);
    for now in [1_000, 1_000] {
        write(&store, move |tx| tx.try_login(&[1; 32], &[2; 32], at(now))).await;
    }
    assert!(!is_open(1_000).await && !is_open(1_999).await);
    assert!(is_open(2_000).await);
    // A clock that was set back locks nobody out.
    assert!(is_open(-600_000).await);
}

pub async fn a_clock_a_moment_behind_opens_no_gate(place: Place) {
    let store = place.open().await;
    for number in 0..9 {
        let gate = knock(&store, number * 61_000).await;
        assert!(matches!(gate, Gate::Open { .. }), "{number}: {gate:?}");
    }
    let last = 8 * 61_000;
    for now in [last, last - 1, last - 5_000, last + 59_999] {
        assert_eq!(knock(&store, now).await, Gate::Wait { until: at(last + 60_000) }, "{now}");
        assert!(!read(&store, move |tx| tx.login_open(&[1; 32], &[2; 32], at(now))).await, "{now}");
    }
}

pub async fn a_clock_set_back_locks_nobody_out(place: Place) {
    let store = place.open().await;
    knock(&store, 10_000_000).await;
    knock(&store, 10_000_000).await;
    assert_eq!(knock(&store, 0).await, Gate::Open { failures: 2 });
    assert_eq!(knock(&store, 0).await, Gate::Wait { until: at(2_000) });
}

pub async fn a_password_taken_away_makes_room_for_a_start_password(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let seen =
        || read(&store, move |tx| Ok((tx.member_by_id(taro)?.unwrap(), tx.secret(START_PASSWORD, taro.number())?)));
    let given = seen().await.0.start_at;
    assert!(given.is_some());
    // Importing again moves the moment only where a password comes with it.
    write(&store, move |tx| tx.set_password(taro, "hash", at(50))).await;
    let (member, _) = seen().await;
    assert_eq!((member.start_at, member.must_change_password), (None, false));
    write(&store, move |tx| {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
        tx.put_member(org.id, &new_member("taro"), at(60))
    })
    .await;
    assert_eq!(seen().await.0.start_at, None);
    write(&store, move |tx| {
        tx.put_secret(START_PASSWORD, taro.number(), b"sealed")?;
        tx.take_password(taro, at(70))
    })
    .await;
    let (member, secret) = seen().await;
    assert_eq!((member.password_hash, member.must_change_password, member.start_at), (None, true, Some(at(70))));
    assert_eq!(secret, None);
}

fn session(member: karamail::model::MemberId, seen: i64, created: i64) -> Session {
    Session {
        member,
        created: at(created),
        seen: at(seen),
        password_at: at(created),
        code_at: Some(at(2)),
        last_login: Some(at(0)),
        stage: "password".into(),
        language: Language::En,
    }
}

pub async fn a_session_is_found_by_the_name_it_had_before(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    for number in [1, 2] {
        write(&store, move |tx| tx.open_session(&[number; 32], &session(taro, 5, 4))).await;
    }
    write(&store, |tx| tx.note_name_before(&[2; 32], &[9; 32], at(7))).await;
    assert_eq!(read(&store, |tx| tx.renamed_session(&[9; 32])).await, Some(([2; 32], at(7))));
    assert_eq!(read(&store, |tx| tx.renamed_session(&[2; 32])).await, None);
    assert_eq!(read(&store, |tx| tx.session(&[9; 32])).await, None);
    write(&store, |tx| tx.end_session(&[2; 32])).await;
    assert_eq!(read(&store, |tx| tx.renamed_session(&[9; 32])).await, None);
}

pub async fn codes_go_on_with_their_session_while_they_are_open(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let new = |purpose| NewChallenge {
        member: taro,
        session: [1; 32],
        purpose,
        address: address("taro@docomo.ne.jp"),
        at: at(5),
        expires: at(100),
    };
    let (open, over) = (new("enrol"), new("login"));
    write(&store, move |tx| {
        let id = tx.open_challenge(&open)?;
        tx.arm_challenge(id, &[9; 32], JobId::new(7))?;
        let id = tx.open_challenge(&over)?;
        tx.arm_challenge(id, &[9; 32], JobId::new(8))?;
        tx.end_challenge(id, at(6))?;
        tx.move_challenges(&[1; 32], &[2; 32])
    })
    .await;
    let waiting = |session: u8, purpose| {
        let store = store.clone();
        async move { read(&store, move |tx| tx.waiting_challenge(&[session; 32], purpose, at(9))).await.is_some() }
    };
    assert_eq!([waiting(1, "enrol").await, waiting(2, "enrol").await, waiting(2, "login").await], [false, true, false]);
}

pub async fn a_session_lives_until_it_is_ended(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    write(&store, move |tx| tx.open_session(&[1; 32], &session(taro, 5, 4))).await;
    assert_eq!(read(&store, |tx| tx.session(&[1; 32])).await, Some(session(taro, 5, 4)));
    write(&store, |tx| {
        tx.touch_session(&[1; 32], at(9))?;
        tx.set_stage(&[1; 32], "full")
    })
    .await;
    let expected = Session { stage: "full".into(), ..session(taro, 9, 4) };
    assert_eq!(read(&store, |tx| tx.session(&[1; 32])).await, Some(expected));
    write(&store, |tx| tx.end_session(&[1; 32])).await;
    assert_eq!(read(&store, |tx| tx.session(&[1; 32])).await, None);
}

pub async fn the_other_sessions_of_a_member_are_ended(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    let jiro = write(&store, |tx| {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
        tx.put_member(org.id, &new_member("jiro"), at(1)).map(|(id, _)| id)
    })
    .await;
    write(&store, move |tx| {
        (1..=3u8).try_for_each(|n| tx.open_session(&[n; 32], &session(taro, 1, 1)))?;
        tx.open_session(&[4; 32], &session(jiro, 1, 1))?;
        tx.end_sessions_of(taro, Some(&[2; 32]))
    })
    .await;
    let alive = |store: Store| async move {
        read(&store, |tx| (1..=4u8).map(|n| Ok(tx.session(&[n; 32])?.is_some())).collect::<Result<Vec<_>, _>>()).await
    };
    assert_eq!(alive(store.clone()).await, [false, true, false, true]);
    write(&store, move |tx| tx.end_sessions_of(taro, None)).await;
    assert_eq!(alive(store).await, [false, false, false, true]);
}

pub async fn old_sessions_are_trimmed_in_steps(place: Place) {
    let store = place.open().await;
    let taro = taro(&store).await;
    write(&store, move |tx| {
        let ages = [(1, 1), (100, 1), (1, 100), (100, 100)];
        (1..=4u8)
            .zip(ages)
            .try_for_each(|(n, (seen, created))| tx.open_session(&[n; 32], &session(taro, seen, created)))
    })
    .await;
    for expected in [2, 1, 0] {
        assert_eq!(write(&store, |tx| tx.trim_sessions(at(50), at(50), 2)).await, expected);
    }
    assert!(read(&store, |tx| tx.session(&[4; 32])).await.is_some());
}
