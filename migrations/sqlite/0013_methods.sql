-- What one method of proof found says nothing of what another did: the newest of each counts for itself.
ALTER TABLE verifications ADD COLUMN method TEXT NOT NULL DEFAULT 'reading';

CREATE TABLE proofs (
    archive BIGINT NOT NULL REFERENCES archives (id) ON DELETE CASCADE,
    method TEXT NOT NULL,
    -- The newest verification, and the newest that came to a conclusion.
    newest BIGINT NOT NULL,
    concluded BIGINT,
    PRIMARY KEY (archive, method)
);

INSERT INTO proofs (archive, method, newest, concluded)
SELECT id, 'reading', newest, concluded FROM archives WHERE newest IS NOT NULL;

-- Nobody reads these any more. SQLite can't drop them: a comment stands before them where the table is made.
UPDATE archives SET newest = NULL, concluded = NULL;

-- A level no longer stands for those below it. What was read as far as one of these had reached them.
INSERT INTO levels (source, item, level, at, root)
SELECT source, item, 2, at, root FROM levels WHERE level = 3
ON CONFLICT (source, item, level) DO UPDATE SET at = excluded.at, root = excluded.root WHERE excluded.at > levels.at;

INSERT INTO levels (source, item, level, at, root)
SELECT source, item, 1, at, root FROM levels WHERE level = 2
ON CONFLICT (source, item, level) DO UPDATE SET at = excluded.at, root = excluded.root WHERE excluded.at > levels.at;
