"""Graphs: launches that are written down with the addresses that they work on, and repeated.

As on a device nothing keeps the memory at those addresses. Whatever is not the launch of a kernel
is refused while a stream captures: on a device it would be recorded too, here it would be lost.
"""

from __future__ import annotations

import numpy as np

_recording = []


class CaptureError(RuntimeError):
    """Something that is not recorded here."""


class Graph:
    def __init__(self, launches):
        self._launches = launches

    def launch(self, stream):  # noqa: ARG002
        for launch in self._launches:
            launch()


def begin():
    _recording.append([])


def end():
    return Graph(_recording.pop())


def capturing():
    return bool(_recording)


def record(launch):
    _recording[-1].append(launch)


def refuse(name):
    if _recording:
        raise CaptureError(f"{name} is no launch of a kernel")


def by_address(value):
    """Return an array that keeps nothing alive; other arguments as they are."""
    return np.asarray(_Address(value)) if isinstance(value, np.ndarray) else value


class _Address:
    def __init__(self, array):
        self.__array_interface__ = dict(array.__array_interface__)
