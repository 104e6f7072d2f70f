//! The audit log: what was done to the doors of members, and by whom.
//!
//! Knows nothing of why. An entry is recorded in the transaction of what it tells, so it is there exactly when that was
//! kept. What always holds: each entry holds the hash of the one before it, so that none can be changed, moved or taken out of
//! the middle without it being seen; the oldest are taken away with an entry that holds the hash of the last of them, so that
//! what is left still proves itself; no password, code, key or whole address is in any.
//!
//! Names follow the vocabulary of OWASP for application logging.

use crate::model::{EmailAddress, MemberId, OrgId, Priority, Timestamp};
use crate::store::{AUDIT_TRIMMED, AuditRow, Member, Store, StoreError, Tx};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A password was right, and more is asked for before the member is in.
pub const LOGIN_PASSWORD: &str = "authn_login_password";
/// A member is in: all that was asked for was right.
pub const LOGIN_SUCCESS: &str = "authn_login_success";
/// Somebody did not get in.
pub const LOGIN_FAIL: &str = "authn_login_fail";
/// So many tries failed one after another, wherever they came from, that a stranger's right password is confirmed by mail.
pub const LOGIN_FAIL_MAX: &str = "authn_login_fail_max";
/// A right password waits for a code by mail.
pub const LOGIN_DOUBTED: &str = "authn_login_doubted";
/// The code that confirms a right password was wrong.
pub const LOGIN_CONFIRM_FAIL: &str = "authn_login_confirm_fail";
/// The code that confirms a right password was right.
pub const LOGIN_CONFIRMED: &str = "authn_login_confirmed";
/// A member chose another password.
pub const PASSWORD_CHANGE: &str = "authn_password_change";
/// The administrator gave out another start password.
pub const PASSWORD_RESET: &str = "authn_password_reset";
/// A code of a second factor was right.
pub const TWO_FACTOR_SUCCESS: &str = "authn_two_factor_success";
/// A code of a second factor was wrong.
pub const TWO_FACTOR_FAIL: &str = "authn_two_factor_fail";
/// A second factor was set up.
pub const TWO_FACTOR_SET: &str = "authn_two_factor_set";
/// A second factor was taken away.
pub const TWO_FACTOR_REMOVED: &str = "authn_two_factor_removed";
/// All second factors were cleared.
pub const TWO_FACTOR_RESET: &str = "authn_two_factor_reset";
/// A backup code was made.
pub const BACKUP_CODE_MADE: &str = "authn_backup_code_made";
/// Another code was typed for the backup code.
pub const BACKUP_CODE_FAIL: &str = "authn_backup_code_fail";
/// A backup code was used.
pub const BACKUP_CODE_USED: &str = "authn_backup_code_used";
/// A place that was empty has an address of the member's.
pub const ADDRESS_ADDED: &str = "user_address_added";
/// A place has another address of the member's.
pub const ADDRESS_CHANGED: &str = "user_address_changed";
/// A place is empty.
pub const ADDRESS_REMOVED: &str = "user_address_removed";
/// A test was ordered of an address that the member typed.
pub const ADDRESS_TESTED: &str = "user_address_tested";
/// Somebody showed that mail to the address is read.
pub const ADDRESS_VERIFIED: &str = "user_address_verified";
/// What a server said is held against an address of the member's.
pub const ADDRESS_BOUNCED: &str = "user_address_bounced";
/// A link goes out by mail.
pub const LINK_ISSUED: &str = "link_issued";
/// The page behind a link was opened, by a person or not.
pub const LINK_OPENED: &str = "link_opened";
/// What a link is for was done.
pub const LINK_FINISHED: &str = "link_finished";
/// Members of a file were written.
pub const MEMBERS_IMPORTED: &str = "users_imported";

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The member, on a page.
    Member,
    /// Whoever has the command line.
    Operator,
    /// The service itself, as its settings say.
    Service,
    /// Nobody who is known: whoever wrote a mail or opened a page, or a server that answered.
    Anybody,
}

impl By {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Operator => "operator",
            Self::Service => "service",
            Self::Anybody => "anybody",
        }
    }
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What.
    pub name: &'static str,
    /// In which organisation, where that is known.
    pub org: Option<OrgId>,
    /// To whom, where that is known.
    pub member: Option<MemberId>,
    /// By whom.
    pub by: By,
    /// What there is to say about it.
    pub fields: Map<String, Value>,
}

