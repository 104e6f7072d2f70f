//! Pages in the states that no walk comes through: planted in the store, and opened with the session that belongs to them.

use crate::pages::house::House;
use karamail::link::{Link, Purpose};
use karamail::maillog;
use karamail::model::Stage as Phase;
use karamail::model::{
    BackupKind, Blocklist, EmailAddress, Language, Manual, MemberId, OrgCode, Plan, Policy, Priority, Reply, Span,
    Strength,
};
use karamail::queue::{Cause, Class, Content, Job, NewJob, Verdict};
use karamail::random::Random;
use karamail::service::session::Stage;
use karamail::store::{AddressRow, AddressState, FactorKind, NewMember, Session, StoreError, Tx};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// As long as a name may be in a list of members: forty characters, each of full width.
const LONG_NAME: &str = "勅使河原右衛門左衛門之助長五郎兵衛門佐久間小次郎三左衛門尉藤原朝臣正一郎太郎兵衛";
const LONG_TITLE: &str = "一般財団法人首都圏広域災害時従業員安否確認共同推進機構（関東甲信越事業本部）";
const LONG_TITLE_EN: &str = "Metropolitan Area Joint Organisation for Employee Safety Confirmation (Kanto-Koshinetsu)";
const LONG_ADDRESS: &str =
    "a-long-local-part.of-a-mailbox_that-somebody-has.12@a-long-name-of-a-department.of-a-company.example.co.jp";

/// What the foot of each page leads to.
pub fn manuals() -> Vec<Manual> {
    let manual = |title: &str, title_en: &str, path: &str| Manual {
        title: title.to_owned(),
        title_en: title_en.to_owned(),
        url: format!("https://www.example.jp{path}"),
    };
    vec![
        manual("利用規約", "Terms of use", "/terms"),
        manual("一般ユーザ版マニュアル", "Manual for users", "/manuals/user.pdf"),
        manual("スマホアプリのインストール", "Install the phone app", "/app"),
    ]
}

type Told = fn(&mut Tx<'_>, &Job) -> Result<(), StoreError>;

/// What can come of a mail, three to a member.
const CAME: [[Option<Told>; 3]; 5] = [
    [None, Some(underway), Some(taken)],
    [Some(unknown), Some(filtered), Some(full)],
    [Some(closed), Some(waiting), Some(missed)],
    [Some(ours), Some(unclear), Some(unsure)],
    [Some(read), Some(stopped), None],
];

/// The pages of one language, each with a session of its own.
pub struct Planted<'a> {
    house: &'a House,
    language: Language,
    looks: Vec<Value>,
}

/// Plants the organisations that members of every language belong to.
pub async fn found(house: &House) {
    let ten = Policy {
        two_factor: true,
        backup_code: BackupKind::TenCodes,
        password_min_length: 15,
        password_min_strength: Strength::Strong,
        blocklist: Blocklist::Warn,
        ..Policy::default()
    };
    let long = Policy { two_factor: true, backup_code: BackupKind::Alnum16, ..Policy::default() };
    let phone = Policy { plan: Plan::Smartphone, ..Policy::default() };
    let now = house.clock.now();
    let add = move |tx: &mut Tx<'_>| {
        for (code, title, english, policy) in [
            ("TEN", "十番団体", "Ten", &ten),
            ("LONG", LONG_TITLE, LONG_TITLE_EN, &long),
            ("PHONE", "スマホ団体", "Phones", &phone),
        ] {
            let code = code.parse().unwrap();
            assert!(tx.add_org(&code, title, Some(english), now)?.is_some());
            assert!(tx.set_policy(&code, policy)?);
        }
        Ok(())
    };
    house.store.write::<_, StoreError, _>(add).await.unwrap();
}

/// Plants every page there is to look at in one language.
pub async fn looks(house: &House, language: Language) -> Vec<Value> {
    let mut planted = Planted { house, language, looks: Vec::new() };
    planted.strangers().await;
    planted.first_passwords().await;
    planted.steps().await;
    planted.doubts().await;
    planted.factors().await;
    planted.addresses().await;
    planted.long_ones().await;
    planted.registrations().await;
    planted.looks
}

