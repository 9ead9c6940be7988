"""The one device, which is always current."""

from __future__ import annotations


class Device:
    def __init__(self, index=0):
        self.id = index

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return self.id

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    @property
    def attributes(self):
        # as on compute capability 9.0
        return {"MaxSharedMemoryPerBlockOptin": 232448, "MultiProcessorCount": 4}
