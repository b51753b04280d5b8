"""`python -m pgqueue`: the command line."""

from __future__ import annotations

from pgqueue.cli import main

if __name__ == "__main__":
    main(prog_name="python -m pgqueue")
