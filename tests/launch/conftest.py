"""Flags of libraries are there before a test saves all flags: Grain defines its own when loaded.

Restoring flags would otherwise remove them again, and whichever test loads Grain first would break
those after it.
"""

import importlib

import pytest


@pytest.fixture(scope="session", autouse=True)
def loaded():
    importlib.import_module("rare_retention.train.loop")
