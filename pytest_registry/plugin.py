"""The plugin's entry: pytest's hooks only. What is heavy is imported where a test needs it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_registry import fixtures, options

MARKERS = (
    "push_image(source=None, *, repository='samples/nginx', tag='latest', platform=None): have this"
    " image in the run's registry before the test (the sample image if no source is given)",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the table."""
    options.register(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options at once, and bring in the fixtures."""
    from pytest_registry.errors import OptionError

    try:
        options.resolve(config)
    except OptionError as error:
        raise pytest.UsageError(str(error)) from None
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(fixtures, "registry-fixtures")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let a `push_image` mark push even where the test does not ask for `registry_images`."""
    if item.get_closest_marker("push_image") is None:
        return
    names = getattr(item, "fixturenames", [])
    if "registry_images" not in names:
        names.append("registry_images")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker of the run, which begins before any worker can ask for it."""
    fixtures.member_of(node.config).tell(node.workerinput)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run and wait until nothing of it is left."""
    member = config.stash.get(fixtures.MEMBER, None)
    if member is not None:
        member.finish()
