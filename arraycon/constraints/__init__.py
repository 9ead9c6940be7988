"""What each constraint is: its parameters, its kernel, and the fields of the state it works on.

One module per family declares its constraints by `register`; `order` says in which order they run.
Importing this package declares all of them.
"""

import importlib
import pkgutil

from arraycon.constraints.declare import register
from arraycon.constraints.registry import Constraint, declared, reserve, unregister
from arraycon.constraints.wiring import Outcome

__all__ = ["Constraint", "Outcome", "declared", "register", "reserve", "unregister"]

# every module that lies here, so that a new family needs no list to be in
for _found in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_found.name}")
