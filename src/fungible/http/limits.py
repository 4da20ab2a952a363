"""Limits of the two edges: what a client may send, how long it may take, how much is kept for it.

Every limit is a number with its unit in its name. Times are checked by a sweep every `sweep_ms`, which
counts ticks: a limit of 10 s closes a connection between 10 s less one tick and 10 s after it began.
"""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Of the server. The defaults are the project's goals for the edge.

    head_ms:            from the first byte of a request (or the connection) to the end of its headers
    body_ms:            from there to the end of its body
    idle_ms:            between two requests of a connection
    write_ms:           a client that is behind must take `write_buffer_bytes` in this time, or it is gone
    linger_ms:          how long a refused client's remaining bytes are read and thrown away, so that it
                        can read the refusal (RFC 9112 section 9.6)
    bodies_bytes_max:   all larger request bodies under way in this process together
    connections_max:    of this process; never more than half of the file descriptors it may open
    encoded_slash_under: path prefixes after which `%2F` may stand, since an API writes names there
    """

    head_bytes_max: int = 64 * 1024
    header_count_max: int = 100
    body_bytes_max: int = 64 * 1024 * 1024
    bodies_bytes_max: int = 1024 * 1024 * 1024
    write_buffer_bytes: int = 64 * 1024
    connections_max: int = 10_000
    head_ms: int = 10_000
    body_ms: int = 60_000
    idle_ms: int = 75_000
    write_ms: int = 60_000
    linger_ms: int = 2_000
    sweep_ms: int = 500
    encoded_slash_under: tuple[str, ...] = ()

    def ticks(self, limit_ms: int) -> int:
        """How many sweeps fit in the time, at least one."""
        return max(1, limit_ms // self.sweep_ms)


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Of the client.

    idle_ms:             a connection unused for this long is closed
    idle_per_origin:     more free connections than this to one address are not kept
    connections_per_origin: None: as many as there are calls; otherwise calls wait for a free one
    batch_bytes:         the most that is read at once, and so the most that arrives after a `pause`
    decoded_bytes_max:   of an answer that came compressed although nobody asked for it
    """

    head_bytes_max: int = 64 * 1024
    header_count_max: int = 100
    idle_ms: int = 55_000
    idle_per_origin: int = 64
    connections_per_origin: int | None = None
    batch_bytes: int = 64 * 1024
    decoded_bytes_max: int = 64 * 1024 * 1024
    sweep_ms: int = 1_000
