//! A web server of the test's own that publishes policies by HTTPS.

use super::pki::Identity;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What it answers a host's visitors.
#[derive(Clone)]
pub enum Page {
    /// The policy.
    Policy(String),
    /// This, byte for byte.
    Raw(String),
    /// Nothing, ever.
    Silence,
}

pub struct Publisher {
    pub address: SocketAddr,
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    acceptor: TlsAcceptor,
    pages: Mutex<HashMap<String, Page>>,
    /// `HOST PATH` of every request.
    seen: watch::Sender<Vec<String>>,
}

impl Publisher {
    pub async fn listen(address: SocketAddr, identity: &Identity) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(State { acceptor: identity.acceptor(), pages: Mutex::default(), seen: watch::Sender::default() });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, state.clone()));
        Self { address, state, _task: task }
    }

    /// Publishes a policy for a domain.
    pub fn set(&self, domain: &str, page: Page) {
        self.state.pages.lock().unwrap().insert(format!("mta-sts.{domain}"), page);
    }

    pub fn seen(&self) -> Vec<String> {
        self.state.seen.borrow().clone()
    }

    pub async fn wait_for(&self, count: usize) {
        let mut seen = self.state.seen.subscribe();
        crate::peer::patiently(async { seen.wait_for(|seen| seen.len() >= count).await.unwrap().len() }).await.unwrap();
    }
}

/// A policy in the form of RFC 8461 3.2.
pub fn policy(mode: &str, servers: &[&str]) -> Page {
    let mx: String = servers.iter().map(|server| format!("mx: {server}\r\n")).collect();
    Page::Policy(format!("version: STSv1\r\nmode: {mode}\r\n{mx}max_age: 604800\r\n"))
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        connections.spawn(async move { serve(stream, &state).await });
    }
}

/// Answers one request; nothing where the visitor went away.
async fn serve(stream: TcpStream, state: &State) -> Option<()> {
    let mut stream = state.acceptor.accept(stream).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
    let path = head.split(' ').nth(1).unwrap();
    state.seen.send_modify(|seen| seen.push(format!("{host} {path}")));
    let page = state.pages.lock().unwrap().get(&host).cloned();
    let answer = match page {
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        Some(Page::Silence) => std::future::pending().await,
        Some(Page::Raw(answer)) => answer,
        Some(Page::Policy(text)) => {
            let length = text.len();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{text}"
            )
        }
    };
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}
