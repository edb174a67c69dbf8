"""Owning a run: its life ends when its owner lets go, ends, or is killed."""

from __future__ import annotations

import contextlib
import os

from pytest_registry.settings import Settings
from pytest_registry.sharing.liveness import Lifeline, UnnamedFile, Watch
from pytest_registry.sharing.run import Run

CLEAN_UP = 20.0
"""Seconds that the keeper is waited for before its owner cleans up itself."""


class Owner:
    """The process that a run belongs to: the controller, or the maker of a further registry.

    Its locks are on files without a name, so that nothing is made before somebody asks for the
    registry. Where there are no such files, the run's directory is made at once to hold them.
    """

    def __init__(self, settings: Settings) -> None:
        """Begin a run; raises StateError."""
        self._pid = os.getpid()
        self._unnamed = _unnamed_files(2)
        if self._unnamed:
            life, start = (each.path for each in self._unnamed)
            self.run = Run.planned(settings, life=life, start=start)
            self._life = Lifeline(life)
        else:
            self.run = Run.planned(settings)
            self._life = self.run.make_with_life()

    def finish(self) -> None:
        """End the run and wait until all that it made is gone; a no-op in a forked child."""
        if os.getpid() != self._pid:
            return
        if not self.run.is_there:  # nobody asked, or there was nowhere to make it
            self._let_go()
            return
        try:
            with Watch(self.run.keeper) as keeper:
                with contextlib.suppress(OSError):  # a full disk: it is as if we had been killed
                    self.run.finished.touch(mode=0o600)
                kept = self.run.kept.exists() and keeper.is_held()
                self._let_go()
                if kept:
                    return
                keeper.released_within(CLEAN_UP)
        finally:
            self._let_go()  # for an interrupt, or nobody would end what lives in this process
        if self.run.directory.exists():
            from pytest_registry.sharing import cleanup, elsewhere

            self.run.finished.unlink(missing_ok=True)  # the keepers were killed, or are late
            cleanup.clean(self.run, elsewhere.tell)

    def _let_go(self) -> None:
        self._life.release()
        for file in self._unnamed:
            file.close()


def _unnamed_files(count: int) -> list[UnnamedFile]:
    """That many, or none where there is no such thing."""
    with contextlib.suppress(OSError):
        return [UnnamedFile() for _ in range(count)]
    return []
