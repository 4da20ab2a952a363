"""Processes of this machine: started on chosen cores, measured from /proc, stopped for certain.

Linux only.  Knows nothing of gateways or scenarios.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

LOCK_FILE = Path(tempfile.gettempdir()) / "fungible-bench.lock"
LOCK_WAIT_S = 900
STOP_WAIT_S = 8
KILL_WAIT_S = 5
FREE_WAIT_S = 5
GATEWAY_RANK, LOAD_RANK = 1, 2  # real-time priorities: the load is never held up by the gateway
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


# --------------------------------------------------------------------------- placement


def _cores() -> list[str]:
    return [str(cpu) for cpu in sorted(os.sched_getaffinity(0))]


def first_core() -> str:
    return _cores()[0]


def second_core() -> str:
    """The core beside the first one, or the first again where there is only one."""
    return _cores()[:2][-1]


@dataclass(frozen=True)
class Placement:
    """Which cores a run uses, and whether it goes ahead of all other work on the machine."""

    gateway_cpus: str
    load_cpus: str
    realtime: bool = False

    def gateway(self) -> Callable[[], None]:
        return _placed(self.gateway_cpus, GATEWAY_RANK if self.realtime else 0)

    def load(self) -> Callable[[], None]:
        return _placed(self.load_cpus, LOAD_RANK if self.realtime else 0)


def _placed(cpus: str, rank: int) -> Callable[[], None]:
    """For the new process: pinned to the cores, and at the priority asked for (0: an ordinary one)."""

    def place() -> None:
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
        if rank:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(rank))

    return place


def realtime_allowed() -> bool:
    try:
        subprocess.run(["true"], check=True, preexec_fn=_placed(first_core(), LOAD_RANK))
    except (OSError, subprocess.SubprocessError):
        return False
    return True


# --------------------------------------------------------------------------- what processes spend


def _stat(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _all_stats() -> dict[int, list[str]]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                found[int(entry)] = _stat(entry)
    return found


def process_tree(root: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for pid, fields in _all_stats().items():
        children.setdefault(int(fields[1]), []).append(pid)
    tree, queue = [], [root]
    while queue:
        pid = queue.pop()
        tree.append(pid)
        queue += children.get(pid, [])
    return tree


def session_members(session: int) -> list[int]:
    """The living processes of a session, orphans too."""
    return [
        pid for pid, fields in _all_stats().items() if int(fields[3]) == session and fields[0] not in "ZX"
    ]


def running(pid: int) -> bool:
    try:
        return _stat(pid)[0] not in "ZX"
    except OSError:
        return False


def cpu_us(pids: list[int]) -> float:
    """User and system time of the processes and of their children already reaped."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = _stat(pid)
            own, reaped = (sum(int(fields[i]) for i in at) * TICK_US for at in ((11, 12), (13, 14)))
            # the scheduler's own count is finer than the clock tick, but leaves out ended threads
            total += max(own, _threads_us(pid)) + reaped
    return total


def _threads_us(pid: int) -> float:
    """Time that the living threads of a process were on a core; 0 where the kernel does not tell."""
    total_ns = 0
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                total_ns += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    return total_ns / 1000


def memory_mib(pids: list[int]) -> dict[str, float]:
    """Sum over the processes of resident memory, and of the share they hold of it."""
    total = {"Rss": 0, "Pss": 0}
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name = line.partition(":")[0]
                if name in total:
                    total[name] += int(line.split()[1])
    return {"rss": total["Rss"] / 1024, "pss": total["Pss"] / 1024}


def machine_busy_us() -> float:
    """Time that all cores together were not idle, since boot."""
    fields = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) * TICK_US


def listening_port(pids: list[int]) -> int:
    """A TCP port that one of the processes listens on, or 0."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    link = os.readlink(f"/proc/{pid}/fd/{fd}")
                    if link.startswith("socket:["):
                        inodes.add(link[8:-1])
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            return int(fields[1].rpartition(":")[2], 16)
    return 0


# --------------------------------------------------------------------------- servers


class Server:
    """A server process in a session of its own, placed on some cores."""

    def __init__(self, command: list[str], place: Callable[[], None], log: Path):
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=place,  # noqa: PLW1509 (no threads here)
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def pids(self) -> list[int]:
        return process_tree(self.process.pid)

    def stop(self) -> None:
        """Asks it to end, then kills what is left: its descendants, and orphans of its session."""
        tree = self.pids
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=STOP_WAIT_S)
        deadline = time.monotonic() + KILL_WAIT_S
        while time.monotonic() < deadline:
            left = {pid for pid in tree if running(pid)} | set(session_members(self.process.pid))
            if not left:
                break
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=KILL_WAIT_S)


@contextlib.contextmanager
def bench_lock() -> Iterator[None]:
    """Nobody else who takes this lock measures meanwhile (`flock LOCK_FILE CMD`)."""
    deadline = time.monotonic() + LOCK_WAIT_S
    with open(LOCK_FILE, "a") as f:
        while True:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{LOCK_FILE} was held by another for {LOCK_WAIT_S} s") from None
                time.sleep(0.1)
        yield


def require_free(port: int, wait_s: float = FREE_WAIT_S) -> None:
    """Somebody else's server on our port would be measured in place of ours.

    One that was just stopped may hold it for a moment more.
    """
    deadline = time.monotonic() + wait_s
    while True:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return
            except OSError as e:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"port {port} is taken: {e}") from e
        time.sleep(0.1)


def post(port: int, path: str, body: bytes, headers: list[str], timeout: float = 10) -> tuple[int, bytes]:
    """One POST on a connection of its own; status 0 when there is no answer."""
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
            s.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            answer = b""
            while data := s.recv(65536):
                answer += data
    except OSError:
        return 0, b""
    status = answer.split(b" ", 2)[1:2]
    return (int(status[0]) if status and status[0].isdigit() else 0), answer
