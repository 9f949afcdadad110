-- What people are to be told. Written together with what it tells of; the notifier routes it.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The story it belongs to.
    key TEXT NOT NULL,
    phase TEXT NOT NULL,
    severity TEXT NOT NULL,
    topic TEXT NOT NULL,
    source TEXT,
    item TEXT,
    environment TEXT,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    link TEXT,
    -- Times in microseconds of Unix time.
    at BIGINT NOT NULL,
    proposal BIGINT,
    -- A list in JSON; by the routes when empty.
    receivers TEXT NOT NULL,
    routed BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX notices_to_route ON notices (id) WHERE routed = 0;
CREATE INDEX notices_of_story ON notices (key, id);
CREATE INDEX notices_by_time ON notices (at);

-- One row per receiver that a notice is for.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    notice BIGINT NOT NULL,
    receiver TEXT NOT NULL,
    -- queued, sending, sent, dropped, superseded
    state TEXT NOT NULL,
    -- Why it is sent: first, worse, repeat, recovered, event.
    reason TEXT NOT NULL,
    queued_at BIGINT NOT NULL,
    -- The end of quiet hours that it waits for; 0 for none.
    hold_until BIGINT NOT NULL,
    -- When it is tried next.
    due_at BIGINT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    -- 1 once a try may have arrived though nobody said so.
    unsure BIGINT NOT NULL DEFAULT 0,
    last_error TEXT,
    -- The process that sends it, and until when it is believed to live.
    owner TEXT,
    lease BIGINT,
    sent_at BIGINT,
    -- What the other side calls the message.
    remote_id TEXT,
    UNIQUE (notice, receiver)
);

CREATE INDEX deliveries_open ON deliveries (receiver, id) WHERE state IN ('queued', 'sending');

-- What each receiver was told last of each story.
CREATE TABLE told (
    receiver TEXT NOT NULL,
    key TEXT NOT NULL,
    phase TEXT NOT NULL,
    severity TEXT NOT NULL,
    -- When what was told happened, and when it was told.
    at BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    remote_id TEXT,
    PRIMARY KEY (receiver, key)
);
