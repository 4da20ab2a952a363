"""`python -m fungible` is the program `fungible`."""

from .cli import main

if __name__ == "__main__":
    main()
