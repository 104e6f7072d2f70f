//! The sockets people, mail servers and machines knock at.
//!
//! A socket that the service manager opened serves the `listen` entry of its port; for the other entries one is opened here.
//! Knows nothing of what is said through them. What always holds: either all are open or none, each says where it is, and no
//! socket that was handed over is left without anybody behind it.

use anyhow::Context as _;
use std::io;
use std::net::{SocketAddr, TcpListener as Socket};
use tokio::net::{TcpListener, TcpSocket};

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

/// A socket was handed over that no entry of the settings wants.
#[derive(Debug, thiserror::Error)]
#[error(
    "the service manager hands over a socket at {at}, and no entry of the settings has that port ({entries}): \
     change one of them, or ListenStream= in karamail.socket"
)]
pub struct Unwanted {
    at: SocketAddr,
    entries: String,
}

impl Doors {
    /// Opens a socket at each address.
    ///
    /// # Errors
    /// An address is taken, is not this machine's, or needs a privilege.
    pub fn open(smtp: &[SocketAddr], web: &[SocketAddr], api: &[SocketAddr]) -> anyhow::Result<Self> {
        Self::open_beside(Vec::new(), smtp, web, api)
    }

    /// Opens a socket at each address that none of those `inherited` from the service manager serves.
    ///
    /// # Errors
    /// An inherited socket is [`Unwanted`], or one that is missing cannot be opened.
    pub fn open_beside(
        inherited: Vec<Socket>,
        smtp: &[SocketAddr],
        web: &[SocketAddr],
        api: &[SocketAddr],
    ) -> anyhow::Result<Self> {
        let mut entries = [entries("smtp.listen", smtp), entries("web.listen", web), entries("api.listen", api)];
        hand_out(inherited, &mut entries)?;
        let [smtp, web, api] = entries.map(open_all);
        Ok(Self { smtp: smtp?, web: web?, api: api? })
    }
}

/// An entry of the settings, and the sockets that serve it.
struct Entry {
    key: &'static str,
    at: SocketAddr,
    sockets: Vec<Socket>,
}

fn entries(key: &'static str, addresses: &[SocketAddr]) -> Vec<Entry> {
    addresses.iter().map(|at| Entry { key, at: *at, sockets: Vec::new() }).collect()
}

/// Gives the sockets of a service; opens one for each entry that has none.
fn open_all(entries: Vec<Entry>) -> anyhow::Result<Vec<Socket>> {
    let mut all = Vec::new();
    for Entry { key, at, mut sockets } in entries {
        if sockets.is_empty() {
            sockets.push(Socket::bind(at).with_context(|| format!("{key}: {}", closed(at)))?);
        }
        all.append(&mut sockets);
    }
    Ok(all)
}

/// Gives each socket to the entry that has its address, else to one that has its port, first to those without any: a socket
/// for IPv4 and another for IPv6 may serve one entry.
fn hand_out(inherited: Vec<Socket>, entries: &mut [Vec<Entry>]) -> anyhow::Result<()> {
    let located: io::Result<Vec<_>> = inherited.into_iter().map(|socket| Ok((socket.local_addr()?, socket))).collect();
    let mut located = located.context("a socket handed over by the service manager")?;
    // What has an entry of its very own takes it before the others look.
    located.sort_by_key(|(at, _)| entries.iter().flatten().all(|entry| entry.at != *at));
    for (at, socket) in located {
        let of_its_port = entries.iter_mut().flatten().filter(|entry| entry.at.port() == at.port());
        match of_its_port.min_by_key(|entry| (entry.at != at, !entry.sockets.is_empty())) {
            Some(entry) => entry.sockets.push(socket),
            None => {
                let known = entries.iter().flatten().map(|entry| format!("{} has {}", entry.key, entry.at));
                return Err(Unwanted { at, entries: known.collect::<Vec<_>>().join(", ") }.into());
            }
        }
    }
    Ok(())
}

/// Says that a door cannot be opened; why stands behind it.
pub(super) fn closed(address: SocketAddr) -> String {
    format!("cannot listen on {address}")
}

/// Says why nobody could listen there now; what one of the doors in `ours` takes is not in the way. Nobody is answered
/// meanwhile: the address is taken, and not listened on.
pub(super) fn trouble(address: SocketAddr, ours: &[SocketAddr]) -> Option<io::Error> {
    let take = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)
    };
    let cause: io::Error = take().err()?;
    let is_ours = address.port() != 0 && ours.iter().any(|door| door.port() == address.port());
    (!is_ours).then_some(cause)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket at a free port of the address.
    fn socket(address: &str) -> (SocketAddr, Socket) {
        let socket = Socket::bind(format!("{address}:0")).unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    fn places(sockets: &[Socket]) -> Vec<SocketAddr> {
        sockets.iter().map(|socket| socket.local_addr().unwrap()).collect()
    }

    #[test]
    fn a_socket_that_was_handed_over_serves_the_entry_of_its_port_and_the_others_are_opened() {
        let (mail, pages) = (socket("127.0.0.1"), socket("127.0.0.1"));
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        // The settings say another address of this machine; the port is what counts.
        let (smtp, web) =
            (SocketAddr::from(([0, 0, 0, 0], mail.0.port())), SocketAddr::from(([127, 0, 0, 2], pages.0.port())));
        let doors = Doors::open_beside(vec![pages.1, mail.1], &[smtp], &[web], &[free]).unwrap();
        assert_eq!((places(&doors.smtp), places(&doors.web)), (vec![mail.0], vec![pages.0]));
        assert_eq!(doors.api.len(), 1);
    }

    #[test]
    fn of_two_entries_with_one_port_each_gets_the_socket_at_its_address_whatever_their_order() {
        let (first, taken) = socket("127.0.0.1");
        let port = first.port();
        let [second, third] = [2, 3].map(|host| SocketAddr::from(([127, 0, 0, host], port)));
        let (at_second, at_third) = (Socket::bind(second).unwrap(), Socket::bind(third).unwrap());
        // The third has no entry of its own, so it serves one that would have none.
        let doors = Doors::open_beside(vec![at_third, at_second, taken], &[first], &[second], &[]).unwrap();
        assert_eq!(places(&doors.web), [second]);
        assert_eq!(places(&doors.smtp), [first, third]);
        let (alone, socket) = socket("127.0.0.1");
        let other = SocketAddr::from(([127, 0, 0, 2], alone.port()));
        let doors = Doors::open_beside(vec![socket], &[alone, other], &[], &[]).unwrap();
        assert_eq!(places(&doors.smtp), [alone, other], "the second was opened");
    }

    #[test]
    fn a_socket_that_no_entry_wants_is_refused_with_both_named() {
        let (at, socket) = socket("127.0.0.1");
        let (smtp, web) = ("192.0.2.1:25".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
        let refused = Doors::open_beside(vec![socket], &[smtp], &[web], &[]).unwrap_err();
        assert!(refused.is::<Unwanted>());
        let said = refused.to_string();
        let wanted = format!("a socket at {at}, and no entry of the settings has that port");
        assert!(said.contains(&wanted), "{said}");
        assert!(said.contains("(smtp.listen has 192.0.2.1:25, web.listen has 192.0.2.1:443)"), "{said}");
    }
}
