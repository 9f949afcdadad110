-- An alert's end reaches what was told of it with another start: what was told last before that end is over too.
UPDATE alerts SET changed = 2, resolved_at = o.over
FROM (SELECT fingerprint, MAX(resolved_at) AS over FROM alerts GROUP BY fingerprint) o
WHERE alerts.resolved_at IS NULL AND alerts.fingerprint = o.fingerprint AND alerts.last_received <= o.over;

-- One row per occurrence and receiver, with whatever starts it was told.
ALTER TABLE alerts DROP CONSTRAINT alerts_fingerprint_starts_at_receiver_key;
-- Rises with each time that the alert begins.
ALTER TABLE alerts ADD COLUMN occurrence BIGINT NOT NULL DEFAULT 0;
-- The start that was told last, in nanoseconds of Unix time; starts_at is the one that was told first.
ALTER TABLE alerts ADD COLUMN last_start BIGINT NOT NULL DEFAULT 0;
-- 1 where the alert had been told to be over, and fired on.
ALTER TABLE alerts ADD COLUMN reopened BIGINT NOT NULL DEFAULT 0;
-- How often it was told to fire after it was over.
ALTER TABLE alerts ADD COLUMN late BIGINT NOT NULL DEFAULT 0;

-- What is open comes last: that is what the next word is about.
UPDATE alerts SET occurrence = r.number, last_start = starts_at
FROM (
    SELECT id, DENSE_RANK() OVER (
        PARTITION BY fingerprint ORDER BY CASE WHEN resolved_at IS NULL THEN 1 ELSE 0 END, starts_at) AS number
    FROM alerts
) r
WHERE alerts.id = r.id;

ALTER TABLE alerts ALTER COLUMN occurrence DROP DEFAULT;
ALTER TABLE alerts ALTER COLUMN last_start DROP DEFAULT;
ALTER TABLE alerts ADD UNIQUE (fingerprint, occurrence, receiver);

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
