"""Folders for a while: kept as long as their process lives, removed by the next one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import processes
import pytest
from command import environment

from arraycon.io import folders
from arraycon.io.folders import Passing

pytest.importorskip("fcntl")

SCRIPT = """
import sys, time
from pathlib import Path
from arraycon.io.folders import Passing
folder = Passing(Path(sys.argv[1]))
(folder.path / "block").write_text("half")
print(folder.path, flush=True)
time.sleep(600)
"""


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path):
    command = [sys.executable, "-c", SCRIPT, tmp_path]
    with processes.start(
        command, limit=60, stdout=processes.PIPE, text=True, env=environment()
    ) as child:
        left = Path(child.stdout.readline().strip())
        own = Passing(tmp_path)
        assert left.is_dir()  # its process lives
        own.remove()
        os.kill(child.pid, signal.SIGKILL)
        child.wait(timeout=60)
    with pytest.warns(UserWarning, match=f"{left}: removed; a run that was killed"):
        own = Passing(tmp_path)
    assert names(tmp_path) == [own.path.name]
    own.remove()
    own.remove()
    assert names(tmp_path) == []


def test_what_lives_or_is_not_ours_stays(tmp_path: Path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "arraycon-blocks-1").mkdir()
    (folder / ".arraycon-blocks-file").write_text("no folder")
    (folder / ".arraycon-blocks-link").symlink_to(tmp_path, target_is_directory=True)
    first, second = Passing(folder), Passing(folder)
    assert first.path.is_dir()
    assert len(names(folder)) == 5
    first.remove()
    second.remove()
    assert len(names(folder)) == 3
    assert tmp_path.is_dir()


def test_where_nothing_can_be_locked_nothing_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = Passing(tmp_path)
    first.remove()
    (tmp_path / ".arraycon-blocks-old").mkdir()

    class Without:
        LOCK_EX = LOCK_NB = 0

        @staticmethod
        def flock(*_):
            raise OSError("no locks")

    for fcntl in (Without, None):
        monkeypatch.setattr(folders, "fcntl", fcntl)
        own = Passing(tmp_path)
        assert names(tmp_path) == sorted([".arraycon-blocks-old", own.path.name])
        own.remove()


def test_a_folder_that_cannot_be_is_the_error_of_the_system(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Passing(tmp_path / "absent")
