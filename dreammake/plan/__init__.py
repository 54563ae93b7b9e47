"""What would be made, from what, and why: graph, recipes, staleness. Pure, but for the ports it is given.

Called as a function, this package is `plan` of the Python API: `from dreammake import plan` gives the one or the other,
whichever Python met first, and both do the same.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *targets: str, **options: Any) -> Any:
        return import_module("dreammake.python_api").plan(*targets, **options)


sys.modules[__name__].__class__ = _Callable
