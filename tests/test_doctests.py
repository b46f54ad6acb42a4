"""The examples in docstrings say the truth."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "module", ["channels.coding.mcs", "semcom.bisection", "semcom.intervals", "semcom.packets"]
)
def test_examples(module):
    result = doctest.testmod(import_module(module))
    assert result.attempted and not result.failed
