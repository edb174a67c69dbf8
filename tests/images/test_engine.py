"""Images in a container engine; what it does itself is tested with a real one elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_registry.clients import docker_sdk
from pytest_registry.images import engine


class Told:
    """Stands for the engine, to see in which order it is used."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @contextlib.contextmanager
    def slot(self, kind: str, image: str) -> Iterator[None]:  # noqa: ARG002
        self.events.append(f"{kind} slot")
        yield
        self.events.append("slot given back")

    def way_to(self, image: str) -> dict[str, Any]:  # noqa: ARG002
        return {}


@pytest.mark.parametrize("kind", ["push", "pull"])
def test_the_slot_comes_before_the_name_as_a_test_may_hold_a_slot_of_its_own(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: Any = Told()

    @contextlib.contextmanager
    def hold(reference: str, locks: Path) -> Iterator[None]:
        told.events.append("name")
        yield

    monkeypatch.setattr(engine, "hold", hold)
    monkeypatch.setattr(docker_sdk, "has_image", lambda *_: True)
    for name in ("tag", "push", "pull"):
        monkeypatch.setattr(docker_sdk, name, lambda *_: [])
    if kind == "push":
        engine.push_local(told, "nginx", "here/nginx:1", tmp_path)
    else:
        engine.pull_local(told, "here/nginx:1", tmp_path, fresh=False)
    assert told.events == [f"{kind} slot", "name", "slot given back"]
