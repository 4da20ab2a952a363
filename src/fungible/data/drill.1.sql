CREATE TABLE felt (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    drill TEXT NOT NULL,
    harm REAL NOT NULL,
    beside REAL NOT NULL
) STRICT;
CREATE INDEX felt_drill ON felt (drill, seq);

PRAGMA user_version = 1;
