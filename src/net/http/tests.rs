use super::*;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A site with room for four, and where it is.
async fn open(clock: &Clock, tasks: &mut JoinSet<()>) -> (std::net::SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "here" }));
    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let site = Site { name: "test", router, clock: clock.clone(), trusted };
    let (closing, closed) = watch::channel(false);
    tasks.spawn(accept(site, listener, Room::new(4), closed));
    (at, closing)
}

/// Asks for the page on a connection that could stay.
async fn ask(stream: &mut TcpStream) -> String {
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
    let (at, closing) = open(&clock, &mut tasks).await;
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
