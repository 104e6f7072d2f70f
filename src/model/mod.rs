//! The values every part shares: addresses, organisations, ids, instants, replies, secrets.
//!
//! Knows nothing of sockets, files, databases or time passing: a value is made from bytes at the door, once, and is
//! right from then on. What always holds: a value of these types has passed its check, and printing a secret shows dots.

mod address;
mod budget;
mod carrier;
mod dkim;
mod duration;
mod id;
mod key_ring;
mod language;
mod mac;
mod manual;
mod network;
mod org;
mod policy;
mod received;
mod reply;
mod secret;
mod timestamp;

pub use address::{AddressError, Domain, EmailAddress, LocalForm, ReversePath};
pub use budget::{Budget, BudgetError};
pub use carrier::Carrier;
pub use dkim::DkimEntry;
pub use duration::{Span, SpanError};
pub use id::{AlertId, ChallengeId, ContactTestId, IdError, JobId, MailId, MemberId, OrgId, RegistrationId};
pub use key_ring::{KeyRing, NoActiveKey};
pub use language::Language;
pub use mac::mac;
pub use manual::Manual;
pub use network::{Network, NetworkError};
pub use org::{LoginId, OrgCode, OrgError, Priority};
pub use policy::{BackupKind, Blocklist, Plan, Policy, PolicyError, Profile, Strength};
pub use received::{Received, Via};
pub use reply::{EnhancedCode, Reply, Stage, StageError};
pub use secret::Secret;
pub use timestamp::Timestamp;