impl Planted<'_> {
    /// Adds a page: its name, its path, what is to be seen on it, and more: `session`, `note`, `press`, `open`, `lands`.
    fn look(&mut self, name: &str, path: &str, sees: &str, more: Value) {
        let mut look = json!({ "name": name, "path": path, "sees": sees });
        look.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.looks.push(look);
    }

    fn noted(&mut self, name: &str, path: &str, session: &str, note: &str) {
        let note = data_encoding::BASE64URL_NOPAD.encode(note.as_bytes());
        self.look(name, path, ".banner.error", json!({ "session": session, "note": note }));
    }

    async fn strangers(&mut self) {
        for late in ["lapsed", "stale", "done"] {
            let note = data_encoding::BASE64URL_NOPAD.encode(format!("area=late&say={late}").as_bytes());
            self.look(&format!("login-{late}"), "/login", ".banner.error", json!({ "note": note }));
        }
        let busy = data_encoding::BASE64URL_NOPAD.encode(b"area=login&say=busy&org=DEMO&id=0001");
        self.look("login-busy", "/login", ".banner.error", json!({ "note": busy }));
        let over = self.house.clock.now().minus(Span::from_secs(60));
        let expired = Link { purpose: Purpose::ContactTest, row: 9_999, expires: over.seconds(), nonce: [7; 16] };
        let expired = expired.mint(self.house.keys.link());
        let cut = if expired.ends_with('A') { 'B' } else { 'A' };
        let forged = format!("{}{cut}", &expired[..expired.len() - 1]);
        self.look("contact-expired", &format!("/c/{expired}"), "main a.button", json!({}));
        self.look("contact-forged", &format!("/c/{forged}"), "main a.button", json!({}));
        self.look("bookmark-stranger", "/account/bookmark", "main .card", json!({}));
        self.look("help-official", "/help/mail", "main details[open]", json!({ "open": true }));
        self.look("outbox-empty", "/outbox", "main > p", json!({}));
        self.look("method", "/login/strength", "main .send", json!({}));
    }

    async fn first_passwords(&mut self) {
        let member = self.member("TEN", "pw", "見本 花子").await;
        let session = self.session(member, Stage::Password, |_| ()).await;
        for says in ["too-weak", "too-short", "known-bad"] {
            let note = format!("area=password&say={says}&say=weak");
            self.noted(&format!("password-{says}"), "/login/password", &session, &note);
        }
        let member = self.member("DEMO", "pw", "見本 花子").await;
        let session = self.session(member, Stage::Full, |_| ()).await;
        self.noted("password-character", "/account/password", &session, "area=password&say=character");
        let idle = Span::from_secs(31 * 60);
        let left = self.session(member, Stage::Full, |session| session.seen = session.seen.minus(idle)).await;
        let more = json!({ "session": left, "lands": "/login" });
        self.look("login-lapsed-indeed", "/account/profile", ".banner.error", more);
        self.look("nowhere-member", "/nowhere", "main .send", json!({ "session": session }));
    }

    /// The second step of a login, and the way in without it.
    async fn steps(&mut self) {
        let member = self.member("TEN", "st", "見本 花子").await;
        self.factor(member, FactorKind::App).await;
        self.factor(member, FactorKind::Mail).await;
        let session = self.session(member, Stage::Code, |_| ()).await;
        for says in ["wait", "paused", "over", "stopped"] {
            let path = if says == "stopped" { "/login/code/mail" } else { "/login/code/app" };
            self.noted(&format!("code-{says}"), path, &session, &format!("area=code&say={says}"));
        }
        for says in ["wait", "paused"] {
            self.noted(&format!("backup-{says}"), "/login/backup", &session, &format!("area=backup&say={says}"));
        }
    }

    /// The confirmation of a login after very many wrong ones: where the code goes, on its way, paused, and nowhere to go.
    async fn doubts(&mut self) {
        let (page, send) = ("/login/confirm", "form[action^='/login/confirm/send'] button");
        let member = self.member("DEMO", "d1", "見本 花子").await;
        let own = format!("confirm.{}@example.jp", self.lang());
        self.house.put(member, Priority::First, &own).await;
        self.house.put(member, Priority::Third, &format!("hanako.{}.of-a-long-name@ezweb.ne.jp", self.lang())).await;
        let session = self.session(member, Stage::Doubt, |_| ()).await;
        self.look("doubt", page, send, json!({ "session": session }));
        self.look("doubt-sent", page, "#otp", json!({ "session": session, "press": send, "lands": page }));
        for (area, says) in [("code", "wrong-mail"), ("code", "burnt"), ("code", "too-soon"), ("doubt", "paused")] {
            self.noted(&format!("doubt-{says}"), page, &session, &format!("area={area}&say={says}"));
        }
        let none = self.member("DEMO", "d2", "見本 花子").await;
        let session = self.session(none, Stage::Doubt, |_| ()).await;
        self.look("doubt-nowhere", page, "main > p", json!({ "session": session }));
    }

    async fn factors(&mut self) {
        let none = self.member("TEN", "f0", "見本 花子").await;
        let session = self.session(none, Stage::Full, |_| ()).await;
        self.look("factors-none", "/account/two-factor", "main .card .button", json!({ "session": session }));
        let enrolling = self.session(none, Stage::Enrol, |_| ()).await;
        let more = json!({ "session": enrolling, "open": true });
        self.look("app-by-hand", "/account/two-factor/app", "main details[open]", more);
        self.look("mail-first", "/account/two-factor/mail", "#email", json!({ "session": enrolling }));
        self.noted("mail-stopped", "/account/two-factor/mail", &enrolling, "area=code&say=stopped-there");

        for (org, login) in [("TEN", "f1"), ("LONG", "f2")] {
            let member = self.member(org, login, "見本 花子").await;
            self.factor(member, FactorKind::Mail).await;
            let session = self.session(member, Stage::Full, |_| ()).await;
            let make = "form[action^='/account/two-factor/backup'] button";
            self.look(&format!("factors-mail-{login}"), "/account/two-factor", make, json!({ "session": session }));
            let more = json!({ "session": session, "press": make, "lands": "/account/two-factor/done" });
            self.look(&format!("backup-codes-{login}"), "/account/two-factor", ".card .mailbox", more);
        }

        let both = self.member("TEN", "f3", "見本 花子").await;
        self.factor(both, FactorKind::App).await;
        self.factor(both, FactorKind::Mail).await;
        let before = self.house.clock.now().minus(Span::from_secs(600));
        let unproven = self.session(both, Stage::Full, |session| session.code_at = Some(before)).await;
        let confirm = "/account/two-factor/confirm";
        let more = json!({ "session": unproven, "lands": confirm });
        self.look("confirm-app", "/account/two-factor/app", "#otp", more);
        self.look("confirm-mail", &format!("{confirm}/mail"), "main button", json!({ "session": unproven }));
        let more = json!({ "session": unproven, "press": "main form button", "lands": format!("{confirm}/mail") });
        self.look("confirm-mail-sent", &format!("{confirm}/mail"), "#otp", more);

        let ending = self.member("TEN", "f4", "見本 花子").await;
        self.factor(ending, FactorKind::App).await;
        let at = self.house.clock.now().plus(Span::from_secs(1_800));
        self.write(move |tx| tx.end_factors(ending, at)).await;
        let before = self.session(ending, Stage::Code, |_| ()).await;
        self.look("code-ending", "/login/code", ".banner.warning", json!({ "session": before }));
        self.look("backup-ending", "/login/backup", ".banner.warning", json!({ "session": before }));
        let session = self.session(ending, Stage::Enrol, |_| ()).await;
        self.look("factors-ending", "/account/two-factor", ".banner.warning", json!({ "session": session }));
    }

    /// What is known of members' addresses, on each page that says it.
    async fn addresses(&mut self) {
        for (number, came) in CAME.into_iter().enumerate() {
            let login = format!("a{number}");
            let member = self.member("DEMO", &login, "見本 花子").await;
            for (place, told) in Priority::ALL.into_iter().zip(came) {
                let address: EmailAddress =
                    format!("hanako.{place}@{login}-{}.example.jp", self.lang()).parse().unwrap();
                self.house.put(member, place, &address.to_string()).await;
                if let Some(told) = told {
                    self.tell(member, address, told).await;
                }
            }
            let session = self.session(member, Stage::Full, |_| ()).await;
            let more = json!({ "session": session, "open": true });
            self.look(&format!("help-own-{number}"), "/help/mail", ".standing", more);
            if number == 1 {
                let more = json!({ "session": session, "open": true });
                self.look("profile-states", "/account/profile", ".standing.bad", more);
                let more = json!({ "session": session });
                self.look("test-refused", "/account/profile/test?still=1", ".standing.bad", more);
                for says in ["many", "moved", "stopped1"] {
                    let note = format!("area=profile&say={says}");
                    self.noted(&format!("profile-{says}"), "/account/profile", &session, &note);
                }
            }
        }
        let none = self.member("DEMO", "a9", "見本 花子").await;
        let session = self.session(none, Stage::Full, |_| ()).await;
        self.look("help-own-none", "/help/mail", "#own", json!({ "session": session }));
        let phone = self.member("PHONE", "a9", "見本 花子").await;
        let session = self.session(phone, Stage::Full, |_| ()).await;
        self.look("profile-phone", "/account/profile", ".banner.warning", json!({ "session": session }));
    }

    /// Names and addresses as long as they may be.
    async fn long_ones(&mut self) {
        let member = self.member("LONG", "a-rather-long-id-of-a-member-01", LONG_NAME).await;
        self.factor(member, FactorKind::Mail).await;
        let long = format!("{}.{LONG_ADDRESS}", self.lang());
        self.house.put(member, Priority::First, &long).await;
        self.house.put(member, Priority::Second, "hanako@docomo.ne.jp").await;
        let (before, now) = (self.house.clock.now().minus(Span::from_secs(86_400)), self.house.clock.now());
        let session = self
            .session(member, Stage::Full, |session| (session.last_login, session.code_at) = (Some(before), Some(now)))
            .await;
        for (name, path, sees) in [
            ("menu-long", "/account", ".menu"),
            ("profile-long", "/account/profile", "#mail1"),
            ("factors-long", "/account/two-factor", "main .card"),
            ("logout-long", "/logout", "main form"),
        ] {
            self.look(name, path, sees, json!({ "session": session }));
        }
        let token = self.house.registration(&long, Some("LONG")).await;
        self.look("landing-long", &format!("/r/{token}"), ".mailbox.large", json!({}));
        self.look("priority-long", &format!("/r/{token}/priority"), "fieldset", json!({ "session": session }));
        let path = format!("/r/{token}/confirm?priority=2");
        self.look("confirm-swap-long", &path, ".banner.warning", json!({ "session": session }));
    }

    async fn registrations(&mut self) {
        let member = self.member("DEMO", "r1", "見本 花子").await;
        let own = format!("own.{}@example.jp", self.lang());
        self.house.put(member, Priority::First, &own).await;
        self.house.put(member, Priority::Third, "hanako@docomo.ne.jp").await;
        let token = self.house.registration(&own, Some("DEMO")).await;
        let session = self.session(member, Stage::Full, |_| ()).await;
        self.look("priority-own", &format!("/r/{token}/priority"), "fieldset", json!({ "session": session }));
        let path = format!("/r/{token}/confirm?priority=3");
        self.look("confirm-swap", &path, ".banner.warning", json!({ "session": session }));
    }

    fn lang(&self) -> &'static str {
        self.language.as_str()
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.house.store.write::<_, StoreError, _>(work).await.unwrap()
    }

    /// Adds a member of an organisation; one of each language has the same ID but for its ending.
    async fn member(&self, org: &str, login: &str, name: &str) -> MemberId {
        let new = NewMember {
            login: format!("{login}-{}", self.lang()).parse().unwrap(),
            name: name.to_owned(),
            kana: Some("ミホン ハナコ".to_owned()),
            department: Some("総務部 危機管理課".to_owned()),
            language: self.language,
            password_hash: None,
            addresses: [None, None, None],
        };
        let (org, now): (OrgCode, _) = (org.parse().unwrap(), self.house.clock.now());
        self.write(move |tx| {
            let org = tx.org(&org)?.unwrap();
            Ok(tx.put_member(org.id, &new, now)?.0)
        })
        .await
    }

    /// Gives a member a second factor; nobody has the secret of the app.
    async fn factor(&self, member: MemberId, kind: FactorKind) {
        let now = self.house.clock.now();
        // Codes go to one address a minute, so each language has its own.
        let address: EmailAddress = format!("hanako.second.step@{}.example.jp", self.lang()).parse().unwrap();
        let address = (kind == FactorKind::Mail).then_some(address);
        self.write(move |tx| tx.put_factor(member, kind, address.as_ref(), None, now)).await;
    }

    /// Opens a session such as a login leaves, but for what `change` does to it; gives its cookie.
    async fn session(&self, member: MemberId, stage: Stage, change: impl FnOnce(&mut Session)) -> String {
        let chance: [u8; 32] = Random::system().bytes().unwrap();
        let hash: [u8; 32] = Sha256::digest(chance).into();
        let now = self.house.clock.now();
        let mut session = Session {
            member,
            created: now,
            seen: now,
            password_at: now,
            code_at: (!matches!(stage, Stage::Code | Stage::Doubt)).then_some(now),
            last_login: None,
            stage: stage.as_str().to_owned(),
            language: self.language,
        };
        change(&mut session);
        self.write(move |tx| {
            if stage != Stage::Password {
                tx.set_password(member, "no password fits", now)?;
            }
            tx.open_session(&hash, &session)
        })
        .await;
        data_encoding::BASE64URL_NOPAD.encode(&chance)
    }

    /// Tells in the mail log what came of a test of an address.
    async fn tell(&self, member: MemberId, to: EmailAddress, told: Told) {
        let now = self.house.clock.now();
        let expires = now.plus(Span::from_secs(86_400));
        self.write(move |tx| {
            let test = tx.begin_contact_test(member, &to, now, expires)?;
            let content = Content::ContactTest { test, key: 1, expires: 0, nonce: String::new() };
            let order = NewJob {
                class: Class::ContactTest,
                to: to.clone(),
                content,
                language: None,
                cause: None,
                queued_at: now,
                due: now,
                give_up: now,
            };
            let job = tx.enqueue(&order)?;
            tx.send_contact_test(test, job)?;
            let job = tx.job(job)?.unwrap();
            told(tx, &job)
        })
        .await;
    }
}

