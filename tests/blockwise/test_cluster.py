"""A cluster of two processes: their memory, their loss, and how much there is to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import processes
import pytest
from command import environment

pytest.importorskip("distributed")

SCRIPT = """
import json, os, signal, sys, warnings
from pathlib import Path

import h5py
import numpy as np


def main():
    from distributed import Client, LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit="1GB", dashboard_address=":0",
        local_directory=sys.argv[1] + "/workers",
    ) as cluster, Client(cluster) as client:
        mapped, kill = client.map, sys.argv[2] == "kill"
        print(json.dumps([done(client, mapped, kind, kill) for kind in sys.argv[3:]]))


def done(client, mapped, kind, kill):
    from schedules import make_state, only

    folder = Path(sys.argv[1], kind)
    folder.mkdir()
    shape = 1, 12, 96, 80
    constraints = only(obj_rblur={}, kz_filter={}, complex_ratio={}, objp_postiv={})
    whole = make_state(shape=shape)
    constraints.apply(whole, 1)
    state = make_state(shape=shape)
    names = ("object_amplitude", "object_phase")
    if kind == "hdf5":
        file = h5py.File(folder / "object.h5", "w")
        for name in names:
            setattr(state, name, file.create_dataset(name, data=getattr(state, name)))
    if kind == "dask":
        import dask.array

        for name in names:
            array = dask.array.from_array(getattr(state, name), chunks=(1, 2, 50, 80))
            setattr(state, name, array)
    told = {"killed": 0, "errors": [], "tasks": []}

    def counted(function, items, **options):
        told["tasks"].append(len(items))
        return mapped(function, items, **options)

    def progress(number, passes, done, blocks):
        if kill and number == 2 and done == 2 and not told["killed"]:
            told["killed"] = min(client.run(os.getpid).values())
            os.kill(told["killed"], signal.SIGKILL)

    client.map = counted
    options = {"executor": client, "memory": "700kB"}
    plan = constraints.plan(state, 1, **options)
    told["blocks"] = [len(each.regions) for each in plan.passes if each.regions]
    constraints.apply(state, 1, scratch=folder, progress=progress, **options)
    for name in names:
        found = getattr(state, name)
        found = found.compute() if kind == "dask" else found[...]
        expected = getattr(whole, name)
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        told["errors"].append(float(error))
    state.object_amplitude = state.object_phase = None
    told["left"] = [path.name for path in folder.glob(".arraycon*")]
    return told


if __name__ == "__main__":
    main()
"""


def run(folder: Path, *options: str) -> list[dict[str, Any]]:
    (folder / "script.py").write_text(SCRIPT)
    support = str(Path(__file__).parents[1] / "support")
    done = processes.run(
        [sys.executable, "-W", "ignore", folder / "script.py", folder, *options],
        limit=240, capture_output=True, text=True, env=environment(first=support),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


KINDS = ("numpy", "hdf5", "dask")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return what was told of each kind of arrays; one cluster works on all of them."""
    told = run(tmp_path_factory.mktemp("cluster"), "leave alone", *KINDS)
    return dict(zip(KINDS, told, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_workers_give_what_the_whole_does(undisturbed: dict[str, dict[str, Any]], kind: str):
    told = undisturbed[kind]
    assert max(told["errors"]) < 1e-6
    assert told["left"] == []
    assert told["tasks"] == told["blocks"]  # one for each block of a pass, and nothing else
    assert min(told["blocks"]) > 1


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_a_repeat(tmp_path: Path):
    (told,) = run(tmp_path, "kill", "hdf5")
    assert told["killed"]
    assert max(told["errors"]) < 1e-6
    assert told["left"] == []
