"""A start that is given up while the container engine makes what it was asked for."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.engines.container import ContainerEngine
from pytest_registry.engines.endpoint import Birth
from pytest_registry.engines.security import Security
from pytest_registry.security.credentials import Credentials
from pytest_registry.sharing.keeper import Abandoned

if TYPE_CHECKING:
    import docker


@pytest.mark.container_engine
def test_the_container_is_removed_that_was_being_made(
    engine: docker.DockerClient,
    ci_registry_image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leaves_nothing_behind: None,
) -> None:
    made: list[str] = []
    create = engine.api.create_container

    def create_late(*arguments: Any, **options: Any) -> dict[str, Any]:
        main = threading.main_thread().ident or 0
        signal.pthread_kill(main, signal.SIGUSR1)  # by which the keeper gives up a start
        answer: dict[str, Any] = create(*arguments, **options)
        made.append(answer["Id"])
        return answer

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise Abandoned

    monkeypatch.setattr(engine.api, "create_container", create_late)
    before = signal.signal(signal.SIGUSR1, give_up)
    try:
        with pytest.raises(Abandoned):
            ContainerEngine(engine, ci_registry_image, "", "").start(birth(tmp_path))
    finally:
        signal.signal(signal.SIGUSR1, before)
    (container,) = made
    assert container not in [each["Id"] for each in engine.api.containers(all=True)]


def birth(directory: Path) -> Birth:
    """What a registry is started with."""
    return Birth(
        run_id="a-run",
        storage=directory / "storage",
        log=directory / "log",
        labels={},
        credentials=Credentials.random(),
        start_timeout=30,
        security=Security("basic", "off", 300, directory / "accounts", directory / "certificates"),
        requests=directory / "requests",
    )
