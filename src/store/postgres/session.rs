//! One connection to PostgreSQL, and the statements prepared on it.

use crate::store::StoreError;
use crate::store::dialect::{BEGIN_READ, BEGIN_WRITE, GUARD, MIGRATING, SETTINGS, for_postgres};
use crate::store::migrate::{APPLIED, POSTGRES, REMEMBER, Schema, TABLE, missing, newest};
use crate::store::sql::{Param, Row};
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::config::{Host, SslMode};
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, NoTls, Statement};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long connecting may take, and how long sent bytes may stay unacknowledged.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a silent connection is believed in before it is asked.
const SILENCE: Duration = Duration::from_secs(30);
/// The port that need not be said.
const USUAL_PORT: u16 = 5432;
/// How many statements are kept prepared.
const STATEMENTS: usize = 512;

/// Where the server is and how it is spoken to.
#[derive(Clone)]
pub(in crate::store) struct Server {
    config: Config,
    tls: bool,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Purpose {
    /// Transactions that write.
    Write,
    /// Transactions that read a snapshot.
    Read,
}

/// A connection.
pub(in crate::store) struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
    purpose: Purpose,
    guarded: bool,
}

impl Server {
    /// Reads the URL of a database. TLS is spoken where it says `sslmode=require`.
    pub(in crate::store) fn parse(url: &str) -> Result<Self, StoreError> {
        // The URL may hold a password, so the complaint does not repeat it.
        let mut config: Config =
            url.parse().map_err(|error: postgres::Error| StoreError::Location(describe(&error)))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        if config.get_application_name().is_none() {
            config.application_name("karamail");
        }
        config.keepalives_idle(SILENCE).keepalives_interval(PATIENCE).keepalives_retries(3);
        let tls = config.get_ssl_mode() == SslMode::Require;
        Ok(Self { config, tls })
    }

    /// Opens a connection.
    pub(in crate::store) fn connect(&self, purpose: Purpose) -> Result<Session, StoreError> {
        let mut client = if self.tls { self.config.connect(tls()?)? } else { self.config.connect(NoTls)? };
        client.batch_execute(SETTINGS)?;
        Ok(Session { client, statements: HashMap::new(), purpose, guarded: false })
    }
}

fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Other(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

impl Session {
    /// Says whether the connection is gone.
    pub(in crate::store) fn is_lost(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs statements without parameters, such as `COMMIT`.
    pub(in crate::store) fn say(&mut self, sql: &str) -> Result<(), StoreError> {
        Ok(self.client.batch_execute(sql)?)
    }

    /// Begins a transaction; in one that writes, the first savepoint.
    pub(in crate::store) fn begin(&mut self) -> Result<(), StoreError> {
        self.guarded = false;
        self.say(match self.purpose {
            Purpose::Write => BEGIN_WRITE,
            Purpose::Read => BEGIN_READ,
        })
    }

    /// Keeps what was done since the savepoint, and sets the next one.
    pub(in crate::store) fn keep_work(&mut self) -> Result<(), StoreError> {
        self.say("RELEASE work; SAVEPOINT work")
    }

    /// Undoes what was done since the savepoint, which stays; the locks taken since then are gone, too.
    pub(in crate::store) fn undo_work(&mut self) -> Result<(), StoreError> {
        self.guarded = false;
        self.say("ROLLBACK TO work")
    }

    /// Lets nobody else decide on anything until the transaction ends; a transaction that reads decides nothing.
    pub(in crate::store) fn guard(&mut self) -> Result<(), StoreError> {
        if self.purpose == Purpose::Write && !self.guarded {
            self.say(GUARD)?;
            self.guarded = true;
        }
        Ok(())
    }

    /// Runs a statement that answers nothing; gives how many rows it touched.
    pub(in crate::store) fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let statement = self.prepare(sql)?;
        Ok(self.client.execute(&statement, &bound(params))?)
    }

    /// Inserts one row into a table numbered by `id`; gives the number.
    pub(in crate::store) fn insert(&mut self, sql: &str, params: &[Param<'_>]) -> Result<i64, StoreError> {
        let numbers = self.query(&format!("{sql} RETURNING id"), params, |row| row.get(0))?;
        numbers.first().copied().ok_or_else(|| StoreError::Other(String::from("a row inserted has no number")))
    }

    /// Runs a statement and reads every row of its answer.
    pub(in crate::store) fn query<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let statement = self.prepare(sql)?;
        let rows = self.client.query(&statement, &bound(params))?;
        rows.iter().map(|row| read(&Row::Postgres(row))).collect()
    }

    /// Runs a statement without parameters that is not worth keeping, and reads every row of its answer.
    pub(in crate::store) fn query_once<T>(
        &mut self,
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.client.query(sql, &[])?;
        rows.iter().map(|row| read(&Row::Postgres(row))).collect()
    }

    /// Writes rows by a `COPY … FROM STDIN (FORMAT binary)`, the quickest way in.
    pub(in crate::store) fn copy_in<'a>(
        &mut self,
        sql: &str,
        types: &[Type],
        rows: impl Iterator<Item = Vec<Param<'a>>>,
    ) -> Result<(), StoreError> {
        let mut writer = BinaryCopyInWriter::new(self.client.copy_in(sql)?, types);
        for row in rows {
            writer.write(&bound(&row))?;
        }
        writer.finish()?;
        Ok(())
    }

    fn prepare(&mut self, sql: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        // Lists of conditions make statements of many lengths; those of long ago are forgotten.
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        let statement = self.client.prepare(&for_postgres(sql))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Brings the schema up to date, which one of several nodes does; says how far it had come.
    pub(in crate::store) fn migrate(&mut self) -> Result<Schema, StoreError> {
        self.say(BEGIN_WRITE)?;
        let migrated = self.apply_missing();
        self.say(if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        migrated
    }

    /// The same, taken back at its end.
    pub(in crate::store) fn rehearse(&mut self) -> Result<(), StoreError> {
        self.say(BEGIN_WRITE)?;
        let applied = self.apply_missing();
        self.say("ROLLBACK")?;
        applied.map(drop)
    }

    /// Applies what is missing, in the transaction that is under way.
    pub(in crate::store) fn apply_missing(&mut self) -> Result<Schema, StoreError> {
        self.say(MIGRATING)?;
        self.say(TABLE)?;
        let applied = self.query(APPLIED, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for migration in missing(POSTGRES, &applied)? {
            self.say(migration.sql)?;
            self.execute(REMEMBER, &[migration.number.into(), migration.checksum().into()])?;
        }
        Ok(Schema { found: applied.len() as i64, known: newest(POSTGRES) })
    }
}

fn bound<'a>(params: &'a [Param<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

/// Shows the URL of a database without its password and options.
pub(in crate::store) fn show(url: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    out.write_str("postgres://")?;
    let Ok(config) = url.parse::<Config>() else { return out.write_str("?") };
    if let Some(user) = config.get_user() {
        write!(out, "{user}@")?;
    }
    for (place, host) in config.get_hosts().iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        match host {
            Host::Tcp(name) => write!(out, "{comma}{name}")?,
            Host::Unix(folder) => write!(out, "{comma}{}", folder.display())?,
        }
        if let Some(port) = config.get_ports().get(place).filter(|port| **port != USUAL_PORT) {
            write!(out, ":{port}")?;
        }
    }
    write!(out, "/{}", config.get_dbname().unwrap_or_default())
}

/// Says in one line what the server or the connection complained about, without the values it concerned.
pub(in crate::store) fn describe(error: &postgres::Error) -> String {
    use std::error::Error;
    match (error.as_db_error(), error.source()) {
        (Some(cause), _) => format!("{} (SQLSTATE {})", cause.message(), cause.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
