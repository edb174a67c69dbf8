"""Which limit applies."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_registry.errors import OptionError
from pytest_registry.limits.policy import LimitPolicy, Unlimited


def test_the_defaults_are_what_a_hosted_registry_documents() -> None:
    assert (LimitPolicy().pull, LimitPolicy().push, LimitPolicy().timeout) == (10, 5, 300.0)


@pytest.mark.parametrize(
    ("limit", "wanted", "narrowed"),
    [(10, 2, 2), (10, 20, 10), (10, None, 10), (None, 2, 2), (None, None, None)],
)
def test_a_policy_is_only_ever_narrowed(
    limit: int | None, wanted: int | None, narrowed: int | None
) -> None:
    assert LimitPolicy(pull=limit).narrowed(pull=wanted).pull == narrowed
    assert LimitPolicy(push=limit).narrowed(push=wanted).push == narrowed


@pytest.mark.parametrize("options", [{"pull": 0}, {"push": -1}, {"timeout": -0.1}])
def test_a_policy_refuses_what_could_never_let_anybody_through(options: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="out of range"):
        LimitPolicy(**options)


@pytest.mark.parametrize("limit", ["2", 1.5, True])
def test_what_is_no_whole_number_is_refused_as_a_limit(limit: Any) -> None:
    with pytest.raises(OptionError, match="as the push limit: it is no whole number"):
        LimitPolicy().narrowed(push=limit)
    with pytest.raises(OptionError, match="as the pull limit: it is no whole number"):
        LimitPolicy(pull=limit)


def test_unlimited_limits_let_everybody_through() -> None:
    limits = Unlimited()
    with limits.pull("a"), limits.pull("b") as operation, limits.push("c"):
        operation.transferred(5)
    assert operation.waited == 0.0
