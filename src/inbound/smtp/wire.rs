//! The octets of one connection, in plain or secured.
//!
//! Does not know SMTP. What always holds: once it is to be secured nothing is read or written in plain any more, whether the
//! handshake succeeds or not.

use crate::net::tls;
use std::io::{self, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// One connection.
#[derive(Debug)]
pub(super) enum Wire {
    /// As it was accepted.
    Plain(TcpStream),
    /// Behind a handshake.
    Secured(Box<TlsStream<TcpStream>>),
    /// A handshake was begun and did not succeed.
    Lost,
}

impl Wire {
    /// Shakes hands; gives the version of TLS, as the mail log shows it.
    pub(super) async fn secure(&mut self, acceptor: &TlsAcceptor) -> io::Result<String> {
        // Out of reach until the handshake is over; dropping it halfway closes the connection.
        let Self::Plain(stream) = std::mem::replace(self, Self::Lost) else { return Err(lost()) };
        let secured = acceptor.accept(stream).await?;
        let version = tls::version(secured.get_ref().1);
        *self = Self::Secured(Box::new(secured));
        Ok(version)
    }

    /// Reads what is there; nothing is the end.
    pub(super) async fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(piece).await,
            Self::Secured(stream) => stream.read(piece).await,
            Self::Lost => Err(lost()),
        }
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(octets).await,
            Self::Secured(stream) => {
                stream.write_all(octets).await?;
                // What was written may still wait as records.
                stream.flush().await
            }
            Self::Lost => Err(lost()),
        }
    }

    /// Says that nothing more will be written.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Secured(stream) => stream.shutdown().await,
            Self::Lost => Err(lost()),
        }
    }
}

fn lost() -> io::Error {
    ErrorKind::NotConnected.into()
}
