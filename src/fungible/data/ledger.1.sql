CREATE TABLE attempt (
    seq INTEGER PRIMARY KEY,
    attempt TEXT NOT NULL UNIQUE,
    call TEXT NOT NULL,
    n INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    key TEXT,
    route TEXT,
    dialect TEXT NOT NULL,
    stream INTEGER NOT NULL,
    tags TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'estimated', 'void', 'unknown')),
    started_ms INTEGER NOT NULL,
    first_ms INTEGER,
    ended_ms INTEGER,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_nanousd INTEGER,
    hold_nanousd INTEGER,
    price_id TEXT,
    provider_request_id TEXT,
    status INTEGER,
    fault TEXT,
    losses INTEGER NOT NULL DEFAULT 0,
    boot TEXT NOT NULL
) STRICT;
CREATE INDEX attempt_call ON attempt (call);
CREATE INDEX attempt_started ON attempt (started_ms);
CREATE INDEX attempt_open ON attempt (boot) WHERE state = 'open';
CREATE TABLE journal (name TEXT PRIMARY KEY, boot TEXT NOT NULL, offset INTEGER NOT NULL) STRICT;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES ('refused', 0), ('damaged', 0), ('keys', 0);
CREATE TABLE key (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    team TEXT,
    models TEXT NOT NULL,
    rpm INTEGER,
    tpm INTEGER,
    budget_nanousd INTEGER,
    "window" TEXT NOT NULL CHECK ("window" IN ('day', 'week', 'month')),
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT;

PRAGMA user_version = 1;
