//! What a hostile client or a full disk does to the process as a whole.

use crate::daemon::{Daemon, settings};
use crate::mailbox::Client;
use crate::place::{Place, until};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

/// The most memory the process has ever had, in MiB.
fn peak_memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Writes until the server has had enough; gives what it said.
fn pour(server: SocketAddr, opening: &[u8], piece: &[u8], pieces: usize) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(opening).unwrap();
    for _ in 0..pieces {
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut said = Vec::new();
    drop(stream.read_to_end(&mut said));
    String::from_utf8_lossy(&said).into_owned()
}

/// A mail of ordinary kind is still taken.
fn is_well(daemon: &Daemon) -> bool {
    let message = "From: <taro@docomo.ne.jp>\r\nPrecedence: bulk\r\n\r\n";
    let sent = Client::connect(daemon.smtp)
        .and_then(|mut client| client.send("taro@docomo.ne.jp", "bizanpi@mc-anpi.com", message));
    sent.is_ok_and(|reply| reply.starts_with("250 2.0.0"))
}

#[test]
fn no_flood_of_octets_hangs_the_daemon_or_grows_it_past_128_mib() {
    let place = Place::take();
    let daemon = Daemon::start(&place, &settings(&place, "route = \"capture\"", ""));
    let mebibyte = vec![b'a'; 1 << 20];
    // 64 MB that never end a line, before and after a greeting.
    pour(daemon.smtp, b"", &mebibyte, 64);
    pour(daemon.smtp, b"EHLO x.test\r\n", &mebibyte, 64);
    // A message of 64 MB, and one of 64 MB without a line end.
    let opening = b"EHLO x.test\r\nMAIL FROM:<a@docomo.ne.jp>\r\nRCPT TO:<bizanpi@mc-anpi.com>\r\nDATA\r\n";
    let lines = "0123456789\r\n".repeat(90_000);
    for piece in [lines.as_bytes(), mebibyte.as_slice()] {
        let mut tail = piece.to_vec();
        tail.extend_from_slice(b"\r\n.\r\nQUIT\r\n");
        let mut stream = TcpStream::connect(daemon.smtp).unwrap();
        stream.write_all(opening).unwrap();
        for _ in 0..64 {
            stream.write_all(piece).unwrap();
        }
        stream.write_all(&tail).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.contains("552 5.3.4"), "{said}");
    }
    // Ten thousand recipients.
    let recipients: String = (0..10_000).map(|number| format!("RCPT TO:<bizanpi+{number}@mc-anpi.com>\r\n")).collect();
    let said = pour(daemon.smtp, b"EHLO x.test\r\nMAIL FROM:<a@docomo.ne.jp>\r\n", recipients.as_bytes(), 1);
    assert!(said.contains("452 4.5.3"), "{said}");
    // A hundred and fifty connections, each in the middle of a message just below the limit.
    let held: Vec<TcpStream> = (0..150)
        .map(|_| {
            let mut stream = TcpStream::connect(daemon.smtp).unwrap();
            stream.write_all(opening).unwrap();
            stream.set_nonblocking(true).unwrap();
            drop(stream.write(&mebibyte[..900_000]));
            stream
        })
        .collect();
    assert!(is_well(&daemon));
    drop(held);
    assert!(is_well(&daemon));
    let peak = peak_memory(&daemon);
    assert!(peak <= 128, "{peak} MiB");
}

/// A small disk of the test's own.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(&path).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

#[test]
fn on_a_full_disk_senders_hear_451_and_with_room_again_all_is_well() {
    let place = Place::take();
    let disk = SmallDisk::mount(place.path("data"));
    let daemon = Daemon::start(&place, &settings(&place, "route = \"capture\"", ""));
    assert!(is_well(&daemon));
    let filler = disk.0.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file); // an open file would keep its room after it is gone
    let mut taken = 0;
    let mut client = Client::connect(daemon.smtp).unwrap();
    let refused = until("a mail finds no room", || {
        let message = format!("From: <taro@docomo.ne.jp>\r\nSubject: {}\r\nPrecedence: bulk\r\n\r\n", "x".repeat(900));
        let reply = client.send("taro@docomo.ne.jp", "postmaster@mc-anpi.com", &message).unwrap();
        if reply.starts_with("250 2.0.0") {
            taken += 1;
            return None;
        }
        Some(reply)
    });
    assert!(refused.starts_with("451 4.3"), "{refused}");
    std::fs::remove_file(&filler).unwrap();
    until("it is well again", || is_well(&daemon).then_some(()));
    let kept = daemon.log().iter().filter(|line| line.starts_with("received ") && line.contains("postmaster@")).count();
    assert_eq!(kept, taken);
}
