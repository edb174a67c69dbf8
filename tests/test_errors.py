"""Every error of ours says what was asked, what happened and what to do, in any process."""

from __future__ import annotations

import copy
import inspect
import json
import pickle

import pytest

import pytest_registry
from pytest_registry import errors
from pytest_registry.errors import ProtocolError, RateLimited, RegistryError, SlotTimeout
from pytest_registry.sharing.state import error_from_json, error_to_json

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, RegistryError)
]
EXAMPLES = [
    *(kind("push a to b", "nobody answered", "try again", log=["one", "two"])
      for kind in KINDS if "log" in inspect.signature(kind).parameters),
    errors.Unsupported("make it", "it cannot", "use another", section="no-accounts"),
    RateLimited("pull a", "429", "wait", retry_after=2.5),
    ProtocolError("pull a", "400", status=400, codes=["NAME_INVALID"]),
    SlotTimeout("pull a", "no slot", "wait", holders=["somebody"]),
]  # fmt: skip


def named(error: RegistryError) -> str:
    return type(error).__name__


@pytest.mark.parametrize("error", EXAMPLES, ids=named)
def test_an_error_is_the_same_after_pickling_copying_and_json(error: RegistryError) -> None:
    told = json.loads(json.dumps(error_to_json(error)))
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), error_from_json(told)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        for name, value in vars(error).items():
            found = getattr(again, name)
            assert (tuple(found) if isinstance(value, tuple) else found) == value


def test_a_message_has_the_question_the_answer_the_remedy_and_the_log_in_this_order() -> None:
    error = errors.StartError("start it", "it ended", "look", log=["first", "last"])
    assert str(error).splitlines() == [
        "could not start it: it ended",
        "What to do: look",
        "Docs: python -m pytest_registry explain no-start",
        "The registry's last log lines:",
        "  first",
        "  last",
    ]
    assert str(RegistryError("start it", "it ended")) == "could not start it: it ended"


def test_an_error_names_the_section_that_it_was_given_and_else_that_of_its_kind() -> None:
    assert errors.StateError("lock it", "no locks").section == "state-directory"
    given = errors.StateError("lock it", "no locks", section="no-locks")
    assert given.section == "no-locks"
    assert "no-locks" in str(given)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_one_tree_and_documented(kind: type[RegistryError]) -> None:
    assert issubclass(kind, RegistryError)
    assert kind.__doc__
    assert kind.__module__ == "pytest_registry.errors"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_had_from_the_package_itself(kind: type[RegistryError]) -> None:
    assert getattr(pytest_registry, kind.__name__) is kind
    assert kind.__name__ in pytest_registry.__all__


@pytest.mark.parametrize("kind", [errors.InvalidReference, errors.OptionError])
def test_what_was_given_wrongly_is_a_value_error_too(kind: type[RegistryError]) -> None:
    assert issubclass(kind, ValueError)
