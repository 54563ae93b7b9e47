"""`python -m dreammake` is `dreammake`."""

from dreammake.cli.main import main

raise SystemExit(main())
