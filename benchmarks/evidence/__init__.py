"""What `fungible.evidence` promises, by simulation. `make evidence` prints the table of docs/evidence.md."""
