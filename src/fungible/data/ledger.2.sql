ALTER TABLE attempt ADD COLUMN lost TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 2;
