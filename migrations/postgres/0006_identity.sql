-- Which store this is. One row.
CREATE TABLE store_identity (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    -- Microseconds of Unix time.
    made BIGINT NOT NULL,
    -- Why it isn't the store that was used before, until a person accepts it.
    doubt TEXT
);

-- How often each daemon wrote: one that finds fewer of its own writes than it made knows that some are gone.
CREATE TABLE store_writers (
    name TEXT PRIMARY KEY,
    beat BIGINT NOT NULL,
    at BIGINT NOT NULL
);

-- The switch is always there, so that one which can't be found is damage and not "off".
INSERT INTO switches (name, value, at, by) VALUES ('automation_paused', '0', 0, 'firedrill') ON CONFLICT (name) DO NOTHING;
