-- Tokens of the API. A name is never given twice: it stands in the audit trail.
CREATE TABLE tokens (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- BLAKE3 of the token, in hexadecimal digits. A token is 256 random bits, so one fast hash without salt is enough.
    hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    -- Times in microseconds of Unix time.
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT,
    last_used BIGINT
);
