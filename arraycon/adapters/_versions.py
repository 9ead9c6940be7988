"""What the adapters ask of the codes they serve, and how they say that it is not there."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger("arraycon")


class InterfaceError(RuntimeError):
    """A code lacks what its adapter builds on: it is not installed, or has changed."""


@dataclass(frozen=True)
class Code:
    """One of the codes: its name, its package, and the versions that were run.

    Parameters
    ----------
    title : str
        As its authors write it.
    package : str
        Name of the distribution and, but for upper and lower case, of the import.
    known : tuple of str
        Versions that the integration tests passed with.
    """

    title: str
    package: str
    known: tuple[str, ...]

    @property
    def version(self) -> str:
        """Installed version, or an empty string."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return ""

    def note_version(self) -> None:
        """Tell the log of a version that was not tried, which may well work."""
        if self.version not in self.known:
            logger.warning(
                "%s %s: not among the versions that were tried (%s)",
                self.title,
                self.version or "(version unknown)",
                ", ".join(self.known),
            )

    def error(self, problem: str) -> InterfaceError:
        """Build the exception for a problem, as in ``has no module a.b``."""
        name = f"{self.title} {self.version or '(version unknown)'}"
        return InterfaceError(f"{name} {problem}; known to work: {', '.join(self.known)}")

    def find(self, module: str, name: str) -> Any:
        """Import `module` and return what it has under `name`.

        Raises
        ------
        InterfaceError
            The code is not installed, or has it no longer.
        """
        package = module.partition(".")[0]
        if sys.modules.get(package) is None and importlib.util.find_spec(package) is None:
            raise InterfaceError(
                f"{self.title} is not installed (there is no module {package}); "
                f"known to work: {', '.join(self.known)}"
            )
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise  # something that the code itself needs, and can say better
            raise self.error(f"has no {module}.{name}") from None
        if not hasattr(found, name):
            raise self.error(f"has no {module}.{name}")
        return getattr(found, name)

    def check_takes(self, function: Callable[..., Any], arguments: Iterable[str]) -> None:
        """Check the names of a function's arguments, and that it needs no others.

        Raises
        ------
        InterfaceError
            They are not as expected.
        """
        found, expected = inspect.signature(function).parameters, tuple(arguments)
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        needed = {
            name
            for name, parameter in found.items()
            if parameter.default is parameter.empty and parameter.kind not in kinds
        }
        if not set(expected) <= set(found) or not needed <= {"self", *expected}:
            raise self.error(
                f"has changed: {function.__qualname__} was expected to take "
                f"({', '.join(expected)}), and takes ({', '.join(found)})"
            )

    def check_has(self, thing: object, names: Iterable[str]) -> None:
        """Check that an object has attributes.

        Raises
        ------
        InterfaceError
            Some are missing; all of them are named.
        """
        missing = [name for name in names if not hasattr(thing, name)]
        if missing:
            raise self.error(f"has changed: {type(thing).__name__} has no {', '.join(missing)}")
