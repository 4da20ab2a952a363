CREATE TABLE switch (
    id TEXT PRIMARY KEY,
    route TEXT NOT NULL,
    plan BLOB NOT NULL,
    salt BLOB NOT NULL,
    state TEXT NOT NULL,
    stage INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE move (
    seq INTEGER PRIMARY KEY,
    switch TEXT NOT NULL REFERENCES switch (id),
    at_ms INTEGER NOT NULL,
    event TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    state_before TEXT NOT NULL,
    stage_before INTEGER NOT NULL,
    state TEXT NOT NULL,
    stage INTEGER NOT NULL,
    evidence BLOB NOT NULL
) STRICT;
CREATE INDEX move_switch ON move (switch);
CREATE TABLE evidence (
    switch TEXT NOT NULL REFERENCES switch (id),
    source TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (switch, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE unit (
    switch TEXT NOT NULL,
    source TEXT NOT NULL,
    key INTEGER NOT NULL,
    side TEXT NOT NULL,
    stage INTEGER NOT NULL,
    user INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    outcomes BLOB NOT NULL,
    PRIMARY KEY (switch, source, key, side, stage)
) STRICT, WITHOUT ROWID;
CREATE INDEX unit_open ON unit (switch, source, first_ms) WHERE closed = 0;
CREATE INDEX unit_side ON unit (switch, source, side, last_ms);
CREATE TABLE judged (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt TEXT NOT NULL,
    who TEXT NOT NULL,
    mark TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    scores BLOB NOT NULL,
    UNIQUE (attempt, who)
) STRICT;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES ('version', 0), ('switches', 0);

PRAGMA user_version = 1;
