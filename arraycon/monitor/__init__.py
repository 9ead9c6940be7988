"""Monitor: whether each constraint agrees with the data, while a reconstruction runs.

`watching` takes the figures, `arriving` brings them from their device without waiting, `judging`
puts what they say into words, `figures` draws them; `subset` asks a model for some of the patterns.
"""

from __future__ import annotations

from arraycon.monitor.history import Effect, Monitored
from arraycon.monitor.subset import Subset
from arraycon.monitor.watching import Monitor

__all__ = ["Effect", "Monitor", "Monitored", "Subset"]
