"""The check for leftovers is a test's last word, so it must itself be seen to fail."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docker.errors import NotFound

if TYPE_CHECKING:
    import docker

CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def checked(pytester: pytest.Pytester) -> pytest.Pytester:
    """A suite with our conftest, which does not wait long for what stays for good."""
    patient, impatient = "SETTLED_WITHIN_SECONDS = 30.0", "SETTLED_WITHIN_SECONDS = 2.0"
    pytester.makeconftest(CONFTEST.read_text().replace(patient, impatient))
    pytester.makeini("[pytest]\nmarkers = container_engine")
    return pytester


def run(
    pytester: pytest.Pytester, body: str, arguments: str = "leaves_nothing_behind"
) -> list[str]:
    """Run one test with this body; its outcome and what was said about it."""
    pytester.makepyfile(
        f"import os, pathlib, subprocess, sys, tempfile, time\ndef test_it({arguments}): {body}"
    )
    return pytester.runpytest_subprocess("-p", "no:registry").stdout.lines


def test_a_test_that_leaves_nothing_passes(checked: pytest.Pytester) -> None:
    assert "1 passed in" in run(checked, "pathlib.Path(tempfile.mkdtemp()).rmdir()")[-1]


def test_what_ends_in_time_is_no_leftover(checked: pytest.Pytester) -> None:
    body = "subprocess.run('sleep 0.3 &', shell=True)"
    assert "1 passed in" in run(checked, body)[-1]


def test_a_process_that_outlives_its_parent_is_found(checked: pytest.Pytester) -> None:
    said = run(checked, "subprocess.run('sleep 60 &', shell=True)")
    assert "1 passed, 1 error" in said[-1]
    assert any("still runs" in line and "sleep 60" in line for line in said)


def test_a_temporary_file_is_found(checked: pytest.Pytester) -> None:
    said = run(checked, "tempfile.mkstemp(suffix='-forgotten')")
    assert "1 passed, 1 error" in said[-1]
    assert any("-forgotten" in line for line in said)


def test_lock_files_of_the_state_directory_may_stay(checked: pytest.Pytester) -> None:
    body = (
        "(d := pathlib.Path(tempfile.gettempdir(), 'pytest-registry-0')).mkdir();"
        " (d / 'pull.lock').touch()"
    )
    assert "1 passed in" in run(checked, body)[-1]


@pytest.mark.container_engine(alone=True)
def test_a_container_and_a_tag_are_found(
    checked: pytest.Pytester, engine: docker.DockerClient, ci_nginx_image: str
) -> None:
    name, tag = "pytest-registry-leftover", "pytest-registry-leftover:1"
    body = (
        f"engine.images.get({ci_nginx_image!r}).tag({tag!r});"
        f" engine.containers.create({ci_nginx_image!r}, name={name!r})"
    )
    try:
        said = run(checked, body, "leaves_nothing_behind, engine")
    finally:
        engine.containers.get(name).remove(v=True)
        engine.images.remove(tag)
    assert "1 passed, 1 error" in said[-1]
    assert any("left in the engine: container" in line for line in said)
    assert any(f"{tag}" in line and "left in the engine: image" in line for line in said)


@pytest.mark.container_engine(alone=True)
@pytest.mark.parametrize("label", [None, "pytest-registry.run"])
def test_only_what_a_run_of_another_test_had_there_may_go(
    checked: pytest.Pytester,
    engine: docker.DockerClient,
    ci_nginx_image: str,
    label: str | None,
) -> None:
    name = "pytest-registry-gone"
    labels = {} if label is None else {label: "1"}
    engine.containers.create(ci_nginx_image, name=name, labels=labels, volumes=["/data"])
    body = f"engine.containers.get({name!r}).remove(v=True)"
    try:
        said = run(checked, body, "leaves_nothing_behind, engine")
    finally:
        with contextlib.suppress(NotFound):
            engine.containers.get(name).remove(v=True)
    for kind in ("container", "volume"):
        assert any(f"gone from the engine: {kind}" in line for line in said) is (label is None)
    assert ("1 passed, 1 error" if label is None else "1 passed in") in said[-1]


@pytest.mark.container_engine(alone=True)
def test_a_volume_that_nobody_uses_has_to_stay(
    checked: pytest.Pytester, engine: docker.DockerClient
) -> None:
    name = engine.volumes.create().name
    said = run(checked, f"engine.volumes.get({name!r}).remove()", "leaves_nothing_behind, engine")
    assert any(f"gone from the engine: volume {name}" in line for line in said)
    assert "1 passed, 1 error" in said[-1]


@pytest.mark.container_engine(alone=True)
def test_a_volume_that_is_about_to_follow_its_container_is_waited_for(
    checked: pytest.Pytester, engine: docker.DockerClient
) -> None:
    name = engine.volumes.create().name
    # The first look sees it; `leaves_nothing_behind` is set up after the removal has been started.
    checked.makeconftest(
        CONFTEST.read_text()
        + f"""
@pytest.fixture(autouse=True, scope="session")
def about_to_go(engine):
    import threading

    later = threading.Timer(0.5, engine.volumes.get({name!r}).remove)
    later.start()
    yield
    later.join()
"""
    )
    said = run(
        checked,
        f"assert {name!r} not in [one.name for one in engine.volumes.list()]",
        "leaves_nothing_behind, engine",
    )
    assert "1 passed in" in said[-1]


def test_an_engine_test_is_skipped_without_an_engine_but_fails_in_ci(
    checked: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
    monkeypatch.setenv("CI", "false")
    assert "1 skipped" in run(checked, "pass", "engine")[-1]
    monkeypatch.setenv("CI", "true")
    said = run(checked, "pass", "engine")
    assert "1 error" in said[-1]
    assert any("CI must not skip engine tests" in line for line in said)
