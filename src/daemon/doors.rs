//! The sockets people, mail servers and machines knock at.
//!
//! Knows nothing of what is said through them. What always holds: either all are open or none, and each says where it is.

use anyhow::Context as _;
use std::net::{SocketAddr, TcpListener as Socket};
use tokio::net::TcpListener;

/// Sockets that listen, before anybody answers.
#[derive(Debug)]
pub struct Doors {
    /// For mail servers.
    pub smtp: Vec<Socket>,
    /// For browsers.
    pub web: Vec<Socket>,
    /// For monitoring.
    pub api: Vec<Socket>,
}

impl Doors {
    /// Opens a socket at each address.
    ///
    /// # Errors
    /// An address is taken, is not this machine's, or needs a privilege.
    pub fn open(smtp: &[SocketAddr], web: &[SocketAddr], api: &[SocketAddr]) -> anyhow::Result<Self> {
        let (smtp, web) = (open_all("smtp.listen", smtp)?, open_all("web.listen", web)?);
        Ok(Self { smtp, web, api: open_all("api.listen", api)? })
    }
}

fn open_all(key: &str, addresses: &[SocketAddr]) -> anyhow::Result<Vec<Socket>> {
    let open =
        |address: &SocketAddr| Socket::bind(address).with_context(|| format!("{key}: cannot listen on {address}"));
    addresses.iter().map(open).collect()
}

/// Hands sockets to the runtime and says where they listen.
pub(super) fn listen(service: &str, sockets: Vec<Socket>) -> anyhow::Result<Vec<(TcpListener, SocketAddr)>> {
    let hand_over = |socket: Socket| {
        let address = socket.local_addr()?;
        socket.set_nonblocking(true)?;
        tracing::info!(service, %address, "listening");
        Ok((TcpListener::from_std(socket)?, address))
    };
    sockets.into_iter().map(hand_over).collect()
}
