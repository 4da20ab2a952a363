"""From one model to another, with evidence.

measures   the table: what is measured, in which sense, and how much worse is still good enough
reading    what an answer says, calls and looks like
alone      measures of one answer; live guards read them, too
beside     measures of two answers to the same request
shapes     JSON Schema: whether a value fits, and whether two values mean the same under it
"""
