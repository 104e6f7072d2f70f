//! What somebody had typed when the session was over, kept until they are back (WCAG 2.2.1: the logout must not eat work).
//!
//! Knows nothing of cookies or pages: a member, the path of a page and the fields of its form come in. What always holds:
//! only fields of [`FIELDS`] are kept, so never a password or a code; what is kept lies sealed for one member and one page
//! and is given to nobody else; there is one draft a member, and it is gone 12 hours later.

use crate::keys::Keychain;
use crate::model::{MemberId, Span, Timestamp, mac};
use crate::random::{NoChance, Random};
use crate::seal;
use crate::store::{Store, StoreError};

/// How long a draft is kept.
pub const KEPT: Span = Span::from_secs(12 * 60 * 60);

/// The fields that are kept. None of them is secret.
pub const FIELDS: &[&str] = &["priority", "language", "mail1", "mail2", "mail3", "typed"];

/// The largest draft, written as forms are.
const LARGEST: usize = 4 * 1024;

/// Why nothing could be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

/// Named values, as a form has them.
pub type Fields = Vec<(String, String)>;

/// Keeps drafts.
#[derive(Clone)]
pub struct Drafts {
    store: Store,
    keys: Keychain,
    random: Random,
}

impl Drafts {
    /// Makes the service.
    #[must_use]
    pub const fn new(store: Store, keys: Keychain, random: Random) -> Self {
        Self { store, keys, random }
    }

    /// Keeps what of a form may be kept; says whether there was anything.
    ///
    /// # Errors
    /// The database failed.
    pub async fn keep<'a>(
        &self,
        member: MemberId,
        path: &str,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Timestamp,
    ) -> Result<bool, DraftError> {
        let kept = fields.into_iter().filter(|(name, value)| FIELDS.contains(name) && !value.trim().is_empty());
        let plain = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish();
        if plain.is_empty() || plain.len() > LARGEST {
            return Ok(false);
        }
        let page = self.page(member, path);
        let sealed = seal::seal(self.keys.now().seal(), &owner(member, &page), self.random.bytes()?, plain.as_bytes());
        self.store.write(move |tx| tx.keep_draft(member, &page, &sealed, now)).await?;
        Ok(true)
    }

    /// Gives what was kept for a member and a page.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find(&self, member: MemberId, path: &str, now: Timestamp) -> Result<Option<Fields>, DraftError> {
        let page = self.page(member, path);
        let found = self.store.read(move |tx| tx.draft(member, &page)).await?;
        let Some((sealed, _)) = found.filter(|(_, kept_at)| now < kept_at.plus(KEPT)) else { return Ok(None) };
        let plain = seal::open(self.keys.now().seal(), &owner(member, &page), &sealed);
        let plain = plain.inspect_err(|cause| tracing::error!(%member, %cause, "a draft stays closed")).ok();
        Ok(plain.map(|plain| form_urlencoded::parse(plain.reveal()).into_owned().collect()))
    }

    /// Forgets what was kept for a member and a page: it has been used.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget(&self, member: MemberId, path: &str) -> Result<(), DraftError> {
        let page = self.page(member, path);
        self.store.write(move |tx| tx.drop_draft(member, &page)).await?;
        Ok(())
    }

    /// The page's name in the store: the path itself may hold a link's token.
    fn page(&self, member: MemberId, path: &str) -> [u8; 32] {
        let keys = self.keys.now();
        // It is the same while a new key takes the place of this one.
        let (_, key) = keys.seal().oldest();
        mac(key, "karamail draft", &[&member.number().to_be_bytes(), path.as_bytes()].concat())
    }
}

