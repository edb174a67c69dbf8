"""What is pushed once per run, and what a test's marks ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from inspect import BoundArguments, signature
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_registry.contents import repository_of
from pytest_registry.errors import OptionError
from pytest_registry.images.image import Image
from pytest_registry.limits.policy import LimitPolicy
from pytest_registry.registry import Registry
from pytest_registry.sample import NGINX_REPOSITORY, Push
from pytest_registry.sharing.member import Member
from pytest_registry.sharing.once import SAMPLE

if TYPE_CHECKING:
    import pytest

    from pytest_registry.images.source import ImageSource


def pushing(registry: Registry, member: Member, namespace: str = "samples") -> Push:
    """What pushes into a registry by the settings that hold for it."""
    return Push(registry, member.settings_of(registry), namespace, member.note_stand_in)


def sample_image(registry: Registry, member: Member) -> Image:
    """The sample image; raises what a push raises."""
    push = pushing(registry, member)
    return member.once(registry, SAMPLE, lambda: push(None, NGINX_REPOSITORY))


def bound(mark: pytest.Mark, function: Callable[..., object]) -> BoundArguments:
    """The mark's arguments for a function; raises OptionError where it does not take them."""
    try:
        return signature(function).bind(*mark.args, **mark.kwargs)
    except TypeError as error:
        raise OptionError(
            f"read the mark {mark.name}", str(error), "see what it takes with pytest --markers"
        ) from None


def _telling(mark: pytest.Mark, function: Callable[..., object]) -> BoundArguments:
    """The same of a mark that says nothing without arguments; raises OptionError then too."""
    given = bound(mark, function)
    if not given.arguments:
        raise OptionError(
            f"read the mark {mark.name}",
            "it is given nothing, and so does nothing",
            "see what it takes with pytest --markers",
        )
    return given


def needed(marks: Iterable[pytest.Mark]) -> list[str]:
    """The features that `registry_needs` marks name; raises OptionError for one that names none."""

    def named(*features: str) -> tuple[str, ...]:
        return features

    return [feature for mark in marks for feature in _telling(mark, named).args]


def pushed(marks: Iterable[pytest.Mark], registry: Registry, member: Member) -> list[Image]:
    """The images of `push_image` marks, each pushed once per run; raises what a push raises."""
    into = pushing(registry, member)

    def push(
        source: str | Path | ImageSource | None = None,
        *,
        repository: str | None = None,
        tag: str = "latest",
        platform: str | None = None,
    ) -> Image:
        if repository is None:
            repository = NGINX_REPOSITORY if source is None else f"samples/{repository_of(source)}"
        name = f"push {_named(source)} {repository}:{tag} {platform}"
        return member.once(
            registry,
            name,
            lambda: into(source, repository, tag, platform=platform),
        )

    return [push(*given.args, **given.kwargs) for given in (bound(mark, push) for mark in marks)]


def _named(source: str | Path | ImageSource | None) -> str:
    """What tells a source apart from others, by the same words in every worker."""
    if source is None or isinstance(source, str | Path) or not hasattr(source, "root"):
        return repr(source)  # of what is no source too: a push says so
    # A broken image may have the digest of the sound one, and always has a name of its own.
    return f"{source.name} {source.root().digest}"


def narrowed(mark: pytest.Mark | None, registry: Registry) -> AbstractContextManager[object]:
    """A context in which a `registry_limits` mark holds, if there is one; raises OptionError."""
    if mark is None:
        return nullcontext()
    given = _telling(mark, registry.narrowed)
    try:
        LimitPolicy(**given.arguments)
    except OptionError as error:
        asked = f"{error.asked} of the mark {mark.name}"
        raise OptionError(asked, error.happened, error.remedy) from None
    return registry.narrowed(*given.args, **given.kwargs)
