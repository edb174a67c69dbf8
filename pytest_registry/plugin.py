"""The plugin's entry: the hooks of every run. sharing/telling.py has those of a registry's."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from typing import Any

import pytest

from pytest_registry import _PlainImport, fixtures, options

# Their module is no plugin of its own: pytest examines every name that a plugin's module has.
from pytest_registry.fixtures import (  # noqa: F401
    registry,
    registry_client,
    registry_docker_cli,
    registry_docker_client,
    registry_docker_config,
    registry_env,
    registry_factory,
    registry_faults,
    registry_http,
    registry_images,
    registry_limits,
    registry_namespace,
    registry_needs,
    registry_nginx_container,
    registry_nginx_image,
    registry_push,
)

MARKERS = (
    "push_image(source=None, *, repository='samples/NAME', tag='latest', platform=None): have this"
    " image in the run's registry before the test (the sample image if no source is given)",
    "registry_limits(pull=None, push=None): let no more than so many pulls and pushes of this test"
    " run at once, within the limits of the run",
    "registry_fault(on='', *, status=None, nth=None, times=None, ...): let requests of this test"
    " fail in this way (repeatable; see registry.faults)",
    "registry_needs(*features): skip this test where the registry lacks one of them: delete,"
    " tag-deletion, catalog, referrers, mount",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the table."""
    options.register(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options at once."""
    if options.any_given(config):
        _check_options(config)
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let marks do their work even where a test does not ask for the fixtures behind them.

    Whoever has tests that want a registry owns the run from now on, before it may fork for each.
    """
    marks = {mark.name for mark in item.iter_markers()}
    names: list[str] = getattr(item, "fixturenames", [])
    behind = [fixture for mark, fixture in fixtures.BEHIND_MARKS.items() if mark in marks]
    if missing := [fixture for fixture in behind if fixture not in names]:
        # In a list of its own: pytest has one for all parameters, of which one may bear the mark.
        names = [*names, *missing]
        item.fixturenames = names  # type: ignore[attr-defined]
    if fixtures.MEMBER not in item.config.stash and not fixtures.WANTING.isdisjoint(names):
        fixtures.member_of(item.config).begin()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker of the run, which begins before any worker can ask for it."""
    fixtures.member_of(node.config).tell(node.workerinput)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let what reaches the registry, and what is started, from now on belong to this test."""
    item.config.stash[fixtures.ITEM] = item
    member = item.config.stash.get(fixtures.MEMBER, None)
    if member is not None:
        member.begin_test()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """Know which fixture is being set up: a registry that it starts lives as long as it does."""
    setting_up = request.config.stash.setdefault(fixtures.SETTING_UP, [])
    setting_up.append(request)
    try:
        return (yield)
    finally:
        setting_up.pop()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run and wait until nothing of it is left; a worker has nothing to end."""
    if fixtures.MEMBER in config.stash:
        fixtures.member_of(config).finish()
    # What hangs there is alive to the very end of the interpreter, and all that it imports with it:
    # to take that down last took as long again as all else that an unused plugin costs.
    with contextlib.suppress(ValueError):
        sys.meta_path.remove(_PlainImport)


def _check_options(config: pytest.Config) -> None:
    """Raise UsageError for a value that an option does not take."""
    from pytest_registry import values

    try:
        values.resolve(config)
    except ValueError as error:  # an OptionError, whose module is imported only to raise one
        raise pytest.UsageError(str(error)) from None
