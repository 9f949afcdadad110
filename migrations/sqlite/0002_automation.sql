-- Alerts that were received: one row per fingerprint, start and receiver, however often each was told.
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint TEXT NOT NULL,
    -- Nanoseconds of Unix time.
    starts_at BIGINT NOT NULL,
    receiver TEXT NOT NULL,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    generator_url TEXT NOT NULL,
    -- Times in microseconds of Unix time.
    first_received BIGINT NOT NULL,
    last_received BIGINT NOT NULL,
    times BIGINT NOT NULL,
    resolved_at BIGINT,
    -- 1 once it fired, 2 once it was resolved; and up to where the reactor has dealt with it.
    changed BIGINT NOT NULL,
    handled BIGINT NOT NULL DEFAULT 0,
    UNIQUE (fingerprint, starts_at, receiver)
);

CREATE INDEX alerts_to_handle ON alerts (id) WHERE handled < changed;
CREATE INDEX alerts_by_time ON alerts (last_received);

CREATE TABLE actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- BLAKE3 of the fingerprint and start of the alert and of what is to be done: one intent, one row, for ever.
    key TEXT NOT NULL UNIQUE,
    alert BIGINT,
    rule TEXT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT,
    item TEXT,
    -- What a cooldown counts by.
    target TEXT NOT NULL,
    plan TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    created BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    expires BIGINT,
    decided_by TEXT,
    decided_at BIGINT,
    -- The process that does it, and until when it is believed to live.
    owner TEXT,
    lease BIGINT,
    tries BIGINT NOT NULL DEFAULT 0,
    started BIGINT,
    ended BIGINT,
    result TEXT,
    output TEXT
);

-- SQLite uses a partial index only for a query that holds its condition word for word.
CREATE INDEX actions_open ON actions (state, kind, id, created) WHERE state IN ('proposed', 'running', 'scheduled');
CREATE INDEX actions_denied ON actions (id) WHERE state = 'denied' AND owner IS NULL;
CREATE INDEX actions_of_alert ON actions (alert);
-- What cooldowns go by. What was only looked at (dry runs, what a cooldown held back) may be a thousand times more.
CREATE INDEX actions_of_target ON actions (kind, target, created)
WHERE (state IN ('denied', 'done', 'expired', 'failed', 'proposed', 'running', 'scheduled') OR started IS NOT NULL);
CREATE INDEX actions_of_rule ON actions (rule, created)
WHERE (state IN ('denied', 'done', 'expired', 'failed', 'proposed', 'running', 'scheduled') OR started IS NOT NULL);
CREATE INDEX actions_started ON actions (started, rule) WHERE kind <> 'notify' AND started IS NOT NULL;

-- Who or what did what, when and why. Lines are only ever added.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action BIGINT,
    event TEXT NOT NULL,
    detail TEXT NOT NULL
);

CREATE INDEX audit_of_action ON audit (action);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;

CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;

-- Switches that all daemons on this store obey.
CREATE TABLE switches (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    at BIGINT NOT NULL,
    by TEXT NOT NULL
);
