-- Times are milliseconds since 1970 UTC. `folded` columns hold an address in lower case: the form by which it is found.

CREATE TABLE orgs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    code        TEXT    NOT NULL UNIQUE,
    title       TEXT    NOT NULL,
    title_en    TEXT,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE members (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    org             INTEGER NOT NULL REFERENCES orgs (id),
    login           TEXT    NOT NULL,
    login_folded    TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    kana            TEXT,
    department      TEXT,
    language        TEXT    NOT NULL CHECK (language IN ('ja', 'en')),
    password_hash   TEXT,
    must_change     INTEGER NOT NULL CHECK (must_change IN (0, 1)),
    last_login      INTEGER,
    created_at      INTEGER NOT NULL,
    changed_at      INTEGER NOT NULL,
    UNIQUE (org, login_folded)
) STRICT;

CREATE TABLE member_addresses (
    member      INTEGER NOT NULL REFERENCES members (id),
    priority    INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 3),
    address     TEXT    NOT NULL,
    folded      TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (member, priority)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_addresses_folded ON member_addresses (folded);

-- What is known of an address, whoever holds it.
CREATE TABLE addresses (
    folded      TEXT NOT NULL PRIMARY KEY,
    address     TEXT NOT NULL,
    state       TEXT NOT NULL
        CHECK (state IN ('new', 'verified', 'accepted', 'filtered', 'full', 'unreachable', 'suppressed')),
    verdict     TEXT,
    stage       TEXT,
    reply       TEXT,
    changed_at  INTEGER,
    verified_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE mails (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    via         TEXT    NOT NULL,
    peer        TEXT    NOT NULL,
    helo        TEXT    NOT NULL,
    sender      TEXT,
    recipient   TEXT    NOT NULL,
    message_id  TEXT,
    size        INTEGER NOT NULL CHECK (size >= 0),
    received_at INTEGER NOT NULL,
    decision    TEXT    NOT NULL CHECK (decision IN ('answered', 'ignored', 'kept')),
    reason      TEXT
) STRICT;

-- Whole mails, for those that are handed on or looked at later; most are not kept.
CREATE TABLE mail_bodies (
    mail    INTEGER PRIMARY KEY REFERENCES mails (id),
    raw     BLOB    NOT NULL
) STRICT;

-- Mails that came before, so that the same one is answered once. Numbered in the order they came: trimmed from the front.
CREATE TABLE seen_mails (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint BLOB    NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    seen_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE budgets (
    scope       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    full_until  INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE registrations (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    address     TEXT    NOT NULL,
    folded      TEXT    NOT NULL,
    org         TEXT,
    state       TEXT    NOT NULL CHECK (state IN ('open', 'done', 'expired')),
    opened_at   INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    finished_at INTEGER,
    member      INTEGER REFERENCES members (id),
    priority    INTEGER CHECK (priority BETWEEN 1 AND 3),
    CHECK ((state = 'open') = (finished_at IS NULL)),
    CHECK ((state = 'done') = (member IS NOT NULL)),
    CHECK ((state = 'done') = (priority IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX registrations_open ON registrations (folded) WHERE state = 'open';

CREATE TABLE used_links (
    purpose     TEXT    NOT NULL,
    target      INTEGER NOT NULL,
    nonce       BLOB    NOT NULL,
    used_at     INTEGER NOT NULL,
    used_by     BLOB    NOT NULL CHECK (length(used_by) = 32),
    PRIMARY KEY (purpose, target)
) STRICT, WITHOUT ROWID;

-- Jobs that have not ended; those that have move to `history`, so that this table stays small.
CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    class_rank  INTEGER NOT NULL CHECK (class_rank BETWEEN 0 AND 5),
    recipient   TEXT    NOT NULL,
    folded      TEXT    NOT NULL,
    domain      TEXT    NOT NULL,
    content     TEXT    NOT NULL,
    language    TEXT    CHECK (language IN ('ja', 'en')),
    cause       INTEGER REFERENCES mails (id),
    queued_at   INTEGER NOT NULL,
    first_due   INTEGER NOT NULL,
    give_up     INTEGER NOT NULL,
    due         INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'sending', 'deferred', 'held', 'unknown')),
    attempts    INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    fence       INTEGER NOT NULL DEFAULT 0 CHECK (fence >= 0),
    lease_owner TEXT,
    lease_until INTEGER,
    last_stage  TEXT,
    last_code   INTEGER,
    last_reply  TEXT,
    CHECK ((state = 'sending') = (lease_owner IS NOT NULL)),
    CHECK ((state = 'sending') = (lease_until IS NOT NULL)),
    CHECK (state <> 'deferred' OR attempts > 0),
    CHECK (state <> 'unknown' OR attempts > 0),
    CHECK ((last_stage IS NULL) = (last_code IS NULL) AND (last_stage IS NULL) = (last_reply IS NULL))
) STRICT;

-- What may be claimed, by urgency and then by time: finding what is due costs no more than what is due.
CREATE INDEX jobs_waiting ON jobs (class_rank, due) WHERE state IN ('queued', 'deferred', 'unknown');
CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = 'sending';

CREATE TABLE history (
    id          INTEGER PRIMARY KEY,
    class_rank  INTEGER NOT NULL CHECK (class_rank BETWEEN 0 AND 5),
    recipient   TEXT    NOT NULL,
    folded      TEXT    NOT NULL,
    domain      TEXT    NOT NULL,
    content     TEXT    NOT NULL,
    language    TEXT    CHECK (language IN ('ja', 'en')),
    cause       INTEGER,
    queued_at   INTEGER NOT NULL,
    first_due   INTEGER NOT NULL,
    give_up     INTEGER NOT NULL,
    due         INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('accepted', 'refused', 'expired', 'suppressed', 'cancelled')),
    attempts    INTEGER NOT NULL CHECK (attempts >= 0),
    last_stage  TEXT,
    last_code   INTEGER,
    last_reply  TEXT,
    ended_at    INTEGER NOT NULL,
    CHECK (state NOT IN ('accepted', 'refused') OR attempts > 0),
    CHECK ((last_stage IS NULL) = (last_code IS NULL) AND (last_stage IS NULL) = (last_reply IS NULL))
) STRICT;

CREATE INDEX history_ended ON history (ended_at);

-- What must be readable again but never seen; sealed with a key that is not in this database.
CREATE TABLE secrets (
    purpose TEXT    NOT NULL,
    owner   INTEGER NOT NULL,
    sealed  BLOB    NOT NULL,
    PRIMARY KEY (purpose, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE login_failures (
    account     BLOB    NOT NULL CHECK (length(account) = 32),
    device      BLOB    NOT NULL CHECK (length(device) = 32),
    failures    INTEGER NOT NULL CHECK (failures > 0),
    open_at     INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;

CREATE INDEX login_failures_open ON login_failures (open_at);

CREATE TABLE sessions (
    hash        BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    member      INTEGER NOT NULL REFERENCES members (id),
    created_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    stage       TEXT    NOT NULL,
    language    TEXT    NOT NULL CHECK (language IN ('ja', 'en'))
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_member ON sessions (member);

-- The mail log, written with what it tells of.
CREATE TABLE events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    mail    INTEGER,
    job     INTEGER,
    address TEXT,
    folded  TEXT,
    fields  TEXT    NOT NULL
) STRICT;

CREATE INDEX events_mail ON events (mail) WHERE mail IS NOT NULL;
CREATE INDEX events_job ON events (job) WHERE job IS NOT NULL;
CREATE INDEX events_folded ON events (folded) WHERE folded IS NOT NULL;
