"""`python -m tests.golden`: write every output anew."""

from . import inputs, outputs
from .contents import README, written

for given in inputs():
    for old in given.parent.glob("to-*"):
        old.unlink()
    for name, text in outputs(given).items():
        (given.parent / name).write_text(text, encoding="utf-8")
README.write_text(written(), encoding="utf-8")
