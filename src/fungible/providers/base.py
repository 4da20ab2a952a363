"""What a provider is: a row. Dialects, an address, a signer, and the named quirks of its dialect."""

from typing import NamedTuple

import msgspec


class Paths(NamedTuple):
    """Where a provider has a dialect, as `Dialect.path`, `stream_path` and `Counting.path` say it.

    `counting` "": the provider does not count; `stream` "": it streams at the same path.
    """

    path: str
    stream: str = ""
    counting: str = ""


class BatchTerms(NamedTuple):
    """How a provider takes requests by the batch: its API (`batches.BATCH_APIS`), and what that costs.

    percent:  of the usual price of a token, where the price data has no price of its own for batches
    site:     the page that says so, as it was read on the day `seen`
    """

    api: str
    percent: int
    site: str
    seen: str


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Who serves models.

    dialect:     the wire API it is spoken to in
    also:        others it speaks at the same address, for clients of theirs
    base_url:    what the provider's own SDK takes; `{name}` parts are filled from `variables`
    addresses:   a value of one of `variables` -> the base URL where it has that value, where that is another
    paths:       dialect -> its paths at this provider, where they are not the dialect's own; a row that has
                 any is asked for nothing but these
    env:         environment variables that hold its key, in the order they are tried
    signer:      a row of `signers.SIGNERS`: how the key goes on a request
    framed:      its streams are the dialect's events in AWS's frames: `wrapped.Unwrapped`
    service:     what a signature of AWS's is for, where the address does not say it
    keyless:     a signer for want of a key, by credentials that the user's machine holds, and the variables
                 that show such to be there
    quirks:      named quirks of its dialects; a name that two of them have means the same in both
    prices:      the provider's id in the price data, where it differs from the name
    on_abandon:  when a client leaves: `cancel` the attempt, or `drain` it to learn what it cost
    local:       runs on the user's own machines, so it needs no key and costs nothing a token
    feeds:       what retirement feeds call it, as shell patterns, where not by its name
    own_names:   its models are called by names of the user's own, such as those of deployments
    cloud, region: where it runs; "" where only its address may tell (`whereabouts`)
    batch:       how it takes requests by the batch, None: it does not, or not in a way that is known here
    jurisdiction: the country whose law it stands under; "" where only `homes` may tell
    """

    name: str
    dialect: str
    also: tuple[str, ...] = ()
    base_url: str
    addresses: dict[str, str] = {}
    paths: dict[str, Paths] = {}
    env: tuple[str, ...] = ()
    signer: str = "bearer"
    framed: bool = False
    service: str = ""
    keyless: tuple[str, tuple[str, ...]] = ("", ())
    quirks: frozenset[str] = frozenset()
    headers: dict[str, str] = {}
    variables: dict[str, str] = {}  # placeholder -> environment variable
    prices: str | None = None
    on_abandon: str = "cancel"
    local: bool = False
    site: str = ""
    feeds: tuple[str, ...] = ()
    own_names: bool = False
    cloud: str = ""
    region: str = ""
    batch: BatchTerms | None = None
    jurisdiction: str = ""

    @property
    def dialects(self) -> tuple[str, ...]:
        """In order of preference: a client of none of them is served in the first."""
        return (self.dialect, *self.also)
