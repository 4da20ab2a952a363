"""Drills: a provider is made to fail for a share of traffic, to see what its users would feel.

plan       what is drilled, for how long, and where that is written down for every worker to read
stage      what stands in for the gateway's ways to a provider while a drill runs, and at no other time
report     what the ledger says of it: success, latency, cost, losses, and the calls that had no way out
"""
