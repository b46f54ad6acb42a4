"""semcom: an end-to-end 6G semantic-communication link simulator."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

try:
    __version__ = version("semcom")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+source"

# Names are loaded on first use, so that `import semcom` stays quick.
_EXPORTS = {
    "Budget": "semcom.contracts",
    "BudgetError": "semcom.contracts",
    "ChannelLink": "semcom.link",
    "Link": "semcom.contracts",
    "Message": "semcom.message",
    "PerfectLink": "semcom.link",
    "ReceivedMessage": "semcom.message",
    "Reconstruction": "semcom.message",
    "SemanticSystem": "semcom.semantic",
    "Stream": "semcom.message",
    "System": "semcom.contracts",
    "transmit": "semcom.link",
}
__all__ = ["__version__", "images", "sweep", *sorted(_EXPORTS)]


def __getattr__(name: str) -> Any:
    if name == "sweep":  # a package that is callable: semcom.sweep("scenario.yaml")
        return import_module("semcom.sweep")
    if name == "images":
        return import_module("semcom.picture.images")
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'semcom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
