//! Contracting organisations (団体).

use crate::model::{OrgCode, OrgId, Policy, Timestamp};
use crate::store::sql::{Row, params};
use crate::store::{StoreError, Tx};

/// A contracting organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    /// Its row.
    pub id: OrgId,
    /// What its members type.
    pub code: OrgCode,
    /// The title in its mails and pages.
    pub title: String,
    /// The same in English.
    pub title_en: Option<String>,
    /// What it asks for.
    pub policy: Policy,
    /// When it was added.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "id, code, title, title_en, settings, created_at FROM orgs";

fn read(row: &Row<'_>) -> Result<Org, StoreError> {
    let settings: String = row.get(4)?;
    Ok(Org {
        id: row.get(0)?,
        code: row.get(1)?,
        title: row.get(2)?,
        title_en: row.find(3)?,
        policy: serde_json::from_str(&settings).map_err(|error| StoreError::Corrupt(error.to_string()))?,
        created_at: row.get(5)?,
    })
}

impl Tx<'_> {
    /// Adds an organisation; gives nothing where there is one of that code.
    ///
    /// # Errors
    /// The database failed.
    pub fn add_org(
        &mut self,
        code: &OrgCode,
        title: &str,
        title_en: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<OrgId>, StoreError> {
        let sql = "INSERT INTO orgs (code, title, title_en, created_at) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (code) DO NOTHING RETURNING id";
        self.one(sql, params![code, title, title_en, at], |row| row.get(0))
    }

    /// Changes what is given of an organisation's titles; false where there is none of that code.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_org(&mut self, code: &OrgCode, title: Option<&str>, title_en: Option<&str>) -> Result<bool, StoreError> {
        let sql = "UPDATE orgs SET title = COALESCE(?2, title), title_en = COALESCE(?3, title_en) WHERE code = ?1";
        Ok(self.execute(sql, params![code, title, title_en])? == 1)
    }

    /// Sets what an organisation asks for; false where there is none of that code.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_policy(&mut self, code: &OrgCode, policy: &Policy) -> Result<bool, StoreError> {
        let settings = serde_json::to_string(policy).map_err(|error| StoreError::Other(error.to_string()))?;
        Ok(self.execute("UPDATE orgs SET settings = ?2 WHERE code = ?1", params![code, settings])? == 1)
    }

    /// Finds an organisation by its code.
    ///
    /// # Errors
    /// The database failed.
    pub fn org(&mut self, code: &OrgCode) -> Result<Option<Org>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} WHERE code = ?1"), params![code], read)
    }

    /// Finds the organisation whose code comes next, or else the first one.
    ///
    /// # Errors
    /// The database failed.
    pub fn org_after(&mut self, code: &OrgCode) -> Result<Option<Org>, StoreError> {
        let next = self.one(&format!("SELECT {COLUMNS} WHERE code > ?1 ORDER BY code LIMIT 1"), params![code], read)?;
        if next.is_some() {
            return Ok(next);
        }
        self.one(&format!("SELECT {COLUMNS} ORDER BY code LIMIT 1"), &[], read)
    }

    /// Finds an organisation by its row.
    ///
    /// # Errors
    /// The database failed.
    pub fn org_by_id(&mut self, id: OrgId) -> Result<Option<Org>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} WHERE id = ?1"), params![id], read)
    }

    /// Gives all organisations, by their codes.
    ///
    /// # Errors
    /// The database failed.
    pub fn orgs(&mut self) -> Result<Vec<Org>, StoreError> {
        self.query(&format!("SELECT {COLUMNS} ORDER BY code"), &[], read)
    }
}
