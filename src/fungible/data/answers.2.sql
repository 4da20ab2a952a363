CREATE TABLE thought (
    name BLOB NOT NULL PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    parts BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX thought_created ON thought (created_ms);

PRAGMA user_version = 2;
