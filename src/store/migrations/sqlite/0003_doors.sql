-- What an organisation asks for (JSON; what is not there has its default).
ALTER TABLE orgs ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

-- When the password was typed, when a code passed, and the login before this one.
ALTER TABLE sessions ADD COLUMN password_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN code_at INTEGER;
ALTER TABLE sessions ADD COLUMN last_login INTEGER;

-- The name that a session had before its last step, and when that was: whoever presses a button twice is told so.
ALTER TABLE sessions ADD COLUMN name_before BLOB;
ALTER TABLE sessions ADD COLUMN renamed_at INTEGER;
CREATE INDEX sessions_name_before ON sessions (name_before) WHERE name_before IS NOT NULL;

-- When the administrator gave the password that is still to be changed.
ALTER TABLE members ADD COLUMN start_at INTEGER;
UPDATE members SET start_at = changed_at WHERE must_change = 1;

-- The second factors of a member. The secret of an app is sealed, in `secrets`; a code of a step that passed never passes
-- again. `ends` is set where the factor has to go once another is there, or at that moment.
CREATE TABLE factors (
    member      INTEGER NOT NULL REFERENCES members (id),
    kind        TEXT    NOT NULL CHECK (kind IN ('app', 'mail')),
    address     TEXT    CHECK ((kind = 'mail') = (address IS NOT NULL)),
    last_step   INTEGER CHECK (kind = 'app' OR last_step IS NULL),
    enrolled_at INTEGER NOT NULL,
    ends        INTEGER,
    PRIMARY KEY (member, kind)
) STRICT, WITHOUT ROWID;

-- One-time passwords sent by mail: known by their HMAC, each for one session and one purpose. Tries are counted before
-- they are judged. One without a job was not sent, as its address is not written to; it counts all the same.
CREATE TABLE challenges (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    member      INTEGER NOT NULL REFERENCES members (id),
    session     BLOB    NOT NULL CHECK (length(session) = 32),
    purpose     TEXT    NOT NULL CHECK (purpose IN ('login', 'enrol', 'confirm', 'doubt')),
    address     TEXT    NOT NULL,
    folded      TEXT    NOT NULL,
    proof       BLOB    NOT NULL CHECK (length(proof) = 32),
    job         INTEGER NOT NULL,
    sent_at     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
    ended_at    INTEGER
) STRICT;

CREATE INDEX challenges_session ON challenges (session, purpose);
CREATE INDEX challenges_expires ON challenges (expires);
CREATE INDEX challenges_member ON challenges (member, sent_at);
CREATE INDEX challenges_target ON challenges (folded, sent_at);

-- When members typed wrong codes, of whatever kind: after too many in a day the step is paused.
CREATE TABLE wrong_codes (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    member      INTEGER NOT NULL REFERENCES members (id),
    at          INTEGER NOT NULL
) STRICT;

CREATE INDEX wrong_codes_member ON wrong_codes (member, at);
CREATE INDEX wrong_codes_at ON wrong_codes (at);

-- The codes that let a member in who has lost the second factor: one, in place 0, or those of places 1 to 10.
-- A page showed them at one moment, and their owner said that they are kept at another.
CREATE TABLE backup_codes (
    member      INTEGER NOT NULL REFERENCES members (id),
    place       INTEGER NOT NULL CHECK (place BETWEEN 0 AND 10),
    hash        TEXT    NOT NULL,
    made_at     INTEGER NOT NULL,
    shown_at    INTEGER,
    kept_at     INTEGER CHECK (kept_at IS NULL OR shown_at IS NOT NULL),
    PRIMARY KEY (member, place)
) STRICT, WITHOUT ROWID;

-- Test mails to the addresses members typed, and what came of them. One without a job was not sent, as its address is not
-- written to; it counts all the same.
CREATE TABLE contact_tests (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    member      INTEGER NOT NULL REFERENCES members (id),
    address     TEXT    NOT NULL,
    folded      TEXT    NOT NULL,
    job         INTEGER,
    ordered_at  INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    opened_at   INTEGER,
    arrived_at  INTEGER
) STRICT;

CREATE INDEX contact_tests_member ON contact_tests (member, folded, ordered_at);
CREATE INDEX contact_tests_target ON contact_tests (folded, ordered_at);
CREATE INDEX contact_tests_expires ON contact_tests (expires);

-- What a member registered from the phone.
CREATE INDEX registrations_member ON registrations (member) WHERE member IS NOT NULL;

-- Forms that were half filled when the session ended: one a member, for the page of that hash; sealed, and given back to the
-- same member only.
CREATE TABLE drafts (
    member      INTEGER PRIMARY KEY REFERENCES members (id),
    page        BLOB    NOT NULL CHECK (length(page) = 32),
    sealed      BLOB    NOT NULL,
    kept_at     INTEGER NOT NULL
) STRICT;

CREATE INDEX drafts_kept ON drafts (kept_at);

-- What happened to members' doors: logins, factors, passwords, addresses. Each entry holds the hash of the one before it.
CREATE TABLE audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    org         INTEGER,
    member      INTEGER,
    by          TEXT    NOT NULL,
    fields      TEXT    NOT NULL,
    chain       BLOB    NOT NULL CHECK (length(chain) = 32)
) STRICT;

CREATE INDEX audit_member ON audit (member) WHERE member IS NOT NULL;
CREATE INDEX audit_at ON audit (at);
-- Where the log begins since the oldest entries were taken away.
CREATE INDEX audit_cuts ON audit (id) WHERE name = 'audit_trimmed';

-- Tries to log in to accounts that there are none of: counted for a while, and told in one entry of the audit log.
CREATE TABLE unknown_logins (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    since       INTEGER NOT NULL,
    tries       INTEGER NOT NULL CHECK (tries > 0)
) STRICT;

-- How many tries to log in to an account failed one after another, wherever they came from. Past a number of them a right
-- password from a stranger is confirmed by mail.
CREATE TABLE login_streaks (
    account     BLOB    NOT NULL PRIMARY KEY CHECK (length(account) = 32),
    failures    INTEGER NOT NULL CHECK (failures > 0),
    last_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX login_streaks_last ON login_streaks (last_at);
