"""The recorder behind a real server: what its callers saw is on disk, in every dialect, whatever happens."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fungible.dialects import DIALECTS, PROMPTED, SPOKEN
from fungible.dialects.base import MODEL
from fungible.faults import Fault
from fungible.ir import Message, Reply, Request, Text
from fungible.losses import Report
from fungible.recording import Recording
from fungible.recordings import Recordings, kept
from tests import sdks
from tests.answering import alpha_reply, beta_reply
from tests.forks import child, join
from tests.sdks import Reach
from tests.serving import Running
from tests.test_recordings import made
from tests.upstream import Upstream

RECORD = '\n[record."*"]\n'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Upstream(alpha_reply) as alpha, Upstream(beta_reply) as beta:
        running = Running(tmp_path_factory.mktemp("recorder"), alpha.base, beta.base, more=RECORD)
        yield running
        running.close()


def recorded(running: Running, call: str, seconds: float = 15) -> Recording:
    """The recording of a call, as soon as it is on disk."""
    shelf, last = Recordings(running.folder / "state"), time.monotonic() + seconds
    while time.monotonic() < last:
        found = shelf.get(call)
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{call} was not recorded: {running.said()}")


def ask(running: Running, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"{running.url}{path}", body, method="POST")
    for name, value in {"authorization": f"Bearer {running.key}", "content-type": "application/json"}.items():
        request.add_header(name, value)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def path_of(name: str, model: str, stream: bool) -> str:
    dialect = SPOKEN[name]
    for path in dialect.client_paths:
        if MODEL not in path:
            return path
    return dialect.address(model, "chat", stream)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", [*DIALECTS, *PROMPTED])
@pytest.mark.parametrize("model", ["alpha/one", "beta/two"])
def test_every_dialect_is_recorded_as_its_caller_saw_it(
    running: Running, name: str, stream: bool, model: str
) -> None:
    dialect, report = SPOKEN[name], Report()
    said = Request(model=model, messages=(Message(role="user", parts=(Text(text="Hello"),)),), stream=stream)
    body = dialect.write_request(said, report, frozenset())
    path = path_of(name, model, stream)
    if path.startswith("/model/") or ":" in path:
        path = path.replace(model, model.replace("/", "%2F"))
    status, headers, answer = ask(running, path, body)
    assert status == 200, answer
    found = recorded(running, headers["x-fungible-call"])
    assert (found.dialect, found.route, found.status, found.fault) == (name, model, 200, "")
    assert json.loads(bytes(found.request)) == json.loads(body)
    assert found.target == model and found.stream is stream and found.duration_ms > 0
    assert (found.first_ms is not None) is stream and found.input_tokens and found.cost_nanousd
    reply = found.answered()
    assert isinstance(reply, Reply)
    text = "".join(p.text for p in reply.choices[0].parts if isinstance(p, Text))
    assert text.replace(" ", "") == f"Hellofrom{model[:-4].strip('/')}"  # its streams have no spaces
    if not stream:
        assert found.reply is not None
        told, kept_reply = json.loads(answer), json.loads(bytes(found.reply))
        if dialect.keeping is not None:  # its id is given by whoever keeps answers, after the recorder
            told["id"] = kept_reply["id"]
        assert kept_reply == told
    asked = found.asked()
    assert asked.model == model and asked.stream is stream and asked.messages[-1].role == "user"


@pytest.mark.parametrize("kind", [sdks.OpenAI, sdks.Anthropic, sdks.Boto3], ids=lambda k: k.__name__)
def test_official_sdks_and_their_dialogues(running: Running, kind: type[sdks.Sdk]) -> None:
    shelf = Recordings(running.folder / "state")
    before = {r.id for r in shelf.read()}
    sdk = kind(Reach(running, None))
    assert sdk.chat("alpha/one") == "Hello from alpha"
    assert "".join(sdk.stream("beta/two"))
    sdk.tools("alpha/one")  # two turns: the model asks for tools, and is told what they said
    last = time.monotonic() + 15
    fresh: list[Recording] = []
    while len(fresh) < 4 and time.monotonic() < last:
        time.sleep(0.2)
        fresh = [r for r in shelf.read() if r.id not in before]
    assert len(fresh) == 4 and all(isinstance(r.answered(), Reply) for r in fresh)
    turns = [r for r in fresh if r.asked().tools]
    assert len(turns) == 2 and turns[0].group == turns[1].group != ""


def test_refusals_tags_and_groups(running: Running) -> None:
    body = json.dumps({"model": "alpha/one", "messages": [{"role": "user", "content": "refuse me"}]}).encode()
    status, headers, answer = ask(
        running, "/v1/chat/completions", body, x_fungible_tags="team=a,conversation=c1"
    )
    found = recorded(running, headers["x-fungible-call"])
    assert (status, found.status, found.fault) == (400, 400, "bad_request")
    assert found.tags == {"team": "a", "conversation": "c1"} and found.group
    assert found.reply is not None and json.loads(bytes(found.reply)) == json.loads(answer)
    fault = found.answered()
    assert isinstance(fault, Fault) and "Bad thing" in fault.message


def test_strangers_are_not_recorded(running: Running) -> None:
    body = json.dumps({"model": "alpha/one", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    status, headers, _ = ask(running, "/v1/chat/completions", body, authorization="Bearer nobody")
    assert status == 401
    good = ask(running, "/v1/chat/completions", body)[1]
    recorded(running, good["x-fungible-call"])
    assert Recordings(running.folder / "state").get(headers["x-fungible-call"]) is None


def test_a_server_that_stops_has_written_everything(tmp_path: Path) -> None:
    with Upstream(alpha_reply) as alpha, Upstream(beta_reply) as beta:
        running = Running(tmp_path, alpha.base, beta.base, more=RECORD)
        body = json.dumps({"model": "both", "messages": [{"role": "user", "content": "Hello"}]}).encode()
        calls = [ask(running, "/v1/chat/completions", body)[1]["x-fungible-call"] for _ in range(5)]
        running.close()
    found = list(Recordings(tmp_path / "state").read("both"))
    assert [r.id for r in found] == calls


def test_sigkill_while_recording(tmp_path: Path) -> None:
    """What was on disk when the process died is read, a torn end is passed over, the next process goes on."""
    body = json.dumps({"model": "both", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    with Upstream(alpha_reply) as alpha, Upstream(beta_reply) as beta:
        running = Running(tmp_path, alpha.base, beta.base, more=RECORD, server="workers = 2")
        first = [ask(running, "/v1/chat/completions", body)[1]["x-fungible-call"] for _ in range(20)]
        for call in first:
            recorded(running, call)
        running.kill()
        running.start()
        second = ask(running, "/v1/chat/completions", body)[1]["x-fungible-call"]
        recorded(running, second)
        running.close()
    shelf = Recordings(tmp_path / "state")
    assert {*first, second} <= {r.id for r in shelf.read()} and shelf.damaged == 0


def write_for_ever(state: Path, generation: int, pipe: int) -> None:
    writer, number = Recordings(state).begun("main", generation), 0
    while True:
        rows = [kept(made(number + n, id=f"{generation}-{number + n}")) for n in range(20)]
        writer.append(rows)
        number += len(rows)
        os.write(pipe, b"%d\n" % number)


def test_sigkill_at_any_moment_of_writing(tmp_path: Path) -> None:
    """What `append` returned for is there; what it had not is whole, or passed over and counted."""
    chance = random.Random(7)
    written = 0
    for generation in range(15):
        reading, writing = os.pipe()
        writer = child(lambda writing=writing, g=generation: write_for_ever(tmp_path, g, writing))
        os.close(writing)
        os.read(reading, 1)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(writer, signal.SIGKILL)
        assert join(writer) == [-signal.SIGKILL]
        heard = b"0\n"
        while more := os.read(reading, 1 << 16):
            heard += more
        os.close(reading)
        done = max(int(line) for line in heard.split() if line.isdigit())
        written += done
        found = [r.id for r in Recordings(tmp_path).read("main") if r.id.startswith(f"{generation}-")]
        assert found == [f"{generation}-{n}" for n in range(len(found))] and len(found) >= done
    assert written > 0


WRITE = """
import resource, sys
sys.path.insert(0, {root!r})
from tests.test_recorder import fill
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
fill({state!r})
"""


def fill(state: str) -> None:
    """In a process that may not make a file longer than 200 kB: writes until the disk refuses."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = Recordings(state).begun("main", 1)
    good = 0
    for n in range(400):
        noise = os.urandom(1000).hex()
        try:
            writer.append([kept(made(n, tags={"noise": noise}))])
            good += 1
        except OSError as error:
            assert not writer.gone(error)
    print(good)


def test_a_full_disk_costs_what_it_does_not_take(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parent.parent)
    script = WRITE.format(root=root, state=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    shelf = Recordings(tmp_path)
    read = [r.id for r in shelf.read()]
    assert len(read) == int(done.stdout) and 50 < len(read) < 400 and shelf.damaged == 0
    assert read == [f"call-{n}" for n in range(len(read))]
