"""`python -m dreammake` is `dreammake`."""

from dreammake.cli.main import entry

entry()
