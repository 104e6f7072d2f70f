//! A mail server that takes everything and counts it.

use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How many mails it has taken.
pub type Count = watch::Receiver<usize>;

/// Starts it on a task of its own.
pub async fn start(address: SocketAddr, tasks: &mut JoinSet<()>) -> Count {
    let listener = TcpListener::bind(address).await.expect("the sink's address is free");
    let (sender, count) = watch::channel(0);
    tasks.spawn(async move {
        let mut peers = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            peers.spawn(async move { drop(serve(stream, &sender).await) });
        }
    });
    count
}

/// Waits until `number` mails have been taken.
pub async fn until(count: &mut Count, number: usize) {
    count.wait_for(|taken| *taken >= number).await.expect("the sink lives as long as the run");
}

async fn serve(stream: TcpStream, taken: &watch::Sender<usize>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 sink.test ESMTP\r\n").await?;
    let (mut line, mut replies, mut in_data) = (Vec::new(), Vec::new(), false);
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if in_data {
            if line == b".\r\n" {
                in_data = false;
                taken.send_modify(|number| *number += 1);
                replies.extend_from_slice(b"250 2.0.0 Ok\r\n");
            }
        } else {
            let reply: &[u8] = match line.get(..4).unwrap_or_default() {
                b"EHLO" => b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
                b"DATA" => {
                    in_data = true;
                    b"354 Go\r\n"
                }
                b"QUIT" => b"221 Bye\r\n",
                _ => b"250 2.0.0 Ok\r\n",
            };
            replies.extend_from_slice(reply);
        }
        // Replies to pipelined commands go out together.
        if stream.buffer().is_empty() && !replies.is_empty() {
            stream.get_mut().write_all(&replies).await?;
            replies.clear();
        }
    }
}