impl Entry {
    /// Something that was done to a member.
    #[must_use]
    pub fn of(name: &'static str, member: &Member, by: By) -> Self {
        Self { name, org: Some(member.org), member: Some(member.id), by, fields: Map::new() }
    }

    /// Something that was done, as far as is known to no member.
    #[must_use]
    pub fn at_large(name: &'static str, by: By) -> Self {
        Self { name, org: None, member: None, by, fields: Map::new() }
    }

    /// Says which address: enough to recognise it, too little to write to.
    #[must_use]
    pub fn address(self, address: &EmailAddress) -> Self {
        self.field("address", address.masked())
    }

    /// Says in which of the member's places.
    #[must_use]
    pub fn place(self, place: Priority) -> Self {
        self.field("place", place.number())
    }

    /// Says more about it.
    #[must_use]
    pub fn field(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }
}

/// Records what was done, behind everything that was recorded before.
///
/// # Errors
/// The database failed.
pub fn record(tx: &mut Tx<'_>, entry: Entry, now: Timestamp) -> Result<(), StoreError> {
    let before = tx.end_of_audit()?.unwrap_or(START);
    let mut row = AuditRow {
        id: 0,
        at: now,
        name: entry.name.to_owned(),
        org: entry.org,
        member: entry.member,
        by: entry.by.as_str().to_owned(),
        fields: Value::Object(entry.fields).to_string(),
        chain: START,
    };
    row.chain = link(&before, &row);
    tx.append_audit(&row)
}

/// Takes at most `limit` of the oldest entries away, of those from before `before`, and records where the log begins from now
/// on; gives how many it were.
///
/// # Errors
/// The database failed.
pub fn trim(tx: &mut Tx<'_>, before: Timestamp, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
    // From here on nobody else appends or takes away.
    tx.end_of_audit()?;
    let oldest = tx.audit(None, 0, limit)?;
    let Some(last) = oldest.iter().take_while(|row| row.at < before).last() else { return Ok(0) };
    let entry = Entry::at_large(AUDIT_TRIMMED, By::Service).field("until", last.id);
    // Recorded first: the log may have nothing else that it could follow.
    record(tx, entry.field("chain", HEXLOWER.encode(&last.chain)), now)?;
    tx.cut_audit(last.id)
}

/// Where the log begins: behind this place, with an entry that follows this hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    until: i64,
    chain: [u8; 32],
}

impl Cut {
    /// Reads it from the entry about it; nothing where somebody spoiled that, and then nothing follows.
    fn read(row: &AuditRow) -> Option<Self> {
        let fields: Value = serde_json::from_str(&row.fields).ok()?;
        let chain = HEXLOWER.decode(fields.get("chain")?.as_str()?.as_bytes()).ok()?;
        Some(Self { until: fields.get("until")?.as_i64()?, chain: chain.try_into().ok()? })
    }
}

/// Walks along the whole log; gives the first entry that does not follow the one before it.
///
/// # Errors
/// The database failed.
pub async fn broken(store: &Store) -> Result<Option<AuditRow>, StoreError> {
    let mut walk = Walk::default();
    loop {
        let (next, seen) = store.read::<_, StoreError, _>(move |tx| walk.on(tx)).await?;
        match seen {
            Seen::More => walk = next,
            Seen::Broken(row) => return Ok(Some(*row)),
            Seen::End => return Ok(None),
        }
    }
}

/// How many entries are followed at a time.
const PAGE: usize = 5_000;

/// How far the walk has got.
#[derive(Debug, Clone, Copy, Default)]
struct Walk {
    chain: Chain,
    after: i64,
}

/// What a step of the walk saw.
enum Seen {
    More,
    Broken(Box<AuditRow>),
    End,
}

impl Walk {
    fn on(mut self, tx: &mut Tx<'_>) -> Result<(Self, Seen), StoreError> {
        let page = tx.audit(None, self.after, PAGE)?;
        // Asked after the entries: what was taken away before or meanwhile is not missed.
        let cut = tx.last_cut_of_audit()?.as_ref().and_then(Cut::read);
        if let Some(cut) = cut.filter(|cut| self.after < cut.until) {
            return Ok((Self { chain: Chain { end: cut.chain }, after: cut.until }, Seen::More));
        }
        let Some(last) = page.last() else { return Ok((self, Seen::End)) };
        self.after = last.id;
        let seen = self.chain.follow(&page).map_or(Seen::More, |row| Seen::Broken(Box::new(row.clone())));
        Ok((self, seen))
    }
}

