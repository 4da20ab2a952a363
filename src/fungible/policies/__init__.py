"""Policies: decisions without I/O. Each is a plain function of (call, local, now); their order is one list.

`admission.ADMISSION` is that list. What a policy may change of `Local` is said there at each field.
"""
