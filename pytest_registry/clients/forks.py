"""What a forked child must not take over: its parent's connections, and locks that nobody frees.

Two processes that speak on one connection read each other's answers.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """What has connections or locks."""

    def after_fork(self) -> None:
        """Begin anew, in the child; the parent's connections are left alone, not even closed."""


_living: weakref.WeakSet[Forkable] = weakref.WeakSet()


def begin_anew_in_children(each: Forkable) -> None:
    """Have `each.after_fork()` called in every child that is forked while it is in use."""
    _living.add(each)


def _in_child() -> None:
    for each in list(_living):
        each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
