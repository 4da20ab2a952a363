"""Engines the user runs: models on this machine rather than at a provider."""
