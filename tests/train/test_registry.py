"""Every stage can be imported: a move that forgot one would be seen only by who trains it."""

import importlib
import pkgutil

import pytest

from semcom.train import stages


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(stages.__path__)])
def test_every_stage_can_be_imported(name):
    importlib.import_module(f"{stages.__name__}.{name}")
