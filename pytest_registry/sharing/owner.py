"""Owning a run: its life ends when its owner lets go, ends, or is killed."""

from __future__ import annotations

import contextlib
import os

from pytest_registry.settings import Settings
from pytest_registry.sharing.liveness import Lifeline, Watch
from pytest_registry.sharing.run import Run

CLEAN_UP = 20.0
"""Seconds that the keeper is waited for before its owner cleans up itself."""


class Owner:
    """The process that a run belongs to: the controller, or the maker of a further registry."""

    def __init__(self, settings: Settings) -> None:
        """Begin a run; raises StateError."""
        self._pid = os.getpid()
        self.run: Run
        self._life: Lifeline
        self.run, self._life = Run.create(settings)

    def finish(self) -> None:
        """End the run and wait until all that it made is gone; a no-op in a forked child."""
        if os.getpid() != self._pid:
            return
        with Watch(self.run.keeper) as keeper:
            with contextlib.suppress(OSError):  # a full disk: then it is as if we had been killed
                self.run.finished.touch(mode=0o600)
            kept = self.run.kept.exists() and keeper.is_held()
            self._life.release()
            if kept:
                return
            keeper.released_within(CLEAN_UP)
        if self.run.directory.exists():
            from pytest_registry.sharing.cleanup import clean

            clean(self.run)
