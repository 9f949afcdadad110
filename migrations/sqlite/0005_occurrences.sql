-- An alert's end reaches what was told of it with another start: what was told last before that end is over too.
UPDATE alerts SET changed = 2,
    resolved_at = (SELECT MAX(o.resolved_at) FROM alerts o WHERE o.fingerprint = alerts.fingerprint)
WHERE resolved_at IS NULL
    AND last_received <= (SELECT MAX(o.resolved_at) FROM alerts o WHERE o.fingerprint = alerts.fingerprint);

-- One row per occurrence and receiver, with whatever starts it was told.
CREATE TABLE alerts_told (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint TEXT NOT NULL,
    -- Rises with each time that the alert begins.
    occurrence BIGINT NOT NULL,
    receiver TEXT NOT NULL,
    -- The start that was told first, and the one that was told last, in nanoseconds of Unix time.
    starts_at BIGINT NOT NULL,
    last_start BIGINT NOT NULL,
    -- 1 where the alert had been told to be over, and fired on.
    reopened BIGINT NOT NULL DEFAULT 0,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    generator_url TEXT NOT NULL,
    -- Times in microseconds of Unix time.
    first_received BIGINT NOT NULL,
    last_received BIGINT NOT NULL,
    times BIGINT NOT NULL,
    -- How often it was told to fire after it was over.
    late BIGINT NOT NULL DEFAULT 0,
    resolved_at BIGINT,
    -- 1 once it fired, 2 once it was resolved; and up to where the reactor has dealt with it.
    changed BIGINT NOT NULL,
    handled BIGINT NOT NULL DEFAULT 0,
    UNIQUE (fingerprint, occurrence, receiver)
);

-- No number is given twice: actions name them.
INSERT INTO sqlite_sequence (name, seq) SELECT 'alerts_told', seq FROM sqlite_sequence WHERE name = 'alerts';

-- What is open comes last: that is what the next word is about.
INSERT INTO alerts_told (id, fingerprint, occurrence, receiver, starts_at, last_start, labels, annotations, generator_url,
    first_received, last_received, times, resolved_at, changed, handled)
SELECT id, fingerprint,
    DENSE_RANK() OVER (
        PARTITION BY fingerprint ORDER BY CASE WHEN resolved_at IS NULL THEN 1 ELSE 0 END, starts_at),
    receiver, starts_at, starts_at, labels, annotations, generator_url, first_received, last_received, times, resolved_at,
    changed, handled
FROM alerts;

DROP TABLE alerts;
ALTER TABLE alerts_told RENAME TO alerts;
CREATE INDEX alerts_to_handle ON alerts (id) WHERE handled < changed;
CREATE INDEX alerts_by_time ON alerts (last_received);

-- How each alert stands: its last occurrence, for all receivers.
CREATE TABLE occurrences (
    fingerprint TEXT PRIMARY KEY,
    number BIGINT NOT NULL,
    -- Starts and ends as senders have them, in nanoseconds of Unix time.
    starts_at BIGINT NOT NULL,
    reopened BIGINT NOT NULL,
    earliest BIGINT NOT NULL,
    newest BIGINT NOT NULL,
    -- When its end was heard of, in microseconds of Unix time; and when it was.
    over_at BIGINT,
    over_until BIGINT,
    -- Since when it has been told to fire nevertheless, with which start, and how often for each receiver (in JSON).
    doubt_since BIGINT,
    doubt_start BIGINT,
    doubt_told TEXT,
    -- The latest start of the occurrence before.
    before_newest BIGINT
);

CREATE INDEX occurrences_in_doubt ON occurrences (doubt_since) WHERE doubt_since IS NOT NULL;

INSERT INTO occurrences
SELECT a.fingerprint, MAX(a.occurrence),
    (SELECT l.starts_at FROM alerts l WHERE l.fingerprint = a.fingerprint ORDER BY l.occurrence DESC LIMIT 1), 0,
    COALESCE(MIN(CASE WHEN a.resolved_at IS NULL THEN a.starts_at END), MAX(a.starts_at)), MAX(a.starts_at),
    CASE WHEN COUNT(*) = COUNT(a.resolved_at) THEN MAX(a.resolved_at) END,
    CASE WHEN COUNT(*) = COUNT(a.resolved_at) THEN MAX(a.resolved_at) * 1000 END,
    NULL, NULL, NULL,
    CASE WHEN COUNT(*) > COUNT(a.resolved_at) THEN MAX(CASE WHEN a.resolved_at IS NOT NULL THEN a.starts_at END) END
FROM alerts a
GROUP BY a.fingerprint;
