-- The same as in SQLite, whose indexes hold the row's number in any case.

-- Why a job was put off, and how long the operator kept it back: since when, and before that.
ALTER TABLE jobs
    ADD COLUMN last_cause TEXT,
    ADD COLUMN held_at BIGINT,
    ADD COLUMN held_ms BIGINT NOT NULL DEFAULT 0 CHECK (held_ms >= 0),
    ADD CHECK ((state = 'held') = (held_at IS NOT NULL));
ALTER TABLE history
    ADD COLUMN last_cause TEXT,
    ADD COLUMN held_ms BIGINT NOT NULL DEFAULT 0 CHECK (held_ms >= 0);

-- An alert's jobs are all due at the same moment: their numbers decide, and must not have to be sorted.
DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (class_rank, due, id) WHERE state IN ('queued', 'deferred', 'unknown');
-- What may be claimed for one domain, so that the backlog of the others costs nothing.
CREATE INDEX jobs_lanes ON jobs (class_rank, domain, due, id) WHERE state IN ('queued', 'deferred', 'unknown');
-- Whose time is over, however it waits.
CREATE INDEX jobs_give_up ON jobs (give_up, id);

-- The day (counted from 1970, Japan's time) on which the address was unknown first, with no mail taken for it since.
ALTER TABLE addresses ADD COLUMN unknown_day BIGINT;
CREATE INDEX addresses_suppressed ON addresses (folded) WHERE state = 'suppressed';

-- What deliveries to a domain have shown: whether its servers take an odd local part only unquoted; when TLS was had there
-- last, and since when it is missing.
CREATE TABLE domains (
    domain          TEXT    NOT NULL PRIMARY KEY,
    raw_local       BIGINT  NOT NULL DEFAULT 0 CHECK (raw_local IN (0, 1)),
    tls_seen_at     BIGINT,
    tls_missed_at   BIGINT
);

-- Policies that domains publish for mail to them (MTA-STS, RFC 8461); `mx` is a list in JSON.
CREATE TABLE sts_policies (
    domain      TEXT    NOT NULL PRIMARY KEY,
    id          TEXT    NOT NULL,
    mode        TEXT    NOT NULL CHECK (mode IN ('enforce', 'testing', 'none')),
    mx          TEXT    NOT NULL,
    max_age     BIGINT  NOT NULL CHECK (max_age >= 0),
    fetched_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL
);

CREATE INDEX sts_policies_expires ON sts_policies (expires_at);

CREATE INDEX used_links_used ON used_links (used_at);
