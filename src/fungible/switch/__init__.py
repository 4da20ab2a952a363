"""From one model to another, with evidence.

measures   the table: what is measured, in which sense, and how much worse is still good enough
reading    what an answer says, calls and looks like
alone      measures of one answer; live guards read them, too
beside     measures of two answers to the same request
shapes     JSON Schema: whether a value fits, and whether two values mean the same under it
agenda     what a rehearsal replays (`sample`, `order`) and which measures decide, fixed before; `forecast`
rehearsal  recordings (`asked`) put to candidates by a `hand`, here, elsewhere or `batched`; `runs`
standing   what has come, taken in the run's order: `pairing`, `balance`, and what was `gathered` beside
findings   all that a rehearsal can tell; `page`, the same for people
plan       what the user wants: the road, the guards
rollout    a switch under way, as a table of states
tally      outcomes folded into the evidence of its guards; `units`, who stays with one model
looker     what the guards want to know of answers; `anew`, of two to one request; `hearing`, of a judge
pilot      what a worker does for it, once a second
"""
