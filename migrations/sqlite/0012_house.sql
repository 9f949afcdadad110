-- Who or what asked for an action: alert, person or schedule.
ALTER TABLE actions ADD COLUMN origin TEXT NOT NULL DEFAULT 'alert';
-- Of an alert: its fingerprint and the start of the occurrence in nanoseconds of Unix time, where they are known.
ALTER TABLE actions ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
ALTER TABLE actions ADD COLUMN starts_at BIGINT;
-- Of a person: who, and which request. Of a schedule: its name, and the time that it was due.
ALTER TABLE actions ADD COLUMN asked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE actions ADD COLUMN request TEXT NOT NULL DEFAULT '';

UPDATE actions SET fingerprint = t.fingerprint, starts_at = t.starts_at
FROM (SELECT id, fingerprint, starts_at FROM alerts) t
WHERE actions.alert = t.id;
