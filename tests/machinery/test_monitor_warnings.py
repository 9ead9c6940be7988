"""What the monitor says: constraints that disagree with the data, and runs that stall."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from monitoring import ROADS, applied
from schedules import make_state, only

from arraycon.monitor import Effect, Monitor, Monitored, judging


def entries(*changes, name="obja_thresh", first=1, misfit=1.0, shares=()):
    made = []
    for i, change in enumerate(changes):
        share = shares[i] if shares else None
        made.append(Monitored(first + i, misfit, (Effect(name, misfit + change, change, share),)))
    return made


@pytest.mark.parametrize(
    ("changes", "first", "said"),
    [
        ((0.5, 0.09), 1, False),  # iteration 1 does not count
        ((0.5, 0.09, 0.09), 1, True),
        ((0.09, 0.09), 2, True),
        ((0.09, 0.07), 2, False),
        ((0.09, 0.07, 0.09), 2, False),
        ((0.08, 0.08), 2, False),
        ((np.nan, np.nan), 2, False),
        ((0.2,), 9, False),
    ],
)
def test_two_times_running_is_a_disagreement(changes, first, said):
    found = judging.findings(entries(*changes, first=first))
    assert set(found) == ({"obja_thresh"} if said else set())


def test_runs_of_a_constraint_count_not_iterations():
    others = [Monitored(i, 1.0, (Effect("objp_postiv", 1.0, 0.0, None),)) for i in (3, 5, 7)]
    ran = entries(0.1, 0.1, first=4)
    history = [ran[0], *others, ran[1]]
    assert set(judging.findings(history)) == {"obja_thresh"}


@pytest.mark.parametrize(
    ("shares", "misfit", "said"),
    [
        ((0.95, 0.92, 0.91), 1.21, True),
        ((0.95, 0.92, 0.91), 1.2, False),
        ((0.95, 0.9, 0.91), 1.3, False),
        ((0.95, None, 0.91), 1.3, False),
        ((0.95, 0.92), 1.3, False),
        ((0.1, 0.95, 0.92, 0.91), 1.3, True),
    ],
)
def test_stalled(shares, misfit, said):
    history = entries(*[0.0] * len(shares), shares=shares, misfit=misfit)
    found = judging.findings(history)
    assert set(found) == ({""} if said else set())
    if said:
        expected = "the constraints take back 91 % of what the data ask for"
        assert expected in found[""]
        assert found[""].endswith("loosen them, obja_thresh first")


@ROADS
def test_said_once_until_it_changes(caplog, road):
    rises = iter([0, 0, 0.2, 0.1, 0.2, 0, 0, 0.3, 0.3, 0.3])
    state, now = make_state(), [1.0]

    def misfit():
        now[0] = 1.0 if now[0] != 1.0 or next_rise[0] == 0 else 1.0 + next_rise[0]
        return now[0]

    next_rise = [0.0]
    monitor = Monitor(misfit=misfit, every=1)
    apply = applied(only(obja_thresh={}), state, road, monitor)
    said = []
    for iteration, rise in enumerate(rises, start=1):
        next_rise[0], now[0] = rise, 0.0
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="arraycon"):
            apply(iteration)
        said += [(iteration, text) for text in caplog.messages]
    words = "obja_thresh does not agree with the data yet: misfit 1.00 → {}; start it later or"
    assert [iteration for iteration, _ in said] == [4, 9]
    assert said[0][1] == "iteration 4: " + words.format("1.10") + " loosen it"
    assert words.format("1.30") in said[1][1]
    assert monitor.warnings == tuple(text for _, text in said)
    next_rise[0], now[0] = 0.0, 0.0
    apply(5)
    assert monitor.warnings == (said[0][1],)
