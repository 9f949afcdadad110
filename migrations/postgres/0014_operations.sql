-- Work of several steps that survives a crash between any two.
CREATE TABLE operations (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Asked for twice, it is there once.
    request TEXT NOT NULL UNIQUE,
    -- Who can perform it.
    kind TEXT NOT NULL,
    -- What it works on: nothing else works on that at the same time.
    subject TEXT NOT NULL,
    title TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    -- JSON: plan, deadline; and where it stands.
    frame TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Where it stands, for people.
    sentence TEXT NOT NULL,
    -- Rises with each change: who goes on from an older one has lost it.
    version BIGINT NOT NULL,
    -- The process that drives it, and until when it is believed to live.
    owner TEXT,
    lease BIGINT,
    -- Times in microseconds of Unix time.
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    ended BIGINT
);

CREATE UNIQUE INDEX operations_open ON operations (subject) WHERE ended IS NULL;

-- What was begun, before it was begun; and what came of it.
CREATE TABLE operation_steps (
    operation BIGINT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    -- Position in the plan.
    step BIGINT NOT NULL,
    -- ask, do, probe, tell, undo, would.
    doing TEXT NOT NULL,
    tries BIGINT NOT NULL,
    begun BIGINT NOT NULL,
    ended BIGINT,
    result TEXT,
    PRIMARY KEY (operation, number)
);

-- What people say to an operation, in the order in which they said it.
CREATE TABLE operation_words (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation BIGINT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    word TEXT NOT NULL,
    said_by TEXT NOT NULL,
    at BIGINT NOT NULL,
    heard BIGINT
);

CREATE INDEX operation_words_new ON operation_words (operation) WHERE heard IS NULL;
