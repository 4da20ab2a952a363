"""Virtual keys: made once, kept as a digest, known again, taken back."""

import re

import pytest

from fungible import keys
from fungible.account import Key
from fungible.faults import Fault
from fungible.keys import KeyRing, create, digest, looks_like_key, new_secret
from fungible.store import Store
from tests.work import lines


def refusal(ring: KeyRing, secret: str | bytes | None) -> Fault:
    with pytest.raises(Fault) as refused:
        ring.check(secret)
    return refused.value


def test_a_key_is_shown_once_and_known_again(tmp_path):
    store = Store(tmp_path)
    key, secret = create(
        store,
        "alice",
        now_ms=5,
        budget_usd="12.5",
        window="week",
        rpm=60,
        tpm=9_000,
        models=("a/*", " b "),
        team="blue",
    )
    assert key == Key(
        id=key.id, name="alice", created_ms=5, team="blue", models=("a/*", "b"), rpm=60, tpm=9_000,
        budget_nanousd=12_500_000_000, window="week",
    )  # fmt: skip
    assert re.fullmatch(r"fk-[0-9a-z]{10}-[0-9A-Za-z]{49}", secret)
    assert secret.startswith(f"fk-{key.id}-")
    ring = KeyRing.load(store)
    assert ring.check(secret) == ring.check(secret.encode()) == ring.by_id(key.id) == key
    assert len(ring) == 1


def test_the_secret_is_nowhere_in_the_state_folder(tmp_path):
    store = Store(tmp_path)
    _, secret = create(store, "alice", now_ms=5)
    store.close()
    random_part = secret.rpartition("-")[2][:20].encode()
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert files
    assert not any(random_part in p.read_bytes() for p in files)
    assert any(digest(secret) in p.read_bytes() for p in files)
    assert secret not in repr(Store(tmp_path).keys())


def test_unknown_and_revoked_keys_are_answered_alike(tmp_path):
    store = Store(tmp_path)
    key, secret = create(store, "alice", now_ms=5)
    store.revoke_key(key.id, 6)
    ring = KeyRing.load(store)
    revoked, unknown, garbage = (refusal(ring, s) for s in (secret, new_secret(key.id), "\ud800\0' OR 1=1"))
    assert revoked == unknown == garbage
    assert revoked.kind == "authentication"
    assert "fungible keys create" in revoked.message


@pytest.mark.parametrize("nothing", [None, "", b""])
def test_a_missing_key_is_told_how_to_get_one(nothing):
    fault = refusal(KeyRing({}), nothing)
    assert (fault.kind, fault.status) == ("authentication", 401)
    assert "fungible keys create" in fault.message


def test_revoking_is_seen_by_the_version_and_keeps_the_row(tmp_path):
    store, other = Store(tmp_path), Store(tmp_path)
    create(store, "alice", now_ms=5)
    ring = KeyRing.load(other)
    assert other.keys_version() == ring.version
    assert store.revoke_key("alice", 6).revoked_ms == 6
    assert other.keys_version() != ring.version
    assert len(KeyRing.load(other)) == 0
    ((row, _),) = store.keys()
    assert (row.name, row.revoked_ms) == ("alice", 6)
    with pytest.raises(Fault) as again:
        store.revoke_key("alice", 7)
    assert again.value.kind == "not_found"


def test_a_name_may_be_used_again_after_revoking(tmp_path):
    store = Store(tmp_path)
    create(store, "alice", now_ms=5)
    with pytest.raises(Fault) as taken:
        create(store, "alice", now_ms=6)
    assert taken.value.kind == "conflict"
    store.revoke_key("alice", 7)
    create(store, "alice", now_ms=8)
    assert len(KeyRing.load(store)) == 1


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"budget_usd": "0"}, "budget_usd"),
        ({"budget_usd": "-3"}, "budget_usd"),
        ({"budget_usd": "ten"}, "budget_usd"),
        ({"budget_usd": "nan"}, "budget_usd"),
        ({"budget_usd": "1e30"}, "budget_usd"),
        ({"budget_usd": "0.0000000001"}, "budget_usd"),
        ({"window": "year"}, "window"),
        ({"rpm": 0}, "rpm"),
        ({"tpm": 2**70}, "tpm"),
        ({"models": ("a", "")}, "models"),
        ({"models": ("a\nb",)}, "models"),
    ],
)
def test_a_limit_that_is_none_is_refused_by_name(tmp_path, wrong, path):
    store = Store(tmp_path)
    with pytest.raises(Fault) as refused:
        create(store, "alice", now_ms=5, **wrong)
    assert (refused.value.kind, refused.value.path) == ("bad_request", path)
    assert store.keys() == []


@pytest.mark.parametrize("name", ["", " ", "x" * 129, "a\nb", "\x1b[31m"])
def test_a_name_is_printable(tmp_path, name):
    with pytest.raises(Fault):
        create(Store(tmp_path), name, now_ms=5)


def test_a_checksum_tells_a_key_from_a_lookalike():
    secret = new_secret("0123456789")
    assert looks_like_key(secret)
    assert not looks_like_key(secret[:-1])
    assert not looks_like_key(secret + "0")
    for at in range(len(keys.PREFIX), len(secret)):
        other = "0" if secret[at] != "0" else "1"
        assert not looks_like_key(secret[:at] + other + secret[at + 1 :])
    assert not looks_like_key("sk-ant-something-else-that-is-as-long-as-a-fungible-key-is-000000000")


def test_secrets_do_not_repeat_and_use_the_whole_alphabet():
    made = [new_secret("0123456789") for _ in range(300)]
    assert len(set(made)) == 300
    assert set("".join(s[14:57] for s in made)) == set(keys._ALPHABET)


def test_looking_up_is_a_hash_once_and_then_a_glance(tmp_path):
    store = Store(tmp_path)
    secret = create(store, "alice", now_ms=5)[1].encode()
    ring = KeyRing.load(store)
    store.close()
    assert lines(lambda: ring.check(secret)) <= 15
    assert lines(lambda: ring.check(secret)) <= 5
