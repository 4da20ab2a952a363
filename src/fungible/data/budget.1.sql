CREATE TABLE budget (
    key TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    cap INTEGER NOT NULL,
    posted INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (key, window_start)
) STRICT, WITHOUT ROWID;
CREATE TABLE hold (
    attempt TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    nanousd INTEGER NOT NULL CHECK (nanousd >= 0),
    boot TEXT NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;
