//! The load generator: sessions that hand in one mail after the other, each from a sender of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What to hand in.
#[derive(Clone)]
pub struct Load {
    pub server: SocketAddr,
    /// Whom the mail of this number is for.
    pub recipient: fn(usize) -> String,
    pub sender_domain: &'static str,
    pub mails: usize,
    pub sessions: usize,
    /// Octets of the body.
    pub body: usize,
}

/// Hands everything in; gives how many were taken with a 250.
pub async fn run(load: Load) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let mut sessions = JoinSet::new();
    for _ in 0..load.sessions {
        let (load, next) = (load.clone(), Arc::clone(&next));
        sessions.spawn(async move { session(&load, &next).await.expect("the server stays up") });
    }
    let mut taken = 0;
    while let Some(done) = sessions.join_next().await {
        taken += done.expect("a session does not panic");
    }
    taken
}

async fn session(load: &Load, next: &AtomicUsize) -> std::io::Result<usize> {
    let stream = TcpStream::connect(load.server).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    expect(&mut stream, &mut line, b"", '2').await?;
    expect(&mut stream, &mut line, b"EHLO load.test\r\n", '2').await?;
    let body = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n".repeat(load.body / 64);
    let mut taken = 0;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= load.mails {
            break;
        }
        let sender = format!("member{number}@{}", load.sender_domain);
        expect(&mut stream, &mut line, format!("MAIL FROM:<{sender}>\r\n").as_bytes(), '2').await?;
        expect(&mut stream, &mut line, format!("RCPT TO:<{}>\r\n", (load.recipient)(number)).as_bytes(), '2').await?;
        expect(&mut stream, &mut line, b"DATA\r\n", '3').await?;
        let message = format!("From: <{sender}>\r\nMessage-ID: <{number}@load.test>\r\nSubject: x\r\n\r\n{body}.\r\n");
        expect(&mut stream, &mut line, message.as_bytes(), '2').await?;
        taken += 1;
    }
    expect(&mut stream, &mut line, b"QUIT\r\n", '2').await?;
    Ok(taken)
}

async fn expect(
    stream: &mut BufReader<TcpStream>,
    line: &mut String,
    command: &[u8],
    class: char,
) -> std::io::Result<()> {
    stream.get_mut().write_all(command).await?;
    loop {
        line.clear();
        stream.read_line(line).await?;
        if line.as_bytes().get(3) != Some(&b'-') {
            break;
        }
    }
    if line.starts_with(class) { Ok(()) } else { Err(std::io::Error::other(format!("{command:?}: {line:?}"))) }
}
