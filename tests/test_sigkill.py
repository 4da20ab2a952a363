"""SIGKILL at random moments under load: every attempt that a provider saw is in the ledger, once, and closed.

Client threads call a real server without pause, providers note the id of each attempt they are asked for,
and the server is killed and started again, some times before it is ready. What was under way when it died
is `unknown`; money that a budget held for it is posted, and nothing stays pending.
"""

import http.client
import json
import random
import threading
import time
from pathlib import Path

import pytest

from fungible.store import Budgets, Store
from tests.faulty import CHAT, MESSAGES, Faulty
from tests.serving import Running
from tests.upstream import Upstream

THREADS = 6
PATHS = ("/v1/chat/completions", "/v1/messages")
MODELS = ("alpha/good", "alpha/soon", "beta/good", "beta/soon", "over")
PRICE = "input_usd_per_mtok = 2.50\noutput_usd_per_mtok = 10.00\n"
MORE = '[route.over]\ntargets = ["alpha/529", "beta/soon"]\n' + "".join(
    f'[model."{name}"]\n{PRICE}' for name in (*MODELS[:4], "alpha/529")
)


class Load:
    """Threads that call, come what may."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.key = key
        self.answered: list[int] = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._call, args=(n,), daemon=True) for n in range(THREADS)]

    def _call(self, number: int) -> None:
        chance = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        while not self.stopping.is_set():
            messages = [{"role": "user", "content": "Hi"}]
            body = {
                "model": chance.choice(MODELS),
                "messages": messages,
                "max_tokens": 9,
                "stream": chance.random() < 0.5,
            }
            try:
                connection.request(
                    "POST", chance.choice(PATHS), json.dumps(body), {"authorization": f"Bearer {self.key}"}
                )
                if connection.getresponse().read():
                    self.answered.append(number)
            except (OSError, http.client.HTTPException):
                connection.close()
                time.sleep(0.02)
        connection.close()

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(10)


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.long)])
def test_a_killed_server_has_every_attempt_that_was_sent(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    alpha, beta = Faulty(CHAT), Faulty(MESSAGES)
    with Upstream(alpha) as one, Upstream(beta) as two:
        running = Running(tmp_path, one.base, two.base, more=MORE)
        rich = running.program("keys", "create", "--name", "rich", "--budget-usd", "1000000")
        with Load(running.port, rich["key"]) as load:
            for kill in range(kills):
                time.sleep(chance.uniform(0.0, 0.5))
                running.kill()
                running.start(wait=kill % 5 != 3)
            running.kill()
    store = Store(tmp_path / "state")
    store.fold()
    rows = list(store.attempts())
    seen = [*alpha.attempts, *beta.attempts]
    states = {row["attempt"]: row["state"] for row in rows}
    missing, twice = set(seen) - set(states), len(rows) - len(states)
    unknown = sum(state == "unknown" for state in states.values())
    story = f"{kills} kills, {len(load.answered)} answers, {len(seen)} attempts seen, {len(rows)} rows, {unknown} unknown"
    print(f"{story}, {len(missing)} missing, {twice} duplicated")
    assert not missing and not twice, story
    assert len(seen) > 10 * kills, f"there was no load: {story}"
    assert "open" not in states.values(), story
    assert unknown <= (kills + 1) * THREADS, story
    assert store.check() == [] and all(
        book.pending == 0 for book in Budgets(tmp_path / "state", "test").budgets()
    )
    for row in rows:
        if row["state"] == "settled":
            assert row["cost_nanousd"] == row["input_tokens"] * 2_500 + row["output_tokens"] * 10_000
    store.close()
    assert "Traceback" not in running.said()
