"""The demo: the main job from end to end, on loopback, without a key.

Real: the server, the ledger, the official SDKs, the embedded model. Scripted, and said so on the screen:
the two providers, since none can be asked without an account. `story` tells it, `provider` is their script.
"""
