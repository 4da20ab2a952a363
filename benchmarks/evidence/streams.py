"""Streams of blocks: equal models, worse ones, bad hours, ramps. Each from a seed of its own name.

A stream is a row of differences, candidate less the mean of the incumbents of its block. They are made in
portions, so that 2,000 streams of 20,000 blocks need no more memory than 50.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import numpy as np

PORTION = 50
Rates = float | np.ndarray
Make = Callable[[np.random.Generator, int], np.ndarray]

STEPS = ((99, 100), (19, 600), (3, 2000), (1, 4000))
"""A ramp of 1, 5, 25 and 50 %: incumbents beside each candidate request, candidate requests in the step."""
REQUESTS_PER_CHECK = 200


def portions(name: str, streams: int, make: Make) -> Iterator[np.ndarray]:
    """The streams of this name, 50 at a time; the same for the same name and number."""
    chance = np.random.default_rng([20_000, zlib.crc32(name.encode())])
    for begin in range(0, streams, PORTION):
        yield make(chance, min(PORTION, streams - begin))


def blocks(candidate: Rates, incumbent: Rates, count: int, beside: int = 1) -> Make:
    """Yes-or-no outcomes at these rates (one, or one for each block), `beside` incumbents a block."""

    def make(chance: np.random.Generator, streams: int) -> np.ndarray:
        theirs = chance.random((streams, count)) < candidate
        ours = chance.binomial(beside, np.broadcast_to(incumbent, (streams, count))) / beside
        return theirs - ours

    return make


def scores(candidate: float, incumbent: float, spread: float, count: int) -> Make:
    """Scores of a judge, beta variables of this mean and standard deviation, turned so that more is worse."""

    def draw(chance: np.random.Generator, mean: float, shape: tuple[int, int]) -> np.ndarray:
        mass = mean * (1 - mean) / spread**2 - 1
        return chance.beta(mean * mass, (1 - mean) * mass, shape)

    def make(chance: np.random.Generator, streams: int) -> np.ndarray:
        shape = (streams, count)
        return draw(chance, incumbent, shape) - draw(chance, candidate, shape)

    return make


def after(change_at: int, before: float, then: float, count: int) -> np.ndarray:
    """A rate that changes once."""
    return np.where(np.arange(count) < change_at, before, then)


def ramp(rate: float) -> Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]:
    """Equal models through all steps: (differences, and per check errors and requests of either side)."""
    beside = np.concatenate([np.full(count, k) for k, count in STEPS])
    check = np.cumsum(beside + 1) // REQUESTS_PER_CHECK
    check = np.minimum(check, np.sum(beside + 1) // REQUESTS_PER_CHECK - 1)
    edges = np.searchsorted(check, np.unique(check))

    def make(chance: np.random.Generator, streams: int) -> tuple[np.ndarray, ...]:
        theirs = (chance.random((streams, beside.size)) < rate).astype(float)
        ours = chance.binomial(beside, rate, (streams, beside.size))
        errors = np.add.reduceat(theirs, edges, axis=1)
        base_errors = np.add.reduceat(ours, edges, axis=1)
        sent = np.add.reduceat(np.ones(beside.size), edges)
        base_sent = np.add.reduceat(beside, edges)
        return theirs - ours / beside, errors, sent, base_errors, base_sent

    return make
