//! Jobs laid into a store before the program starts on it: alerts and one-time passwords have no front of their own yet.

use data_encoding::HEXLOWER;
use karamail::clock::Clock;
use karamail::model::{JobId, Span, Timestamp};
use karamail::queue::{Class, Content, NewJob};
use karamail::store::{Location, Options, Store, StoreError, Tx};
use std::path::Path;

/// A mail that is to wait in the store.
#[derive(Clone)]
pub struct Order {
    pub class: Class,
    pub to: String,
    /// How long it may still be sent.
    pub life: Span,
}

impl Order {
    pub fn new(class: Class, to: &str) -> Self {
        Self { class, to: to.to_owned(), life: Span::from_secs(3_600) }
    }
}

/// Puts mails into the store below `data`, which nobody has open.
pub fn lay(data: &Path, orders: &[Order]) -> Vec<JobId> {
    let (orders, now) = (orders.to_vec(), Clock::system().now());
    write(data, move |tx| orders.iter().map(|order| enqueue(tx, order, now)).collect())
}

/// Writes into the store below `data`, which nobody has open.
pub fn write<T: Send + 'static>(
    data: &Path,
    work: impl FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    std::fs::create_dir_all(data).unwrap();
    let location = Location::Sqlite(data.join("karamail.db"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(Options::new(location)).await.unwrap();
        let written = store.write(work).await.unwrap();
        store.close().await;
        written
    })
}

fn enqueue(tx: &mut Tx<'_>, order: &Order, now: Timestamp) -> Result<JobId, StoreError> {
    let (to, expires) = (order.to.parse().unwrap(), now.plus(Span::from_secs(86_400)));
    let registration = tx.begin_registration(&to, None, now, expires)?;
    let content = Content::RegistrationReply {
        registration,
        key: 1,
        expires: expires.seconds(),
        nonce: HEXLOWER.encode(&[9; 16]),
    };
    let give_up = now.plus(order.life);
    let class = order.class;
    tx.enqueue(&NewJob { class, to, content, language: None, cause: None, queued_at: now, due: now, give_up })
}
