"""Images in a container engine; what it does itself is tested with a real one elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_registry import EngineUnavailable, ImageNotFound, Registry
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


def test_what_the_engine_saves_has_no_name_that_a_killed_process_could_leave(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Api:
        def inspect_image(self, _: str) -> dict[str, Any]:
            return {"Id": "sha256:1", "RepoTags": None}

        def get_image(self, _: str) -> Iterator[bytes]:
            yield b"no tar"
            seen.append(list(tmp_path.iterdir()))

    seen: list[list[Path]] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told: Any = SimpleNamespace(api=Api())
    with pytest.raises(ImageNotFound, match="read nginx of the container engine"):
        engine._saved(told, "nginx")
    assert seen == [[]]


@pytest.mark.container_engine
@pytest.mark.parametrize("engine_name", ["container", "embedded"])
def test_what_the_engine_has_is_pushed_although_mutual_tls_shuts_it_out(
    registry_factory: Callable[..., Registry],
    ci_registry_image: str,
    ci_nginx_image: str,
    engine_name: str,
) -> None:
    pytest.importorskip("trustme", reason="makes the registry's certificates")
    registry = registry_factory(engine=engine_name, tls="mutual", image=ci_registry_image)
    pushed = registry.push(ci_nginx_image, "samples/nginx")
    with pytest.raises(EngineUnavailable, match="wants certificates"):
        registry.docker_command.pull(pushed)
    with contextlib.closing(docker_sdk.connect()) as docker:
        layers = docker.api.inspect_image(ci_nginx_image)["RootFS"]["Layers"]
    described = registry.client.manifest("samples/nginx", "latest").config
    assert described is not None
    config = registry.blob(pushed, described.digest)
    assert json.loads(config)["rootfs"]["diff_ids"] == layers


@pytest.mark.container_engine
def test_of_a_repository_with_several_tags_the_one_that_is_meant_is_saved(
    ci_nginx_image: str, leaves_nothing_behind: None
) -> None:
    name = f"pytest-registry-saved-{os.getpid()}"
    with contextlib.closing(docker_sdk.connect()) as docker:
        meant = docker.api.inspect_image(ci_nginx_image)["Id"]
        try:
            docker.api.tag(ci_nginx_image, name, "latest")
            docker.api.tag("pytest-registry-ci/registry:3", name, "other")
            for given in (name, f"{name}:latest", meant, meant.removeprefix("sha256:")[:12]):
                saved = engine.saved_image(given)
                assert saved is not None
                config = saved.root().config
                assert config is not None
                assert config.digest == meant
        finally:
            for tag in ("latest", "other"):
                docker.api.remove_image(f"{name}:{tag}")


@pytest.mark.container_engine
def test_an_image_is_saved_only_where_the_engine_has_it(ci_nginx_image: str) -> None:
    assert engine.saved_image("no/such/image:here") is None
    assert engine.saved_image(ci_nginx_image) is not None
