"""The shipped guards for thousands of streams at once, and the tests that people use instead.

`decided_at` is `fungible.evidence.guards` with numpy: same stakes, same price, same bar; a test holds the two
against each other, stream by stream. Capitals are multiplied up instead of their logs added: a bet that
falls below the smallest float then counts as lost, which its part of the sum was long before.

The rivals are what dashboards do: a z test at each look, and windows with a threshold.
"""

from __future__ import annotations

import numpy as np

from fungible.evidence.capital import STAKES

SIGN = {"harm": 1.0, "pass": -1.0}
ROWS = 5
Z_05 = 1.6448536269514722  # the one-sided 5 % point of the normal distribution


def decided_at(kind: str, differences: np.ndarray, limit: float, alpha: float) -> np.ndarray:
    """For each stream (a row of differences) the block at which the guard says True; 0 where never.

    A few rows at a time, as many as a cache holds; and most streams that decide do so in their first eighth.
    """
    found = np.zeros(len(differences), dtype=np.int64)
    for begin in range(0, len(differences), ROWS):
        some = differences[begin : begin + ROWS]
        at = _decided_at(kind, some[:, : some.shape[1] // 8], limit, alpha)
        later = at == 0
        if later.any():
            at[later] = _decided_at(kind, some[later], limit, alpha)
        found[begin : begin + ROWS] = at
    return found


def _decided_at(kind: str, differences: np.ndarray, limit: float, alpha: float) -> np.ndarray:
    sign = SIGN[kind]
    fair = (1.0 + sign * limit) / 2.0
    gain = (1.0 + sign * differences) / (2.0 * fair) - 1.0
    capital, one = np.zeros_like(gain), np.empty_like(gain)
    with np.errstate(over="ignore", under="ignore"):
        for stake in STAKES:
            np.multiply(gain, stake, out=one)
            one += 1.0
            np.cumprod(one, axis=1, out=one)
            capital += one
    return first(capital >= len(STAKES) / alpha)


def first(hits: np.ndarray) -> np.ndarray:
    """The place of the first hit of each row, from 1; 0 where there is none."""
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)


def z_at_looks(differences: np.ndarray, looks: np.ndarray | None = None) -> np.ndarray:
    """One-sided z test of mean <= 0 at 5 %, with the variance as seen, at these looks (all by default).

    Wants ten differences that are not 0, as a careful user would.
    """
    n = np.arange(1, differences.shape[1] + 1)
    total, square = np.cumsum(differences, axis=1), np.cumsum(differences**2, axis=1)
    enough = np.cumsum(differences != 0, axis=1) >= 10
    variance = np.maximum(square - total**2 / n, 1e-12)
    hits = (total / np.sqrt(variance) > Z_05) & enough
    if looks is not None:
        hits = hits[:, looks - 1]
    return first(hits)


def z_of_rates(
    errors: np.ndarray, sent: np.ndarray, base_errors: np.ndarray, base_sent: np.ndarray
) -> np.ndarray:
    """One-sided two-sample z test at 5 % on cumulated errors, at each check. Pooled variance."""
    pooled = (errors + base_errors) / (sent + base_sent)
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / sent + 1 / base_sent), 1e-12))
    return first((errors / sent - base_errors / base_sent) / spread > Z_05)


def windows_over(errors: np.ndarray, sent: np.ndarray, threshold: float, allowed: int) -> np.ndarray:
    """Rolled back at the window in which the error rate is above the threshold for the `allowed`-th time."""
    return first(np.cumsum(errors / sent > threshold, axis=1) >= allowed)
