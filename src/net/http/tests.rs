use super::*;
use crate::config::TlsFiles;
use crate::net::tls::identity::Keeper;
use axum::routing::get;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsConnector, client};

/// A site with room for four, and where it is.
async fn open(
    clock: &Clock,
    tls: Option<Identity>,
    tasks: &mut JoinSet<()>,
) -> (std::net::SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "here" }));
    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let site = Site { name: "test", router, tls, clock: clock.clone(), trusted };
    let (closing, closed) = watch::channel(false);
    tasks.spawn(accept(site, listener, Room::new(4), closed));
    (at, closing)
}

/// Asks for the page on a connection that could stay.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let mut read = 0;
    while !answer[..read].ends_with(b"here") {
        read += stream.read(&mut answer[read..]).await.unwrap();
    }
    String::from_utf8_lossy(&answer[..read]).to_ascii_lowercase()
}

#[tokio::test]
async fn where_half_of_the_room_is_taken_connections_do_not_stay() {
    let clock = Clock::turned_by_hand(Timestamp::from_millis(0));
    let mut tasks = JoinSet::new();
    let (at, closing) = open(&clock, None, &mut tasks).await;
    let mut first = TcpStream::connect(at).await.unwrap();
    assert!(!ask(&mut first).await.contains("connection: close"));
    let mut second = TcpStream::connect(at).await.unwrap();
    assert!(ask(&mut second).await.contains("connection: close"));
    assert_eq!(second.read(&mut [0; 9]).await.unwrap(), 0);
    // Whoever comes then and says nothing gives the seat back sooner.
    let mut others = [TcpStream::connect(at).await.unwrap(), TcpStream::connect(at).await.unwrap()];
    assert!(ask(&mut others[0]).await.contains("connection: close"));
    clock.turn(HEAD_IN_A_CROWD);
    assert_eq!(others[1].read(&mut [0; 999]).await.unwrap(), 0);
    closing.send_replace(true);
    drop(first);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

/// A certificate for `localhost`, and who shows it.
fn certificate(clock: &Clock) -> (CertificateDer<'static>, Keeper, tempfile::TempDir) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&files.key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let keeper = Keeper::open("web", files, &[b"http/1.1"], clock.clone());
    (made.cert.der().clone(), keeper, folder)
}

/// Shakes hands as a browser that believes this certificate and would rather speak HTTP/2.
async fn shake(trusted: &CertificateDer<'static>, stream: TcpStream) -> client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

#[tokio::test]
async fn behind_a_handshake_http_is_spoken_and_before_it_nothing() {
    let clock = Clock::turned_by_hand(Timestamp::from_millis(0));
    let (trusted, keeper, _folder) = certificate(&clock);
    let mut tasks = JoinSet::new();
    let (at, closing) = open(&clock, Some(keeper.identity()), &mut tasks).await;
    let mut browser = shake(&trusted, TcpStream::connect(at).await.unwrap()).await;
    assert_eq!(browser.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    for _ in 0..2 {
        assert!(ask(&mut browser).await.starts_with("http/1.1 200"));
    }
    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // What comes, if anything, is an alert of TLS.
    drop(plain.read_to_end(&mut answer).await);
    assert!(answer.len() <= 7 && !answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
    closing.send_replace(true);
    // The end of the connection is said, so that nobody could have cut the answer.
    assert_eq!(browser.read(&mut [0; 9]).await.unwrap(), 0);
    drop(browser);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn a_handshake_has_the_time_that_a_head_has_and_a_stop_does_not_wait_for_it() {
    let clock = Clock::turned_by_hand(Timestamp::from_millis(0));
    let (trusted, keeper, _folder) = certificate(&clock);
    let mut tasks = JoinSet::new();
    let (at, closing) = open(&clock, Some(keeper.identity()), &mut tasks).await;
    let mut silent = TcpStream::connect(at).await.unwrap();
    let mut other = shake(&trusted, TcpStream::connect(at).await.unwrap()).await;
    assert!(ask(&mut other).await.starts_with("http/1.1 200"));
    clock.turn(HEAD);
    assert_eq!(silent.read(&mut [0; 9]).await.unwrap(), 0);
    // Half of a record's head, then nothing.
    let mut half = TcpStream::connect(at).await.unwrap();
    half.write_all(b"\x16\x03").await.unwrap();
    let mut next = shake(&trusted, TcpStream::connect(at).await.unwrap()).await;
    assert!(ask(&mut next).await.starts_with("http/1.1 200"));
    closing.send_replace(true);
    assert_eq!(half.read(&mut [0; 9]).await.unwrap(), 0);
    drop((other, next));
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn without_a_certificate_connections_are_closed_until_there_is_one() {
    let clock = Clock::turned_by_hand(Timestamp::from_millis(0));
    let (trusted, keeper, folder) = certificate(&clock);
    let key = folder.path().join("key.pem");
    let away = folder.path().join("away.pem");
    std::fs::rename(&key, &away).unwrap();
    drop(keeper);
    let files = TlsFiles { cert: folder.path().join("cert.pem"), key: key.clone() };
    let mut keeper = Keeper::open("web", files, &[], clock.clone());
    let mut tasks = JoinSet::new();
    let (at, _closing) = open(&clock, Some(keeper.identity()), &mut tasks).await;
    let mut nobody = TcpStream::connect(at).await.unwrap();
    assert_eq!(nobody.read(&mut [0; 9]).await.unwrap(), 0);
    std::fs::rename(&away, &key).unwrap();
    keeper.look();
    let mut browser = shake(&trusted, TcpStream::connect(at).await.unwrap()).await;
    assert!(ask(&mut browser).await.starts_with("http/1.1 200"));
}
