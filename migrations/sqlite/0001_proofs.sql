-- Archives that were seen, with the digest of their first reading.
CREATE TABLE archives (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- BLAKE3 of the three that follow: paths may be longer than an index takes.
    key TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    root TEXT NOT NULL,
    file TEXT NOT NULL,
    -- The file when it was first read; modified in nanoseconds of Unix time.
    size BIGINT,
    modified BIGINT,
    digest TEXT,
    -- Times in microseconds of Unix time.
    read_at BIGINT,
    seen_at BIGINT NOT NULL,
    sidecar TEXT,
    -- The newest verification, and the newest that came to a conclusion.
    newest BIGINT,
    concluded BIGINT
);

CREATE INDEX archives_of_source ON archives (source);

CREATE TABLE verifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    archive BIGINT NOT NULL REFERENCES archives (id) ON DELETE CASCADE,
    item TEXT NOT NULL,
    size BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    digest TEXT,
    wanted BIGINT NOT NULL,
    reached BIGINT,
    conclusion TEXT NOT NULL,
    findings TEXT NOT NULL,
    reason TEXT,
    evidence TEXT NOT NULL,
    started BIGINT NOT NULL,
    took BIGINT NOT NULL,
    read BIGINT NOT NULL,
    sidecar TEXT
);

CREATE INDEX verifications_of_archive ON verifications (archive);

-- When each level was last proven of any backup of an item.
CREATE TABLE levels (
    source TEXT NOT NULL,
    item TEXT NOT NULL,
    level BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (source, item, level)
);
