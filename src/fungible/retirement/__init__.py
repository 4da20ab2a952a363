"""When models retire: what open feeds and providers say of it, and what follows for the models in use.

How it thinks. A `Notice` is one source's word about one model, kept with its source and the day it was
fetched. A `Calendar` finds what is said of a target and never settles a conflict in silence: it takes the
provider's own word before a feed's, among feeds the earliest day, and shows all of them. An operator settles
it with `[model."provider/model"] retires`.

No feed comes with fungible, and none is fetched but those that the configuration names (`[retirement] feeds`,
`ask`). What was fetched lies in the state folder; a call reads none of it, since each target's head is
prepared beforehand (`Calendar.lines`).
"""

from .calendar import Calendar, Retirement, Said
from .feeds import Keeper, Kept, Source, refresh
from .notices import Notice, read

__all__ = ["Calendar", "Keeper", "Kept", "Notice", "Retirement", "Said", "Source", "read", "refresh"]
