"""Who calls, and may they ask for this model? The key is looked up by its hash; nothing else is compared."""

from fnmatch import fnmatchcase

from ..call import Call, Local
from ..faults import Fault

MISSING = (
    "No API key was sent. Send a fungible key as your SDK's api_key; "
    "`fungible keys create --name NAME` makes one and prints it once."
)


def identify(call: Call, local: Local, _now: float) -> Fault | None:
    """Sets `call.key`. With `auth = "open"` no key is asked for and every call is nobody's."""
    secret = call.asking.secret
    if local.settings.open:
        return None
    if not secret:
        return Fault("authentication", MISSING)
    try:
        call.key = local.keys.check(secret)
    except Fault as fault:
        return fault
    return None


def permit(call: Call, _local: Local, _now: float) -> Fault | None:
    """Whether the key may use the model, by the name it was asked for (shell patterns: `house/*`)."""
    key = call.key
    if key is None or not key.models:
        return None
    asked = call.peek.model
    if any(fnmatchcase(asked, pattern) for pattern in key.models):
        return None
    return Fault(
        "permission",
        f"This key may not use the model {asked!r}. It may use: {', '.join(key.models)}. "
        "An operator can make a key with other --models.",
        path="model",
    )
