"""The table of options: where a value may stand, which one wins, and what is accepted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_registry import values
from pytest_registry.errors import OptionError
from pytest_registry.options import ACCOUNT, OPTIONS, Option
from pytest_registry.settings import Settings
from pytest_registry.values import DEFAULT, Value, accept, resolve

NAMES = [option.name for option in OPTIONS]
# Of these each option takes the first that it accepts and that is not its default.
TEXTS = (
    "https://registry.test/prefix",
    "redis://limits.test",
    "embedded",
    "memory",
    "mirror.test:5000",
    "on",
    "none",
    "7",
    "strict",
    "/a/report.html",
)


def option(name: str) -> Option:
    """The row of the table."""
    return next(each for each in OPTIONS if each.name == name)


def text_for(each: Option) -> str:
    """A text that the option accepts and that is not its default."""
    return next(
        text
        for text in TEXTS
        if accepted_by(partial(accept, each), text) not in (ValueError, each.default)
    )


def config(pytester: pytest.Pytester, *flags: str, **ini: str) -> pytest.Config:
    """A configuration from a command line and an ini file."""
    lines = "".join(f"{name} = {value}\n" for name, value in ini.items())
    pytester.makeini(f"[pytest]\n{lines}")
    return pytester.parseconfig(*flags)


def flag(each: Option, text: str) -> str:
    return each.flag if each.is_switch else f"{each.flag}={text}"


@pytest.mark.parametrize("name", NAMES)
def test_each_option_is_a_flag_a_variable_and_an_ini_value_and_keeps_its_source(
    pytester: pytest.Pytester, name: str
) -> None:
    each = option(name)
    text = text_for(each)
    value = accept(each, text)
    found = resolve(config(pytester, flag(each, text)), {})[name]
    assert found == Value(value, f"the command line's {each.flag}")
    found = resolve(config(pytester), {each.env: text})[name]
    assert found == Value(value, f"the environment's {each.env}")
    found = resolve(config(pytester, **{each.ini: text}), {})[name]
    assert found == Value(value, f"the ini file's {each.ini}")
    assert resolve(config(pytester), {})[name] == Value(each.default, DEFAULT)


def test_the_command_line_beats_the_environment_which_beats_the_ini_file(
    pytester: pytest.Pytester,
) -> None:
    given_everywhere = config(pytester, "--registry-image=one:1", registry_image="three:1")
    environment = {"PYTEST_REGISTRY_IMAGE": "two:1"}
    assert resolve(given_everywhere, environment)["image"].value == "one:1"
    given_twice = config(pytester, registry_image="three:1")
    assert resolve(given_twice, environment)["image"].value == "two:1"
    assert resolve(given_twice, {})["image"].value == "three:1"


TABLES = {
    "tool.pytest.ini_options": "registry_pull_limit = 2\nregistry_keep = false\n",
    "tool.pytest": 'registry_pull_limit = "2"\nregistry_keep = "false"\n',
}


@pytest.mark.parametrize("table", TABLES)
def test_pyproject_has_numbers_as_such_in_one_table_and_as_texts_in_the_other(
    pytester: pytest.Pytester, table: str
) -> None:
    if table == "tool.pytest" and pytest.version_tuple < (9, 0):
        pytest.skip("this pytest does not read the table")
    pytester.makepyprojecttoml(f"[{table}]\n{TABLES[table]}")
    found = resolve(pytester.parseconfig(), {})
    assert found["pull_limit"] == Value(2, "the ini file's registry_pull_limit")
    assert found["keep"] == Value(False, "the ini file's registry_keep")


def test_a_value_that_is_false_still_beats_what_comes_after_it(pytester: pytest.Pytester) -> None:
    found = resolve(config(pytester, registry_keep="yes"), {"PYTEST_REGISTRY_KEEP": "0"})
    assert found["keep"] == Value(False, "the environment's PYTEST_REGISTRY_KEEP")
    unlimited = resolve(config(pytester, "--registry-pull-limit=0", registry_pull_limit="2"), {})
    assert unlimited["pull_limit"].value is None


def test_settings_hold_every_option_with_its_source_and_survive_json(
    pytester: pytest.Pytester,
) -> None:
    settings = Settings.of(resolve(config(pytester, "--registry-engine=embedded"), {}))
    assert settings.engine == "embedded"
    assert settings.source("engine") == "the command line's --registry-engine"
    assert settings.is_default("image")
    assert not settings.is_default("engine")
    assert Settings.from_json(settings.to_json()) == settings


def test_pytest_help_shows_each_flag_and_ini_value(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest_subprocess("--help").stdout.str()
    assert "an OCI registry for the run (pytest-registry)" in shown
    for each in OPTIONS:
        assert shown.count(each.flag) >= 1
        assert each.ini in shown
        assert each.is_switch or f"{each.flag}={each.metavar}" in shown


@pytest.mark.parametrize(
    ("name", "text", "accepted"),
    [
        ("engine", "docker", "one of auto, container, embedded, external"),
        ("url", "registry.test", "http or https://HOST"),
        ("engine", " ", "one of auto"),
        ("image", "registry:3:4", "an image's name"),
        ("image", "Not a name", "an image's name"),
        ("sample_image", "nginx@sha256:12", "an image's name"),
        ("upstream", "https://mirror.test", "a registry's HOST[:PORT]"),
        ("upstream", "mirror.test/path", "a registry's HOST[:PORT]"),
        ("start_timeout", "soon", "a positive number of seconds"),
        ("start_timeout", "-1", "a positive number of seconds"),
        ("slot_timeout", "inf", "a positive number of seconds"),
        ("pull_limit", "-1", "a whole number of at least 1"),
        ("push_limit", "many", "a whole number of at least 1"),
        ("throttle", "azure", "one of strict, azure-basic"),
        ("report", "report.pdf", "a path that ends in .html"),
        ("storage", "tape", "one of disk, memory"),
        ("keep", "maybe", "one of 1, true, yes, on"),
        ("state_dir", " ", "the path of a directory"),
    ],
)
def test_a_bad_value_is_named_with_its_source_and_what_is_accepted(
    pytester: pytest.Pytester, name: str, text: str, accepted: str
) -> None:
    with pytest.raises(OptionError) as caught:
        resolve(config(pytester), {option(name).env: text})
    said = str(caught.value)
    assert f"{text!r} as the registry's {name}" in said
    assert f"the environment's {option(name).env}, which takes {accepted}" in said
    assert "give another value there, or leave it out" in said
    assert "None" not in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("url", "https://me:a-secret-word@registry.test"),
        ("limits_url", "http://:a-secret-word@limits.test"),
        ("limits_url", "http://me:odd@a-secret-word@limits.test/0"),
        ("limits_url", "http://limits.test?password=a-secret-word&db=1"),
        ("limits_url", "default:a-secret-word@limits.test:6379"),
        ("limits_url", "default:odd://a-secret-word@limits.test:6379"),
        ("limits_url", "redis:/:a-secret-word@limits.test"),
        ("limits_url", " limits.test?password=a-secret-word"),
        ("url", "ci:a-secret-word@registry.test/x"),
        ("upstream", "ci:a-secret-word@mirror.test"),
        ("image", "Ci:a-secret-word@mirror.test/registry@sha256:12"),
    ],
)
def test_a_bad_address_is_named_without_its_password(
    pytester: pytest.Pytester, name: str, text: str
) -> None:
    with pytest.raises(OptionError, match="registry's") as caught:
        resolve(config(pytester), {option(name).env: text})
    assert "***" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_is_no_address_is_named_as_it_was_given(pytester: pytest.Pytester) -> None:
    given = {"report": "/home/me@work/report.pdf", "sample_image": "Nginx@sha256:12"}
    for name, text in given.items():
        with pytest.raises(OptionError, match=text):
            resolve(config(pytester), {option(name).env: text})


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("PYTEST_REGISTRY_ENGIN", "write PYTEST_REGISTRY_ENGINE, or unset it"),
        ("PYTEST_REGISTRY_PULL_LIMITS", "write PYTEST_REGISTRY_PULL_LIMIT, or unset it"),
        ("PYTEST_REGISTRY_PASSWD", "write PYTEST_REGISTRY_PASSWORD, or unset it"),
        ("PYTEST_REGISTRY_XYZ", "unset it"),
    ],
)
def test_a_variable_that_is_no_options_is_refused_with_the_closest_one(
    pytester: pytest.Pytester, name: str, remedy: str
) -> None:
    with pytest.raises(OptionError, match=f"the environment's {name}: there is no") as caught:
        resolve(config(pytester), {name: "a-secret-word"})
    assert caught.value.remedy == remedy
    assert "secret" not in str(caught.value)


def test_the_variables_of_the_account_are_nobodys_mistake(pytester: pytest.Pytester) -> None:
    account = dict.fromkeys(ACCOUNT, "somebody")
    assert resolve(config(pytester), account) == resolve(config(pytester), {})


@pytest.mark.parametrize(
    ("name", "shown"),
    [("slot_timeout", " for 300"), ("engine", " for auto"), ("keep", ""), ("report", "")],
)
def test_the_remedy_names_the_default_as_it_is_written(
    pytester: pytest.Pytester, name: str, shown: str
) -> None:
    with pytest.raises(OptionError) as caught:
        resolve(config(pytester), {option(name).env: "?"})
    assert caught.value.remedy == f"give another value there, or leave it out{shown}"


# What `registry_factory` takes in Python


def changed(settings: Settings, **changes: Any) -> Settings:
    return settings.changed("registry_factory(...)", **changes)


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("engine", None, "one of auto, container"),
        ("image", None, "IMAGE"),
        ("upstream", None, r"HOST\[:PORT\]"),
        ("slot_timeout", None, "SECONDS"),
        ("keep", None, "True or False"),
        ("auth", True, "one of none, basic, bearer"),
        ("slot_timeout", True, "SECONDS"),
        ("pull_limit", False, "COUNT"),
        ("upstream", True, r"HOST\[:PORT\]"),
        ("state_dir", False, "DIR"),
        ("keep", 2, "one of 1, true"),
    ],
)
def test_what_is_no_value_of_an_option_is_refused_in_python_too(
    name: str, value: object, accepted: str
) -> None:
    words = rf"use .*{value}.* as the registry's {name}: .* registry_factory\(...\), which takes"
    with pytest.raises(OptionError, match=f"{words} {accepted}"):
        changed(Settings.defaults(), **{name: value})


def test_python_gives_values_as_they_are_meant_and_as_texts() -> None:
    given = {"pull_limit": None, "push_limit": "none", "url": None, "keep": True, "reuse": "yes"}
    settings = changed(Settings.defaults(), **given, slot_timeout=2)
    assert [getattr(settings, name) for name in given] == [None, None, None, True, True]
    assert settings.slot_timeout == 2.0
    assert settings.source("keep") == "registry_factory(...)"
    assert settings.is_default("engine")


URL = "https://registry.test"


@pytest.mark.parametrize(
    ("before", "changes", "engine", "url"),
    [
        ({}, {"url": URL}, "external", URL),
        ({"engine": "embedded"}, {"url": URL}, "external", URL),
        ({}, {"engine": "auto", "url": URL}, "external", URL),
        ({"url": URL}, {"auth": "none"}, "external", URL),
        ({"url": URL}, {"engine": "external"}, "external", URL),
        ({"url": URL}, {"engine": "embedded"}, "embedded", None),
        ({"url": URL}, {"engine": "auto"}, "auto", None),
    ],
)
def test_an_address_or_an_engine_that_is_given_beats_the_runs_other_one(
    before: dict[str, str], changes: dict[str, str], engine: str, url: str | None
) -> None:
    settings = changed(Settings.defaults().changed("the run", **before), **changes)
    assert (settings.engine, settings.url) == (engine, url)


@pytest.mark.parametrize(
    "changes", [{"engine": "embedded", "url": URL}, {"engine": "external"}], ids=str
)
def test_an_address_and_an_engine_that_cannot_be_together_are_refused(
    changes: dict[str, str],
) -> None:
    with pytest.raises(OptionError, match=r"registry_factory\(...\) asks for the engine"):
        changed(Settings.defaults(), **changes)


def accepted_by(parse: Callable[[str], Any], text: str) -> Any:
    """What the parser makes of a text, or ValueError where it refuses in words of its own."""
    try:
        return parse(text)
    except ValueError as refusal:
        words = str(refusal)
    assert words.startswith(("a ", "an ", "one of ", "http ", "redis:"))
    return ValueError


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_seconds_are_positive_and_finite_or_refused(text: str) -> None:
    value = accepted_by(values.seconds, text)
    assert value is ValueError or (value > 0 and math.isfinite(value))


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_any_positive_number_is_accepted_as_seconds(number: float) -> None:
    assert values.seconds(repr(number)) == number


@given(st.text() | st.integers().map(str))
@example("9" * 5000)
@example("00")
def test_a_limit_is_at_least_one_or_none_or_refused(text: str) -> None:
    value = accepted_by(values.limit, text)
    assert value is ValueError or value is None or value >= 1


@given(st.integers(min_value=1, max_value=999_999), st.sampled_from(["", " ", "0", "00"]))
def test_a_limit_may_be_written_with_blanks_and_zeros(number: int, before: str) -> None:
    assert values.limit(f"{before}{number} ") == number


@given(st.text(max_size=5) | st.sampled_from(sorted(values.TRUE | values.FALSE)))
def test_a_switch_is_on_off_or_refused_in_any_case_of_letters(text: str) -> None:
    value = accepted_by(values.switch, text)
    assert value is ValueError or value == (text.strip().lower() in values.TRUE)


@given(st.sampled_from(sorted(values.TRUE | values.FALSE)))
def test_a_switch_means_the_same_in_capitals(word: str) -> None:
    assert values.switch(word.upper()) is values.switch(word)
