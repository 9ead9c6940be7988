"""Settings in the environment, looked up at every call."""

from __future__ import annotations

import os

import pytest

from arraycon.kernels.common import settings

NAME = "ARRAYCON_OF_A_TEST"


@pytest.fixture(params=["as it is", "without what it keeps"])
def environment(request, monkeypatch):
    """The environment, or one of which no more is known than is promised."""
    if request.param != "as it is":
        monkeypatch.setattr(os, "environ", dict(os.environ))
    return request.param


@pytest.mark.usefixtures("environment")
def test_what_is_set_later_is_seen():
    look_up = settings.variable(NAME)
    assert look_up() == ""
    os.environ[NAME] = "a setting"
    try:
        assert look_up() == "a setting"
        os.environ[NAME] = ""
        assert look_up() == ""
    finally:
        del os.environ[NAME]
    assert look_up() == ""


def test_an_environment_that_is_replaced_is_seen(monkeypatch):
    look_up = settings.variable(NAME)
    assert look_up() == ""
    monkeypatch.setattr(os, "environ", {NAME: "another one"})
    assert look_up() == "another one"
