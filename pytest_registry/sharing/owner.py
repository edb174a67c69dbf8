"""Owning a run: its life ends when its owner lets go, ends, or is killed."""

from __future__ import annotations

import contextlib
import os

from pytest_registry.errors import RegistryError, StateError
from pytest_registry.settings import Settings
from pytest_registry.sharing.keeper_process import KeeperProcess
from pytest_registry.sharing.liveness import Watch, is_held
from pytest_registry.sharing.run import Run, this_machine

CLEAN_UP = 20.0
"""Seconds that the keeper is waited for before its owner cleans up itself."""


class Owner:
    """The process that a run belongs to: the controller, or the maker of a further registry."""

    def __init__(self, settings: Settings, *, start: bool) -> None:
        """Begin a run; raises StateError.

        With `start` its registry is to be started at once, by a keeper that is there before the
        run's directory is. Else whoever asks first starts one.
        """
        self._pid = os.getpid()
        self.run = Run.planned(settings)
        self.keeper = KeeperProcess(self.run) if start else None
        try:
            self._life = self.run.make()
        except StateError:
            self._close_keeper()
            raise
        if self.keeper is not None:
            self.keeper.begin()

    def finish(self) -> None:
        """End the run and wait until all that it made is gone; a no-op in a forked child."""
        if os.getpid() != self._pid:
            return
        with Watch(self.run.keeper) as keeper:
            with contextlib.suppress(OSError):  # a full disk: then it is as if we had been killed
                self.run.finished.touch(mode=0o600)
            kept = self.run.kept.exists() and keeper.is_held()
            self._life.release()
            self._close_keeper()
            if kept:
                return
            keeper.released_within(CLEAN_UP)
        if self.run.directory.exists():
            from pytest_registry.sharing.cleanup import clean

            clean(self.run)

    def _close_keeper(self) -> None:
        if self.keeper is not None:
            self.keeper.close()


def clean_up_after(run: Run) -> None:
    """Remove a run whose owner was killed, where no keeper is left to, or none was started yet.

    For workers, which outlive a killed controller for a moment. What fails is left to the next
    run's sweep.
    """
    if run.machine != this_machine() or is_held(run.life) or is_held(run.keeper):
        return
    if run.directory.exists():
        from pytest_registry.sharing.cleanup import clean

        with contextlib.suppress(RegistryError, OSError):
            clean(run)
