"""Settings for the whole suite."""

from __future__ import annotations

import os

import hypothesis

# cold imports of large libraries must not count as slow examples
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("suite")

os.environ.pop("ARRAYCON_BACKEND", None)
