"""README's Python is one script, and its commands work on what that has written."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import processes
import pytest
import readme

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
COMMANDS = re.compile(r"<!-- ci: command -->\n```sh\n(.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the script has run, and what it has printed."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "script.py").write_text(readme.script(README), encoding="utf-8")
    command = [sys.executable, "-W", "error", "script.py"]
    done = processes.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder


@pytest.mark.slow
def test_the_script_says_and_writes_what_the_page_says(folder):
    printed = (folder / "printed.txt").read_text()
    assert re.search(
        r"^30: kz_filter\(object_phase\) object_phase: relative change 0\.", printed, re.M
    )
    assert {path.name for path in folder.iterdir()} >= {
        "params.yaml", "reconstruction.npz", "q.png",
    }  # fmt: skip


@pytest.mark.slow
def test_commands(folder):
    (commands,) = COMMANDS.findall(TEXT)
    for line in commands.splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == "arraycon"
        command = [sys.executable, "-m", *words]
        done = processes.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert (folder / "constrained.npz").stat().st_size > 0


def test_all_python_is_in_the_script():
    assert len(readme.blocks(README)) == TEXT.count("```python")
    for name in ("ptyrad", "py4dstem", "ptylab"):  # they are not installed: what is only defined
        assert re.search(
            rf"^def \w+_with_{name}\(.*\n.*?import {name}\n", readme.script(README), re.M | re.S
        )


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_links_lead_to_files(link):
    assert (ROOT / link).is_file()