/// Gives what a draft is bound to where it is kept.
pub(super) fn owner(member: MemberId, page: &[u8]) -> Vec<u8> {
    [b"draft\0".as_slice(), &member.number().to_be_bytes(), page].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, NewMember, Options, Tx};

    const PAGE: &str = "/account/profile";
    const START: Timestamp = Timestamp::from_millis(1_795_298_400_000);

    struct House {
        drafts: Drafts,
        members: [MemberId; 2],
        _folder: tempfile::TempDir,
    }

    fn member(tx: &mut Tx<'_>, login: &str) -> Result<MemberId, StoreError> {
        let org = tx.org(&"DEMO".parse().unwrap())?.unwrap();
        let new = NewMember::plain(login);
        Ok(tx.put_member(org.id, &new, START)?.0)
    }

    impl House {
        async fn open() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(Options::new(Location::Sqlite(folder.path().join("store.db")))).await.unwrap();
            let add = |tx: &mut Tx<'_>| {
                tx.add_org(&"DEMO".parse().unwrap(), "デモ", None, START)?;
                Ok::<_, StoreError>([member(tx, "taro")?, member(tx, "jiro")?])
            };
            let members = store.write(add).await.unwrap();
            let random = Random::system();
            let keys = Keychain::open(folder.path(), &random).unwrap();
            Self { drafts: Drafts::new(store, keys, random), members, _folder: folder }
        }

        async fn keep(&self, fields: &[(&str, &str)]) -> bool {
            self.drafts.keep(self.members[0], PAGE, fields.iter().copied(), START).await.unwrap()
        }

        async fn found(&self, member: MemberId, path: &str, now: Timestamp) -> Option<Fields> {
            self.drafts.find(member, path, now).await.unwrap()
        }
    }

    fn fields(pairs: &[(&str, &str)]) -> Option<Fields> {
        Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[tokio::test]
    async fn what_was_typed_is_given_to_the_same_member_on_the_same_page_and_nobody_else() {
        let house = House::open().await;
        let [taro, jiro] = house.members;
        assert!(house.keep(&[("mail1", "ねこ@例.jp & more"), ("priority", "2")]).await);
        let kept = fields(&[("mail1", "ねこ@例.jp & more"), ("priority", "2")]);
        assert_eq!(house.found(taro, PAGE, START).await, kept);
        assert_eq!(house.found(taro, "/account/password", START).await, None);
        assert_eq!(house.found(jiro, PAGE, START).await, None);
        house.drafts.forget(jiro, PAGE).await.unwrap();
        house.drafts.forget(taro, "/account/password").await.unwrap();
        assert_eq!(house.found(taro, PAGE, START).await, kept);
        house.drafts.forget(taro, PAGE).await.unwrap();
        assert_eq!(house.found(taro, PAGE, START).await, None);
    }

    #[tokio::test]
    async fn neither_passwords_nor_codes_are_kept() {
        let house = House::open().await;
        let secrets = ["password", "new", "again", "current", "otp", "code", "backup", "form"];
        for name in secrets {
            assert!(!house.keep(&[(name, "umi-to-yama-9")]).await, "{name}");
        }
        assert!(house.keep(&[("password", "umi-to-yama-9"), ("mail2", "a@b.jp"), ("otp", "123456")]).await);
        assert_eq!(house.found(house.members[0], PAGE, START).await, fields(&[("mail2", "a@b.jp")]));
    }

    #[tokio::test]
    async fn nothing_and_too_much_are_not_kept() {
        let house = House::open().await;
        assert!(!house.keep(&[]).await);
        assert!(!house.keep(&[("mail1", " ")]).await);
        assert!(!house.keep(&[("mail1", &"x".repeat(LARGEST))]).await);
        assert_eq!(house.found(house.members[0], PAGE, START).await, None);
    }

    #[tokio::test]
    async fn after_twelve_hours_it_is_not_given_back() {
        let house = House::open().await;
        house.keep(&[("mail1", "a@b.jp")]).await;
        let end = START.plus(KEPT);
        assert!(house.found(house.members[0], PAGE, end.minus(Span::from_millis(1))).await.is_some());
        assert_eq!(house.found(house.members[0], PAGE, end).await, None);
    }

    #[tokio::test]
    async fn what_is_kept_cannot_be_read_in_the_store() {
        let house = House::open().await;
        house.keep(&[("mail1", "hanako@example.jp")]).await;
        let [taro, _] = house.members;
        let page = house.drafts.page(taro, PAGE);
        let (sealed, _) = house.drafts.store.read(move |tx| tx.draft(taro, &page)).await.unwrap().unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"hanako"));
    }
}
