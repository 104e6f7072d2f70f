//! Fetches a policy: one GET by HTTPS (RFC 8461 3.3).
//!
//! Knows nothing of what the text means. What always holds: the server shows a certificate for the policy's host by a known
//! authority before it is asked anything; no redirect is followed; what is too long, too slow or of another kind is no text.

use super::Place;
use crate::clock::{Clock, TooLate};
use crate::model::{Domain, Span};
use crate::net::resolver::{Resolver, Unresolved};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long the whole of it may take.
const DEADLINE: Span = Span::from_secs(60);
/// The longest policy.
const LENGTH_MAX: usize = 64 * 1_024;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The host has no address.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// Its name is none of a host.
    #[error("its host has a name that no certificate can have")]
    Name(#[from] InvalidDnsNameError),
    /// No connection, or its certificate is not to be believed.
    #[error("its host is not to be reached: {0}")]
    Connection(#[from] io::Error),
    /// No HTTP.
    #[error("its host does not answer: {0}")]
    Http(#[from] hyper::Error),
    /// Another status than 200.
    #[error("its host answers with status {0}")]
    Status(StatusCode),
    /// Not `text/plain`.
    #[error("its host answers with something else than plain text")]
    Kind,
    /// The text cannot be had.
    #[error("the policy cannot be read: {0}")]
    Body(String),
    /// Too slow.
    #[error("its host is too slow: {0}")]
    Late(#[from] TooLate),
}

/// Fetches.
pub(super) struct Fetcher {
    resolver: Resolver,
    tls: TlsConnector,
    place: Place,
    clock: Clock,
}

impl Fetcher {
    pub(super) const fn new(resolver: Resolver, tls: TlsConnector, place: Place, clock: Clock) -> Self {
        Self { resolver, tls, place, clock }
    }

    pub(super) async fn fetch(&self, domain: &Domain) -> Result<String, FetchError> {
        self.clock.within(self.clock.now().plus(DEADLINE), Box::pin(self.text(domain))).await?
    }

    async fn text(&self, domain: &Domain) -> Result<String, FetchError> {
        let host = format!("mta-sts.{domain}");
        let stream = self.connect(&host).await?;
        let (sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
        let (mut asking, mut connection) = (pin!(ask(sender, &host)), pin!(connection));
        tokio::select! {
            biased;
            text = &mut asking => text,
            // It has nothing left to do; what it read is on its way.
            _ = &mut connection => asking.await,
        }
    }

    async fn connect(&self, host: &str) -> Result<TlsStream<TcpStream>, FetchError> {
        let name = ServerName::try_from(host.to_owned())?;
        let host = host.parse().ok().ok_or_else(|| io::Error::other("it has no name"))?;
        let addresses = self.resolver.addresses(&host, self.place.reach).await?;
        let stream = self.reach(&addresses).await?;
        Ok(self.tls.connect(name, stream).await?)
    }

    async fn reach(&self, addresses: &[IpAddr]) -> io::Result<TcpStream> {
        let mut met = io::Error::other("it has no address");
        for address in addresses {
            match TcpStream::connect(SocketAddr::new(*address, self.place.port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => met = error,
            }
        }
        Err(met)
    }
}

async fn ask(mut sender: http1::SendRequest<Empty<Bytes>>, host: &str) -> Result<String, FetchError> {
    let request = Request::get("/.well-known/mta-sts.txt").header(HOST, host).header(ACCEPT, "text/plain");
    let request = request.body(Empty::new()).map_err(io::Error::other)?;
    read(sender.send_request(request).await?).await
}

async fn read(response: Response<Incoming>) -> Result<String, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain")) {
        return Err(FetchError::Kind);
    }
    let body = Limited::new(response.into_body(), LENGTH_MAX).collect().await;
    let bytes = body.map_err(|error| FetchError::Body(error.to_string()))?.to_bytes();
    String::from_utf8(bytes.to_vec()).map_err(|error| FetchError::Body(error.to_string()))
}