/// What the first entry follows.
const START: [u8; 32] = [0; 32];

/// The hash of what was before and of an entry. An array of JSON has one reading only.
fn link(before: &[u8; 32], row: &AuditRow) -> [u8; 32] {
    let (org, member) = (row.org.map(OrgId::number), row.member.map(MemberId::number));
    let said = json!([row.at.millis(), row.name, org, member, row.by, row.fields]).to_string();
    Sha256::new().chain_update(before).chain_update(said).finalize().into()
}

/// Walks along the chain, from its first entry on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    end: [u8; 32],
}

impl Default for Chain {
    fn default() -> Self {
        Self { end: START }
    }
}

impl Chain {
    /// Goes on with the entries that come next; gives the first that does not follow.
    pub fn follow<'a>(&mut self, rows: &'a [AuditRow]) -> Option<&'a AuditRow> {
        rows.iter().find(|row| {
            self.end = link(&self.end, row);
            self.end != row.chain
        })
    }
}

/// What a log holds: names, doers and fields.
#[cfg(test)]
pub(super) async fn told(store: &Store) -> Vec<String> {
    assert_eq!(broken(store).await.unwrap(), None);
    let rows = store.read::<_, StoreError, _>(|tx| tx.audit(None, 0, 99)).await.unwrap();
    rows.iter().map(|row| format!("{} {} {}", row.name, row.by, row.fields)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_795_316_400_123);

    /// Entries as [`record`] writes them.
    fn chain(names: &[&str]) -> Vec<AuditRow> {
        let mut rows: Vec<AuditRow> = Vec::new();
        for (number, name) in (1..).zip(names) {
            let mut row = AuditRow {
                id: number,
                at: NOON,
                name: (*name).to_owned(),
                org: Some(OrgId::new(1)),
                member: (*name != LOGIN_FAIL).then_some(MemberId::new(7)),
                by: By::Member.as_str().to_owned(),
                fields: r#"{"kind":"app"}"#.to_owned(),
                chain: START,
            };
            row.chain = link(rows.last().map_or(&START, |last| &last.chain), &row);
            rows.push(row);
        }
        rows
    }

    fn broken(rows: &[AuditRow]) -> Option<i64> {
        Chain::default().follow(rows).map(|row| row.id)
    }

    #[test]
    fn a_chain_that_nobody_touched_holds_in_one_go_and_in_pages() {
        let rows = chain(&[LOGIN_SUCCESS, LOGIN_FAIL, TWO_FACTOR_SET, PASSWORD_CHANGE]);
        assert_eq!(broken(&rows), None);
        let mut pages = Chain::default();
        assert!(rows.chunks(3).all(|page| pages.follow(page).is_none()));
    }

    #[test]
    fn whatever_is_changed_moved_added_or_taken_out_is_seen() {
        let rows = chain(&[LOGIN_SUCCESS, LOGIN_FAIL, TWO_FACTOR_SET, PASSWORD_CHANGE]);
        type Change = fn(&mut Vec<AuditRow>);
        let changes: [(i64, Change); 10] = [
            (2, |rows| rows[1].at = NOON.plus(crate::model::Span::from_millis(1))),
            (2, |rows| rows[1].name = LOGIN_SUCCESS.to_owned()),
            (2, |rows| rows[1].org = None),
            (2, |rows| rows[1].member = Some(MemberId::new(8))),
            (2, |rows| rows[1].by = "operator".to_owned()),
            (2, |rows| rows[1].fields = "{}".to_owned()),
            (2, |rows| rows[1].chain[31] ^= 1),
            (3, |rows| rows.swap(1, 2)),
            (2, |rows| drop(rows.remove(0))),
            (3, |rows| rows.insert(1, rows[2].clone())),
        ];
        for (number, (expected, change)) in changes.into_iter().enumerate() {
            let mut changed = rows.clone();
            change(&mut changed);
            assert_eq!(broken(&changed), Some(expected), "{number}");
        }
    }
}
