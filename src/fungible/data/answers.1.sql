CREATE TABLE answer (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    status TEXT NOT NULL,
    earlier TEXT,
    boot TEXT NOT NULL,
    items BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_created ON answer (created_ms);
CREATE TABLE conversation (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE item (
    seq INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    conversation TEXT NOT NULL,
    body BLOB NOT NULL,
    FOREIGN KEY (owner, conversation) REFERENCES conversation (owner, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX item_conversation ON item (owner, conversation);

PRAGMA user_version = 1;
