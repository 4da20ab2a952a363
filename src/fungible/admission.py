"""Who may ask for what: the policies a call passes before anything is sent, in one visible order.

A client sends the same head with every call and mostly asks for the same model, so what was found for the
two is kept beside the head and holds until the operator's keys, catalogue or settings are replaced. What
changes from call to call (a key's requests and tokens a minute, the side of a switch) is asked every time.

Not here: budgets, which are held for each attempt, and the order in which a route's targets are tried.
"""

from .call import Call, Local, Passed, Policy
from .faults import Fault
from .policies import auth, limits, route, share

ADMISSION: tuple[Policy, ...] = (auth.identify, route.find, auth.permit, limits.admit, share.divide)
"""The policies every call passes, in this order, before anything is sent."""

MODELS_MAX = 64  # kept beside one head


def admit(call: Call, local: Local, now: float) -> Fault | None:
    """Sets the call's key and route, or says why it goes no further. `now`: monotonic seconds."""
    asked, model = call.asking.passed, call.peek.model
    passed = asked.get(model)
    if (
        passed is not None
        and passed.keys is local.keys
        and passed.catalogue is local.catalogue
        and passed.settings is local.settings
    ):
        call.key, call.route = passed.key, passed.route
        return None
    for policy in ADMISSION:
        fault = policy(call, local, now)
        if fault is not None:
            return fault
    key, found = call.key, call.route
    assert found is not None
    if found.split is None and (key is None or (key.rpm is None and key.tpm is None)):
        if len(asked) >= MODELS_MAX:
            asked.clear()
        asked[model] = Passed(local.keys, local.catalogue, local.settings, key, found)
    return None
