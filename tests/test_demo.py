"""The demo, whole: that it ends well, and that what it prints can be read in a pipe and in a small terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from fungible.recordings import Recordings

pytest.importorskip("xllamacpp", reason="the demo's third target is the embedded model")

PROGRAM = [sys.executable, "-m", "fungible", "demo"]
SCENES = [
    r"fungible talks to three targets",
    r"1\. Two SDKs, three models, one address",
    r"2\. The same with a tool",
    r"3\. A provider is cut off",
    r"a a a a a a a a +alpha is killed +b b b b b b b b b b b b b b b b",
    r"alpha answered 8, beta 16\. All 24 calls were",
    r"4\. The account",
    r"alpha +14 +\d+ +\d+ +\d+ +0\.\d{9} +14, the same",
    r"beta +22 +0 +\d+ +\d+ +0\.\d{9} +22, the same",
    r"local +6 +0 +\d+ +\d+ +0\.000000000 +runs here",
    r"5\. Now with a real key",
    r"Everything above happened, and was checked",
]


def test_in_a_pipe(tmp_path: Path) -> None:
    done = subprocess.run(PROGRAM, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "" and "\x1b" not in done.stdout
    places = [re.search(scene, done.stdout) for scene in SCENES]
    assert all(places), done.stdout
    assert [p.start() for p in places if p] == sorted(p.start() for p in places if p)
    for sdk in ("openai", "anthropic"):
        for target in ("alpha/alpha-1", "beta/beta-1", "local/llama"):
            assert len(re.findall(rf"^{sdk} +{target} ", done.stdout, re.MULTILINE)) == 2
    assert done.stdout.count('get_weather(city="Paris")') == 6
    # What it tells the reader to do next is there to be done.
    folder = tmp_path / ".fungible" / "demo"
    assert (folder / "fungible.toml").exists()
    recorded = list(Recordings(folder / "state").read("assistant"))
    assert len(recorded) == len({r.group for r in recorded}) == 24 and not any(r.fault for r in recorded)
    told = re.findall(r"switch (.*?)\s*\\\s+--config (\S+)", done.stdout)
    assert [words.split()[0] for words, _ in told] == ["rehearse", "report"]
    for words, config in told:
        command = [sys.executable, "-m", "fungible", "switch", *words.split(), "--config", config]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=180)
        assert ran.returncode == 0 and "local/llama" in ran.stdout, ran.stdout + ran.stderr


def test_in_a_terminal_of_80_columns(tmp_path: Path) -> None:
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, PROGRAM, {**os.environ, "TERM": "xterm-256color"})
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    told = b""
    try:
        while data := os.read(screen, 65536):
            told += data
    except OSError:  # Linux's way to say that the other side has ended
        pass
    os.close(screen)
    assert os.waitpid(pid, 0)[1] == 0, told.decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told.decode())
    lines = [line for part in plain.split("\n") for line in part.split("\r")]
    assert max(map(len, lines)) <= 80
    assert all(re.search(scene.replace(" +", r"\s+"), plain) for scene in SCENES)
