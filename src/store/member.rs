//! Members of organisations, their mail addresses and their passwords.

use crate::model::{EmailAddress, Language, LoginId, MemberId, OrgId, Priority, Timestamp};
use crate::store::sql::{Row, params};
use crate::store::{StoreError, Tx};

/// The purpose under which a start password is kept sealed until the first login; the owner is the member's number.
pub const START_PASSWORD: &str = "start-password";

/// A member of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its row.
    pub id: MemberId,
    /// The organisation's row.
    pub org: OrgId,
    /// What the member types, as issued.
    pub login: LoginId,
    /// 氏名.
    pub name: String,
    /// カナ氏名.
    pub kana: Option<String>,
    /// 所属.
    pub department: Option<String>,
    /// The language of pages and mails.
    pub language: Language,
    /// The password, as an Argon2id string (PHC); nothing while the start password is still sealed, or where there is none.
    pub password_hash: Option<String>,
    /// The password came from the administrator and is to be changed at the next login.
    pub must_change_password: bool,
    /// When the administrator gave that password.
    pub start_at: Option<Timestamp>,
    /// When the member logged in last.
    pub last_login: Option<Timestamp>,
}

/// A member as the administrator's file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// What the member types.
    pub login: LoginId,
    /// 氏名.
    pub name: String,
    /// カナ氏名.
    pub kana: Option<String>,
    /// 所属.
    pub department: Option<String>,
    /// The language of pages and mails.
    pub language: Language,
    /// A start password that is hashed already.
    pub password_hash: Option<String>,
    /// The addresses by priority; a blank leaves what is there.
    pub addresses: [Option<EmailAddress>; 3],
}

#[cfg(test)]
impl NewMember {
    /// A member of that ID, of whom nothing else is known.
    pub(crate) fn plain(login: &str) -> Self {
        Self {
            login: login.parse().unwrap(),
            name: "見本 花子".to_owned(),
            kana: None,
            department: None,
            language: Language::Ja,
            password_hash: None,
            addresses: [None, None, None],
        }
    }
}

const COLUMNS: &str = "id, org, login, name, kana, department, language, password_hash, must_change, start_at, \
                       last_login FROM members";

fn read(row: &Row<'_>) -> Result<Member, StoreError> {
    Ok(Member {
        id: row.get(0)?,
        org: row.get(1)?,
        login: row.get(2)?,
        name: row.get(3)?,
        kana: row.find(4)?,
        department: row.find(5)?,
        language: row.get(6)?,
        password_hash: row.find(7)?,
        must_change_password: row.get(8)?,
        start_at: row.find(9)?,
        last_login: row.find(10)?,
    })
}

