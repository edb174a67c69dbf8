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

_parents: list[object] = []
"""What children have left alone: given up, it would warn that it was never closed."""


def begin_anew_in_children(each: Forkable) -> None:
    """Have `each.after_fork()` called in every child that is forked while it is in use."""
    _living.add(each)


def leave_alone(parents: object) -> None:
    """Keep connections of the parent's, in the child, and never use or close them."""
    _parents.append(parents)


def give_new_pools(adapters: Iterable[Any]) -> None:
    """Have requests' adapters connect anew, and leave alone what they had."""
    for adapter in adapters:
        leave_alone(dict(vars(adapter)))
        adapter.__setstate__(adapter.__getstate__())  # as after unpickling: with an empty pool


def _in_child() -> None:
    for each in list(_living):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
