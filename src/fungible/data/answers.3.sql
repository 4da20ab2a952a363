CREATE TABLE event (
    owner TEXT NOT NULL,
    answer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (owner, answer, seq),
    FOREIGN KEY (owner, answer) REFERENCES answer (owner, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 3;
