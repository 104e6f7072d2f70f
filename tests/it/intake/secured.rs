//! The other side behind a handshake, and what the intake shows it.

use super::door::{Client, Door, clock, patiently};
use crate::tls::pki::{Authority, HOLDS};
use karamail::clock::Clock;
use karamail::config::TlsFiles;
use karamail::inbound::smtp::Settings;
use karamail::net::tls::identity::Keeper;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name that the certificates are for.
pub const NAME: &str = "mx.mc-anpi.example";

/// A folder with a certificate that an authority of the test's own has issued, and who keeps it up to date.
pub struct Shown {
    pub authority: Authority,
    pub files: TlsFiles,
    pub keeper: Keeper,
    pub folder: tempfile::TempDir,
    clock: Clock,
}

impl Shown {
    pub fn new() -> Self {
        let authority = Authority::new("ours");
        let folder = tempfile::tempdir().unwrap();
        let files = authority.identity(&[NAME.to_owned()], HOLDS).lay(folder.path());
        let clock = clock();
        let keeper = Keeper::open("smtp", files.clone(), &[], clock.clone());
        Self { authority, files, keeper, folder, clock }
    }

    /// Puts another one there; gives it.
    pub fn renew(&self) -> CertificateDer<'static> {
        let identity = self.authority.identity(&[NAME.to_owned()], HOLDS);
        identity.lay(self.folder.path());
        identity.chain[0].clone()
    }

    /// An intake that shows it.
    pub async fn door(&self) -> Door {
        self.door_with(|_| {}).await
    }

    pub async fn door_with(&self, change: impl FnOnce(&mut Settings)) -> Door {
        Door::open_showing(Some(self.keeper.identity()), self.clock.clone(), change).await
    }

    /// Connects, says EHLO and STARTTLS, and shakes hands.
    pub async fn enter(&self, door: &Door) -> Secured {
        self.shake(ready(door).await).await.unwrap()
    }

    /// Shakes hands as a client that believes the authority and wants to see the right name.
    pub async fn shake(&self, client: Client) -> io::Result<Secured> {
        self.shake_by(rustls::ALL_VERSIONS, client).await
    }

    pub async fn shake_by(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        client: Client,
    ) -> io::Result<Secured> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(NAME).unwrap();
        let shaking = TlsConnector::from(Arc::new(config)).connect(name, client.into_stream());
        Ok(Secured { stream: BufReader::new(patiently(shaking).await?) })
    }
}

/// Connects and goes as far as the reply to STARTTLS.
pub async fn ready(door: &Door) -> Client {
    let mut client = door.enter().await;
    client.says("STARTTLS\r\n", &["220 2.0.0 Ready to start TLS"]).await;
    client
}

/// A client behind the handshake.
pub struct Secured {
    stream: BufReader<TlsStream<TcpStream>>,
}

impl Secured {
    /// The certificate that was shown.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.stream.get_ref().get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    pub async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        patiently(self.stream.read_line(&mut line)).await.unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("no line: {line:?}")).to_owned()
    }

    /// Sends commands and compares the replies, a line each.
    pub async fn says(&mut self, commands: &str, replies: &[&str]) {
        self.send(commands.as_bytes()).await;
        for reply in replies {
            assert_eq!(self.line().await, *reply, "to {:?}", commands.get(..80).unwrap_or(commands));
        }
    }

    /// Hands in an empty mail; gives what is said to it.
    pub async fn mail(&mut self) -> String {
        self.says("HELO b.example\r\n", &["250 mx.mc-anpi.example"]).await;
        let commands = "MAIL FROM:<a@b.example>\r\nRCPT TO:<bizanpi@mc-anpi.example>\r\nDATA\r\n";
        self.says(commands, &["250 2.1.0 Ok", "250 2.1.5 Ok", "354 End data with <CR><LF>.<CR><LF>"]).await;
        self.send(b".\r\n").await;
        self.line().await
    }

    /// Says nothing more, and expects the server to say nothing more either.
    pub async fn leave(mut self) {
        self.stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // Whoever has said that nothing more comes cannot be cut off.
        drop(patiently(self.stream.read_to_end(&mut rest)).await);
        assert_eq!(rest.escape_ascii().to_string(), "");
    }

    /// Expects an end that the server has announced: nobody can have cut it.
    pub async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        patiently(self.stream.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest.escape_ascii().to_string(), "");
    }
}
