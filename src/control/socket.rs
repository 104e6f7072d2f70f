//! The door itself: a socket in the data folder that only its owner can open.

use super::{Desk, Request, Response};
use crate::clock::{Clock, TooLate};
use crate::model::{Span, Timestamp};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// The longest request: a file of 64 MiB in base64, and the words around it.
const REQUEST_MAX: u64 = 96 << 20;
/// The longest line of an answer that a command believes.
const ANSWER_MAX: u64 = 96 << 20;
/// How many commands are answered at once; the others wait their turn.
const AT_ONCE: usize = 32;
/// How long a command may take to say what it wants.
const ASKING: Span = Span::from_secs(60);
/// How long a command may take to read one line of its answer. A pager left open keeps its command waiting.
const READING: Span = Span::from_secs(600);
/// How many lines of an answer wait for a slow reader.
const WAITING: usize = 4;

/// The name of the door while it is made.
const MADE: &str = "s";

/// Where the door of a data folder is.
fn place(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Where it is made.
fn making(data_dir: &Path) -> PathBuf {
    data_dir.join("control.new")
}

/// The daemon's side of the door. It is taken away when this is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Says whether the paths of the door are short enough for one.
    ///
    /// # Errors
    /// One is longer than a socket's may be (about 100 bytes).
    pub fn fits(data_dir: &Path) -> io::Result<()> {
        [place(data_dir), making(data_dir).join(MADE)]
            .into_iter()
            .try_for_each(|path| std::os::unix::net::SocketAddr::from_pathname(path).map(drop))
    }

    /// Opens the door, in place of one that a killed daemon left behind. The caller holds the [`super::Lock`].
    ///
    /// # Errors
    /// The system refused, or the path is longer than a socket's may be (about 100 bytes).
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        // Made where nobody else can reach it, so that it is never open to others, not even before its mode is set.
        let (path, making) = (place(data_dir), making(data_dir));
        match fs::remove_dir_all(&making) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            Ok(()) | Err(_) => {}
        }
        DirBuilder::new().mode(0o700).create(&making)?;
        let made = making.join(MADE);
        let listener = UnixListener::bind(&made)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        fs::rename(&made, &path)?;
        fs::remove_dir(&making)?;
        Ok(Self { listener, path })
    }

    /// Answers commands for as long as this is waited for.
    pub async fn serve(self, desk: Desk) {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut commands = JoinSet::new();
        loop {
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
            while commands.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let desk = desk.clone();
                    commands.spawn(async move {
                        if let Err(cause) = serve_one(stream, &desk).await {
                            tracing::debug!(%cause, "a command was not answered to the end");
                        }
                        drop(turn);
                    });
                }
                Err(cause) => {
                    // Out of descriptors, most likely: others are about to be given back.
                    tracing::warn!(%cause, "the operator's socket took no connection");
                    desk.clock.sleep(Span::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(cause) = fs::remove_file(&self.path) {
            tracing::debug!(%cause, "the operator's socket was gone already");
        }
    }
}

/// Reads one request and writes its answers.
async fn serve_one(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let line = within(&desk.clock, ASKING, read_line(&mut read, REQUEST_MAX)).await??;
    let (to, mut answers) = mpsc::channel(WAITING);
    let request: Request = match line.as_deref().map(serde_json::from_slice) {
        None => return Ok(()),
        Some(Ok(request)) => request,
        Some(Err(cause)) => {
            let why = format!("the daemon does not understand the command ({cause}); are both of one version?");
            write_line(&mut write, &Response::Refused { why }).await?;
            return write_line(&mut write, &Response::End).await;
        }
    };
    // Any other answer comes to an end by itself, also for who closed the half of the connection that is not needed any more.
    let follows = matches!(request, Request::Log { follow: true, .. });
    let answering = desk.answer(request, to);
    let writing = async {
        while let Some(answer) = answers.recv().await {
            within(&desk.clock, READING, write_line(&mut write, &answer)).await??;
        }
        Ok(())
    };
    tokio::select! {
        ((), written) = async { tokio::join!(answering, writing) } => written,
        () = hung_up(&mut read), if follows => Ok(()),
    }
}

async fn within<T>(clock: &Clock, span: Span, work: impl Future<Output = T>) -> io::Result<T> {
    let deadline: Timestamp = clock.now().plus(span);
    clock.within(deadline, work).await.map_err(|TooLate| io::ErrorKind::TimedOut.into())
}

/// Reads a line of at most `most` bytes; nothing where the other side said nothing.
async fn read_line(from: &mut (impl AsyncBufReadExt + Unpin), most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(most).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn write_line(to: &mut OwnedWriteHalf, answer: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    to.write_all(&line).await
}

/// Waits until the other side closes; what it says beyond its request is passed over.
async fn hung_up(read: &mut BufReader<OwnedReadHalf>) {
    let mut rest = [0; 512];
    while let Ok(1..) = read.read(&mut rest).await {}
}

/// Why a daemon did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// None is running.
    #[error("no daemon is running")]
    Down,
    /// The socket is somebody else's.
    #[error("{}: {cause}; run the command as the owner of the folder, or as root", path.display())]
    Door {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It went away in between.
    #[error("the daemon ended before its answer did; run the command again once it is up")]
    Ended,
    /// The connection failed, or it is of another version.
    #[error("the daemon stopped answering: {0}")]
    Broken(io::Error),
}

/// Asks the daemon that works on `data_dir`; gives its answers one by one, without the [`Response::End`].
///
/// # Errors
/// None is running, or it cannot be asked.
pub async fn ask(data_dir: &Path, request: &Request) -> Result<Answers, AskError> {
    let path = place(data_dir);
    let stream = UnixStream::connect(&path).await.map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::Down,
        // There is no such folder, or its path is too long for a door.
        io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => AskError::Down,
        _ => AskError::Door { path, cause },
    })?;
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(request).map_err(|cause| AskError::Broken(cause.into()))?;
    line.push(b'\n');
    write.write_all(&line).await.map_err(AskError::Broken)?;
    Ok(Answers { read: BufReader::new(read), _write: write })
}

/// What a daemon answers, as it comes.
#[derive(Debug)]
pub struct Answers {
    read: BufReader<OwnedReadHalf>,
    /// Kept open: closing it tells the daemon that nobody listens.
    _write: OwnedWriteHalf,
}

impl Answers {
    /// Waits for the next answer; nothing after the last.
    ///
    /// # Errors
    /// The daemon went away before the end, or said what we do not understand.
    pub async fn next(&mut self) -> Result<Option<Response>, AskError> {
        let line = read_line(&mut self.read, ANSWER_MAX).await.map_err(AskError::Broken)?;
        let line = line.ok_or(AskError::Ended)?;
        match serde_json::from_slice(&line).map_err(|cause| AskError::Broken(cause.into()))? {
            Response::End => Ok(None),
            answer => Ok(Some(answer)),
        }
    }
}
