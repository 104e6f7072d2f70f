//! Test mails to the addresses members typed, and what came of them.

use crate::model::{ContactTestId, EmailAddress, JobId, MemberId, Timestamp};
use crate::store::sql::{Row, params};
use crate::store::{StoreError, Tx};

/// A test of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactTest {
    /// Its number.
    pub id: ContactTestId,
    /// Who ordered it.
    pub member: MemberId,
    /// The address as it was typed.
    pub address: EmailAddress,
    /// The mail; nothing where the address is not written to.
    pub job: Option<JobId>,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// When its link ends.
    pub expires: Timestamp,
    /// When something opened its page first: a person or a scanner, so it proves nothing.
    pub opened_at: Option<Timestamp>,
    /// When somebody pressed the button on that page.
    pub arrived_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, member, address, job, ordered_at, expires, opened_at, arrived_at FROM contact_tests";

fn read(row: &Row<'_>) -> Result<ContactTest, StoreError> {
    Ok(ContactTest {
        id: row.get(0)?,
        member: row.get(1)?,
        address: row.get(2)?,
        job: row.find(3)?,
        ordered_at: row.get(4)?,
        expires: row.get(5)?,
        opened_at: row.find(6)?,
        arrived_at: row.find(7)?,
    })
}

impl Tx<'_> {
    /// Remembers a test that was ordered; its mail comes with [`Tx::send_contact_test`].
    ///
    /// # Errors
    /// The database failed, or there is no such member.
    pub fn begin_contact_test(
        &mut self,
        member: MemberId,
        address: &EmailAddress,
        at: Timestamp,
        expires: Timestamp,
    ) -> Result<ContactTestId, StoreError> {
        let sql =
            "INSERT INTO contact_tests (member, address, folded, ordered_at, expires) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.insert(sql, params![member, address, address.folded(), at, expires]).map(ContactTestId::new)
    }

    /// Notes the mail of a test.
    ///
    /// # Errors
    /// The database failed.
    pub fn send_contact_test(&mut self, id: ContactTestId, job: JobId) -> Result<(), StoreError> {
        self.execute("UPDATE contact_tests SET job = ?2 WHERE id = ?1", params![id, job]).map(drop)
    }

    /// Finds a test by its number.
    ///
    /// # Errors
    /// The database failed.
    pub fn contact_test(&mut self, id: ContactTestId) -> Result<Option<ContactTest>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} WHERE id = ?1"), params![id], read)
    }

    /// Finds the test that a member ordered last.
    ///
    /// # Errors
    /// The database failed.
    pub fn last_contact_test(&mut self, member: MemberId) -> Result<Option<ContactTest>, StoreError> {
        let sql = format!("SELECT {COLUMNS} WHERE member = ?1 ORDER BY ordered_at DESC, id DESC LIMIT 1");
        self.one(&sql, params![member], read)
    }

    /// Gives at most `limit` tests that a member ordered for one address, the last one first.
    ///
    /// # Errors
    /// The database failed.
    pub fn contact_tests_of(
        &mut self,
        member: MemberId,
        address: &EmailAddress,
        limit: usize,
    ) -> Result<Vec<ContactTest>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} WHERE member = ?1 AND folded = ?2 ORDER BY ordered_at DESC, id DESC LIMIT ?3");
        self.query(&sql, params![member, address.folded(), limit], read)
    }

    /// Says when a member ordered tests after `after`, the last one first. Until this transaction ends, nobody else decides
    /// about another one.
    ///
    /// # Errors
    /// The database failed.
    pub fn contact_tests_by(&mut self, member: MemberId, after: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
        self.guard()?;
        let sql = "SELECT ordered_at FROM contact_tests WHERE member = ?1 AND ordered_at > ?2 ORDER BY ordered_at DESC";
        self.query(sql, params![member, after], |row| row.get(0))
    }

    /// Says when anybody ordered tests of an address after `after`, the last one first. Until this transaction ends, nobody
    /// else decides about another one.
    ///
    /// # Errors
    /// The database failed.
    pub fn contact_tests_to(&mut self, address: &EmailAddress, after: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
        self.guard()?;
        let sql = "SELECT ordered_at FROM contact_tests WHERE folded = ?1 AND ordered_at > ?2 ORDER BY ordered_at DESC";
        self.query(sql, params![address.folded(), after], |row| row.get(0))
    }

    /// Notes that something opened the page of a test; false where that was noted before.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_test_opened(&mut self, id: ContactTestId, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE contact_tests SET opened_at = ?2 WHERE id = ?1 AND opened_at IS NULL";
        Ok(self.execute(sql, params![id, at])? == 1)
    }

    /// Notes that somebody pressed the button on the page of a test; false where that was noted before.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_test_arrived(&mut self, id: ContactTestId, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE contact_tests SET arrived_at = ?2 WHERE id = ?1 AND arrived_at IS NULL";
        Ok(self.execute(sql, params![id, at])? == 1)
    }

    /// Forgets at most `limit` tests whose links ended before `before`, the oldest first; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_contact_tests(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM contact_tests WHERE id IN \
                   (SELECT id FROM contact_tests WHERE expires < ?1 ORDER BY expires LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }
}