fn refused(tx: &mut Tx<'_>, job: &Job, text: &str, verdict: Verdict) -> Result<(), StoreError> {
    maillog::refused(tx, job, Phase::Rcpt, &Reply::new(550, text), verdict, job.order.queued_at)
}

fn deferred(tx: &mut Tx<'_>, job: &Job, text: &str, cause: Cause) -> Result<(), StoreError> {
    let at = job.order.queued_at;
    maillog::deferred(tx, job, Phase::Rcpt, &Reply::new(451, text), cause, at.plus(Span::from_secs(60)), at)
}

fn underway(_: &mut Tx<'_>, _: &Job) -> Result<(), StoreError> {
    Ok(())
}

fn taken(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    maillog::accepted(tx, job, &Reply::new(250, "2.0.0 Ok: queued as 4bC1dE2fG3h"), job.order.queued_at)
}

fn unknown(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    refused(tx, job, "5.1.1 <hanako>... User unknown", Verdict::UnknownUser)
}

fn filtered(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    refused(tx, job, "Unknown user hanako", Verdict::Filtered)
}

fn full(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    deferred(tx, job, "4.2.2 Mailbox full", Cause::Full)
}

fn closed(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    refused(tx, job, "5.2.1 The account is disabled", Verdict::SuspendedUser)
}

fn waiting(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    deferred(tx, job, "4.7.1 Greylisting in action, please come back later", Cause::Greylisted)
}

fn missed(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    maillog::expired(tx, job, job.order.queued_at)
}

fn ours(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    refused(tx, job, "5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy", Verdict::Policy)
}

fn unclear(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    refused(tx, job, "Transaction failed", Verdict::Unclear)
}

fn unsure(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    maillog::lost(tx, job, &Reply::new(0, "the connection was lost"), None, job.order.queued_at)
}

/// Somebody pressed the button behind the link.
fn read(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    taken(tx, job)?;
    let Content::ContactTest { test, .. } = job.order.content else { unreachable!("a test of an address") };
    tx.note_test_arrived(test, job.order.queued_at).map(drop)
}

fn stopped(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    let at = job.order.queued_at;
    tx.note_address(&AddressRow {
        address: job.order.to.clone(),
        state: AddressState::Suppressed,
        verdict: Some(Verdict::UnknownUser),
        stage: Some(Phase::Rcpt),
        reply: Some("550 5.1.1 User unknown".to_owned()),
        at: Some(at),
        verified_at: None,
        unknown_day: None,
    })?;
    maillog::suppressed(tx, job, at)
}
