"""What a forked child must not take over: its parent's connections, and locks that nobody frees.

Two processes that speak on one connection read each other's answers.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from typing import Any, Protocol


class Forkable(Protocol):
    """What has connections or locks."""

    def after_fork(self) -> None:
        """Begin anew, in the child; the parent's connections are left alone, not even closed."""


_living: weakref.WeakSet[Forkable] = weakref.WeakSet()


def begin_anew_in_children(each: Forkable) -> None:
    """Have `each.after_fork()` called in every child that is forked while it is in use."""
    _living.add(each)


def give_new_pools(adapters: Iterable[Any]) -> object:
    """Have requests' adapters connect anew; what they had, to be kept: given up, it would warn."""
    had = []
    for adapter in adapters:
        had.append(dict(vars(adapter)))
        adapter.__setstate__(adapter.__getstate__())  # as after unpickling: with an empty pool
    return had


def _in_child() -> None:
    for each in list(_living):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
