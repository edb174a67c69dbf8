"""A progress bar for a push or pull that takes long, on a terminal that somebody looks at."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE = 2.0
"""Seconds that a transfer may take without a bar."""

WORKER = "PYTEST_XDIST_WORKER"

_SCREEN = threading.Lock()
"""Held by the bar that is on the screen."""


class Sized(Protocol):
    """A config or layer."""

    @property
    def digest(self) -> str:
        """Its digest."""

    @property
    def size(self) -> int:
        """Its bytes."""


class Bar:
    """Bytes and layers of one transfer, shown once that has taken `patience` seconds.

    It takes what `images.transfer.Progress` is told, or the lines of a container engine's stream,
    from any thread. Where another bar is on the screen already it is not shown.
    """

    def __init__(self, what: str, patience: float = PATIENCE) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}
        self._moved: dict[str, int] = {}
        self._ended: set[str] = set()
        self._closed = False
        self._shown: Progress | None = None
        self._task: TaskID | None = None
        self._timer = threading.Timer(patience, self._show)
        self._timer.daemon = True

    def __enter__(self) -> Bar:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._closed = True
            shown, self._shown = self._shown, None
        if shown is not None:
            try:
                shown.stop()
            finally:
                _SCREEN.release()

    def begin(self, blob: Sized) -> None:
        """A config or layer begins to move."""
        self._note(blob.digest, size=blob.size)

    def moved(self, blob: Sized, size: int) -> None:
        """`size` more bytes of it have moved."""
        self._note(blob.digest, more=size)

    def end(self, blob: Sized, *, skipped: bool) -> None:
        """It is there; `skipped`: without its bytes being moved."""
        self._note(blob.digest, size=0 if skipped else None, ended=True)

    def line(self, line: Mapping[str, Any]) -> None:
        """A line of a container engine's stream: `id`, `status`, `progressDetail`."""
        layer, status = line.get("id"), str(line.get("status") or "")
        if not isinstance(layer, str):
            return
        detail = line.get("progressDetail") or {}
        if status in ("Pushing", "Downloading") and detail.get("total"):
            self._note(layer, size=int(detail["total"]), at=int(detail.get("current") or 0))
        elif status in ("Pushed", "Pull complete") or "exists" in status:
            self._note(layer, ended=True)

    def _note(
        self,
        layer: str,
        *,
        size: int | None = None,
        more: int = 0,
        at: int | None = None,
        ended: bool = False,
    ) -> None:
        with self._lock:
            if size is not None:
                self._sizes[layer] = size
            self._sizes.setdefault(layer, 0)
            self._moved[layer] = self._moved.get(layer, 0) + more if at is None else at
            if ended:
                self._ended.add(layer)
                self._moved[layer] = self._sizes[layer]
            self._update()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        text = TextColumn("{task.description}"), TextColumn("{task.fields[layers]}")
        shown = Progress(
            *text, BarColumn(), DownloadColumn(), console=Console(stderr=True), transient=True
        )
        with self._lock:
            if self._closed or not _SCREEN.acquire(blocking=False):
                return
            self._shown = shown
            shown.start()
            self._task = shown.add_task(self._what, layers="")
            self._update()

    def _update(self) -> None:
        if self._shown is None or self._task is None:
            return
        total, done = sum(self._sizes.values()), sum(self._moved.values())
        layers = f"{len(self._ended)}/{len(self._sizes)} layers"
        self._shown.update(self._task, total=total, completed=done, layers=layers)


@contextmanager
def shown(what: str) -> Iterator[Bar | None]:
    """A bar for one transfer where somebody would see it, else None.

    That is on a terminal, outside of xdist's workers, with output that is not captured (`-s`), and
    with rich installed (`pytest-registry[progress]`).
    """
    if WORKER in os.environ or not sys.stderr.isatty() or find_spec("rich") is None:
        yield None
        return
    with Bar(what) as bar:
        yield bar
