from dreammake.python_api import Build as Build
from dreammake.python_api import Dreamfile as Dreamfile
from dreammake.python_api import DreammakeError as DreammakeError
from dreammake.python_api import Plan as Plan
from dreammake.python_api import PlannedTarget as PlannedTarget
from dreammake.python_api import build as build
from dreammake.python_api import plan as plan

__version__: str
