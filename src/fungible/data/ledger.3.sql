CREATE TABLE switched (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt INTEGER NOT NULL
) STRICT;
CREATE TRIGGER switched_at_once AFTER INSERT ON attempt
WHEN NEW.state != 'open' AND substr(NEW.tags, 1, 7) = 'switch='
BEGIN
    INSERT INTO switched (attempt) VALUES (NEW.seq);
END;
CREATE TRIGGER switched_later AFTER UPDATE OF state ON attempt
WHEN OLD.state = 'open' AND NEW.state != 'open' AND substr(NEW.tags, 1, 7) = 'switch='
BEGIN
    INSERT INTO switched (attempt) VALUES (NEW.seq);
END;

PRAGMA user_version = 3;