impl Tx<'_> {
    /// Adds a member, or brings one up to date: a password that is there already, sealed or hashed, is kept, and so are
    /// addresses for which the file has a blank. Gives the row, and whether it is new.
    ///
    /// # Errors
    /// The database failed, or there is no such organisation.
    pub fn put_member(
        &mut self,
        org: OrgId,
        member: &NewMember,
        at: Timestamp,
    ) -> Result<(MemberId, bool), StoreError> {
        self.guard()?;
        let known = self.member(org, &member.login)?;
        let id = match &known {
            Some(known) => self.update_member(known, member, at)?,
            None => self.insert_member(org, member, at)?,
        };
        for (priority, address) in Priority::ALL.into_iter().zip(&member.addresses) {
            if let Some(address) = address {
                self.put_address(id, priority, address, "import", at)?;
            }
        }
        Ok((id, known.is_none()))
    }

    fn insert_member(&mut self, org: OrgId, member: &NewMember, at: Timestamp) -> Result<MemberId, StoreError> {
        let sql = "INSERT INTO members (org, login, login_folded, name, kana, department, language, password_hash, \
                   must_change, start_at, created_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?9, ?9)";
        let values = params![
            org,
            &member.login,
            member.login.folded(),
            &member.name,
            member.kana.as_ref(),
            member.department.as_ref(),
            member.language,
            member.password_hash.as_ref(),
            at,
        ];
        self.insert(sql, values).map(MemberId::new)
    }

    fn update_member(&mut self, known: &Member, member: &NewMember, at: Timestamp) -> Result<MemberId, StoreError> {
        let has_password = known.password_hash.is_some() || self.secret(START_PASSWORD, known.id.number())?.is_some();
        let hash = if has_password { &known.password_hash } else { &member.password_hash };
        let start_at = if has_password { known.start_at } else { Some(at) };
        let sql = "UPDATE members SET login = ?2, name = ?3, kana = ?4, department = ?5, language = ?6, \
                   password_hash = ?7, start_at = ?8, changed_at = ?9 WHERE id = ?1";
        let values = params![
            known.id,
            &member.login,
            &member.name,
            member.kana.as_ref(),
            member.department.as_ref(),
            member.language,
            hash.as_ref(),
            start_at,
            at,
        ];
        self.execute(sql, values)?;
        Ok(known.id)
    }

    /// Finds a member by organisation and ID.
    ///
    /// # Errors
    /// The database failed.
    pub fn member(&mut self, org: OrgId, login: &LoginId) -> Result<Option<Member>, StoreError> {
        let sql = format!("SELECT {COLUMNS} WHERE org = ?1 AND login_folded = ?2");
        self.one(&sql, params![org, login.folded()], read)
    }

    /// Finds a member by row.
    ///
    /// # Errors
    /// The database failed.
    pub fn member_by_id(&mut self, id: MemberId) -> Result<Option<Member>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} WHERE id = ?1"), params![id], read)
    }

    /// Gives at most `limit` members of an organisation by their IDs, those that come after `after`.
    ///
    /// # Errors
    /// The database failed.
    pub fn members(&mut self, org: OrgId, limit: usize, after: Option<&LoginId>) -> Result<Vec<Member>, StoreError> {
        let sql = format!("SELECT {COLUMNS} WHERE org = ?1 AND login_folded > ?2 ORDER BY login_folded LIMIT ?3");
        // No ID is empty, so all of them come after the empty text.
        let after = after.map(LoginId::folded).unwrap_or_default();
        self.query(&sql, params![org, after, limit], read)
    }

    /// Counts the members of an organisation.
    ///
    /// # Errors
    /// The database failed.
    pub fn member_count(&mut self, org: OrgId) -> Result<u64, StoreError> {
        let count = self.one("SELECT COUNT(*) FROM members WHERE org = ?1", params![org], |row| row.get(0))?;
        Ok(count.unwrap_or(0))
    }

    /// Gives the addresses of a member, by priority. Until this transaction ends, nobody else decides about them.
    ///
    /// # Errors
    /// The database failed.
    pub fn addresses_of(&mut self, member: MemberId) -> Result<Vec<(Priority, EmailAddress)>, StoreError> {
        self.guard()?;
        let sql = "SELECT priority, address FROM member_addresses WHERE member = ?1 ORDER BY priority";
        self.query(sql, params![member], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Writes an address into one of a member's places. `source` says who gave it: `import`, `registration`, ….
    ///
    /// # Errors
    /// The database failed, or there is no such member.
    pub fn put_address(
        &mut self,
        member: MemberId,
        priority: Priority,
        address: &EmailAddress,
        source: &'static str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO member_addresses (member, priority, address, folded, source, changed_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                   ON CONFLICT (member, priority) DO UPDATE SET address = excluded.address, folded = excluded.folded, \
                   source = excluded.source, changed_at = excluded.changed_at";
        self.execute(sql, params![member, priority, address, address.folded(), source, at]).map(drop)
    }

    /// Empties one of a member's places.
    ///
    /// # Errors
    /// The database failed.
    pub fn drop_address(&mut self, member: MemberId, priority: Priority) -> Result<(), StoreError> {
        let sql = "DELETE FROM member_addresses WHERE member = ?1 AND priority = ?2";
        self.execute(sql, params![member, priority]).map(drop)
    }

    /// Sets the password a member chose: it need not be changed any more, and the sealed start password is wiped.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_password(&mut self, member: MemberId, hash: &str, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE members SET password_hash = ?2, must_change = 0, start_at = NULL, changed_at = ?3 \
                   WHERE id = ?1";
        self.execute(sql, params![member, hash, at])?;
        self.wipe_secret(START_PASSWORD, member.number())
    }

    /// Takes a member's password away, whoever gave it; the next one is a start password, given at that moment.
    ///
    /// # Errors
    /// The database failed.
    pub fn take_password(&mut self, member: MemberId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE members SET password_hash = NULL, must_change = 1, start_at = ?2, changed_at = ?2 \
                   WHERE id = ?1";
        self.execute(sql, params![member, at])?;
        self.wipe_secret(START_PASSWORD, member.number())
    }

    /// Notes a login.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_login(&mut self, member: MemberId, at: Timestamp) -> Result<(), StoreError> {
        self.execute("UPDATE members SET last_login = ?2 WHERE id = ?1", params![member, at]).map(drop)
    }

    /// Sets the language of a member's pages and mails.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_language(&mut self, member: MemberId, language: Language) -> Result<(), StoreError> {
        self.execute("UPDATE members SET language = ?2 WHERE id = ?1", params![member, language]).map(drop)
    }
}
