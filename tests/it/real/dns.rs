//! dnsmasq as the name server of a place.

use crate::place::{DNS_PORT, Place, Program, until};
use std::net::UdpSocket;
use std::process::{Command, Stdio};

/// Names and where their mail goes.
#[derive(Default)]
pub struct Records(Vec<String>);

impl Records {
    /// `domain` takes its mail at `host`, preferred the lower the number.
    pub fn mx(mut self, domain: &str, host: &str, preference: u16) -> Self {
        self.0.push(format!("--mx-host={domain},{host},{preference}"));
        self
    }

    pub fn address(mut self, name: &str, address: std::net::IpAddr) -> Self {
        self.0.push(format!("--host-record={name},{address}"));
        self
    }
}

/// Starts it on host 2 of the place and waits until it answers.
pub fn start(place: &Place, records: &Records) -> Program {
    let address = place.host(2);
    let program = Program::start(
        Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"])
            .args(["--user=root", "--pid-file=", "--log-facility=-", "--local=//"])
            .arg(format!("--listen-address={address}"))
            .arg(format!("--port={DNS_PORT}"))
            .args(&records.0)
            .stderr(Stdio::null()),
    );
    let socket = UdpSocket::bind((place.host(1), 0)).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    // A question for the root's name server: any answer will do.
    let question = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    until("dnsmasq answers", || {
        drop(socket.send_to(&question, (address, DNS_PORT)));
        socket.recv(&mut [0; 512]).ok()
    });
    program
}
