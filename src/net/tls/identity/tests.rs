use super::super::Time;
use super::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// 2026-11-22.
const START: Timestamp = Timestamp::from_millis(1_795_298_400_000);

/// A folder in which certificates come and go.
struct Folder {
    folder: tempfile::TempDir,
    files: TlsFiles,
    clock: Clock,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        Self { folder, files, clock: Clock::turned_by_hand(START) }
    }

    /// Puts a pair there that holds between these days, counted from `START`; gives its certificate.
    fn put(&self, from: i64, until: i64) -> CertificateDer<'static> {
        let (certificate, pem, key) = pair(from, until);
        self.write(&pem, &key);
        certificate
    }

    fn write(&self, cert: &str, key: &str) {
        fs::write(&self.files.cert, cert).unwrap();
        fs::write(&self.files.key, key).unwrap();
        fs::set_permissions(&self.files.key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn keeper(&self) -> Keeper {
        Keeper::open("smtp", self.files.clone(), &[], self.clock.clone())
    }

    fn named(&self, problem: &str) -> String {
        problem.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn pair(from: i64, until: i64) -> (CertificateDer<'static>, String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["mx.example.jp".to_owned()]).unwrap();
    let midnight = |days: i64| {
        let moment =
            jiff::Timestamp::from_millisecond(START.millis()).unwrap() + jiff::SignedDuration::from_hours(24 * days);
        let day = moment.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(day.year().into(), day.month().try_into().unwrap(), day.day().try_into().unwrap())
    };
    (params.not_before, params.not_after) = (midnight(from), midnight(until));
    let certificate = params.self_signed(&key).unwrap();
    (certificate.der().clone(), certificate.pem(), key.serialize_pem())
}

/// What the keeper finds now.
fn look(keeper: &mut Keeper) -> Vec<News> {
    let found = Content::read(&keeper.files);
    keeper.judge(found)
}

/// The certificate that somebody sees who believes `trusted` and comes now.
async fn seen(identity: &Identity, trusted: &CertificateDer<'static>) -> std::io::Result<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let time = Arc::new(Time(Clock::turned_by_hand(START)));
    let config = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let acceptor = identity.acceptor().unwrap();
    let name = ServerName::try_from("mx.example.jp").unwrap();
    let connecting = TlsConnector::from(Arc::new(config));
    let (client, server) = tokio::join!(connecting.connect(name, theirs), acceptor.accept(ours));
    server?;
    Ok(client?.get_ref().1.peer_certificates().unwrap()[0].clone())
}

#[tokio::test]
async fn who_comes_after_an_exchange_sees_the_new_certificate() {
    let folder = Folder::new();
    let first = folder.put(-1, 90);
    let mut keeper = folder.keeper();
    let identity = keeper.identity();
    assert_eq!(seen(&identity, &first).await.unwrap(), first);
    assert_eq!(look(&mut keeper), []);
    let second = folder.put(-1, 80);
    let ends = |news: &[News]| matches!(news, [News::Exchanged { ends }] if Some(*ends) == identity.ends());
    assert!(ends(&look(&mut keeper)));
    assert!(seen(&identity, &first).await.is_err());
    assert_eq!(seen(&identity, &second).await.unwrap(), second);
    assert_eq!(look(&mut keeper), []);
}

#[test]
fn a_pair_that_does_not_fit_leaves_the_old_one_in_use_and_is_told_of_once() {
    let folder = Folder::new();
    folder.put(-1, 90);
    let mut keeper = folder.keeper();
    let mark = keeper.identity.shown(|shown| shown.mark);
    let ((_, cert, key), (_, other, _)) = (pair(-1, 90), pair(-1, 90));
    let ((_, over, key_of_over), (_, early, key_of_early)) = (pair(-9, -1), pair(5, 90));
    for (cert, key, said) in [
        (&cert[..300], key.as_str(), "cert.pem: holds no whole certificate in PEM"),
        (&other, &key, "key.pem: is not the key of the certificate in cert.pem"),
        (&over, &key_of_over, "cert.pem: has expired, on 2026-11-20T09:00:00+09:00"),
        (&early, &key_of_early, "cert.pem: is valid only from 2026-11-26T09:00:00+09:00 on"),
    ] {
        folder.write(cert, key);
        let news = look(&mut keeper);
        let [News::Refused { problem, stays: true, .. }] = news.as_slice() else { panic!("{said}: {news:?}") };
        assert_eq!(folder.named(problem), said);
        assert_eq!(look(&mut keeper), [], "it was told");
        assert_eq!(keeper.identity.shown(|shown| shown.mark), mark);
    }
    fs::remove_file(&folder.files.key).unwrap();
    assert_eq!(look(&mut keeper).len(), 1);
    assert_eq!(look(&mut keeper), []);
    // Once its time has come, what was too early is taken.
    folder.write(&early, &key_of_early);
    assert_eq!(look(&mut keeper).len(), 1);
    folder.clock.turn(Span::from_secs(5 * 86_400));
    assert!(matches!(look(&mut keeper).as_slice(), [News::Exchanged { .. }]));
}

#[test]
fn without_a_pair_there_is_nothing_to_show_until_there_is_one() {
    let folder = Folder::new();
    let mut keeper = folder.keeper();
    assert!(keeper.identity().acceptor().is_none() && keeper.identity().ends().is_none());
    assert_eq!(look(&mut keeper), [], "it was told at the start");
    // One that has expired is better than none.
    folder.put(-90, -1);
    let news = look(&mut keeper);
    assert!(matches!(news.as_slice(), [News::Shown { .. }, News::Ends { urgency: Urgency::Over, .. }]), "{news:?}");
    folder.put(-1, 90);
    assert!(matches!(look(&mut keeper).as_slice(), [News::Exchanged { .. }]));
    assert!(keeper.identity().acceptor().is_some());
}

#[test]
fn an_end_is_told_of_once_a_day_and_when_it_becomes_urgent() {
    let folder = Folder::new();
    folder.put(-1, 24);
    let mut keeper = folder.keeper();
    let mut told = Vec::new();
    for hour in 0..25 * 24 {
        for news in look(&mut keeper) {
            let News::Ends { urgency, .. } = news else { panic!("{news:?}") };
            told.push((hour / 24, urgency));
        }
        folder.clock.turn(Span::from_secs(3_600));
    }
    // It ends on the 23rd day, two hours after the hour at which it was first looked at.
    let expected = [(2..20, Urgency::Soon), (20..23, Urgency::AtOnce), (23..25, Urgency::Over)];
    let expected: Vec<(i64, Urgency)> =
        expected.into_iter().flat_map(|(days, urgency)| days.map(move |day| (day, urgency))).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_files_are_looked_at_every_half_minute_and_at_once_when_asked() {
    let folder = Folder::new();
    folder.put(-1, 90);
    let keeper = folder.keeper();
    let identity = keeper.identity();
    let (stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.keep(stopping));
    let mark = || identity.shown(|shown| shown.mark).unwrap();
    let exchanged = async |before: [u8; 32]| {
        while mark() == before {
            tokio::task::yield_now().await;
        }
    };
    for by in ["time", "wish"] {
        let before = mark();
        folder.put(-1, 80);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(mark(), before, "nobody has looked yet");
        if by == "time" {
            folder.clock.turn(ROUND)
        } else {
            identity.look_again()
        }
        exchanged(before).await;
    }
    stop.send_replace(true);
    tasks.join_next().await.unwrap().unwrap();
}
