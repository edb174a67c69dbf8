"""Which limit applies to an operation: policy only, no mechanism."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal, Protocol

Kind = Literal["pull", "push"]


class OperationLimits(Protocol):
    """What clients need to know of limits: how to take a slot around one operation.

    The value of the context is the seconds that were waited for the slot.
    """

    def pull(self, repository: str = "") -> AbstractContextManager[float]:
        """Hold a pull slot; raises SlotTimeout."""

    def push(self, repository: str = "") -> AbstractContextManager[float]:
        """Hold a push slot; raises SlotTimeout."""
