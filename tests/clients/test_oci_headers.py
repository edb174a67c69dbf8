"""Reading headers: pure functions, so tables and properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_registry.clients.challenge import (
    Challenge,
    merge_scopes,
    parse_challenges,
    repository_scope,
)
from pytest_registry.clients.headers import MAX_SECONDS, media_type, next_link, retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKENS = st.from_regex(r"[a-zA-Z][a-zA-Z0-9-]{0,10}", fullmatch=True)
PARAMETERS = st.dictionaries(
    TOKENS.map(str.lower), st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]))
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], []),
        (['Basic realm="x"'], [("basic", {"realm": "x"})]),
        (
            ['bearer  realm = "http://h/t" , service=s'],
            [("bearer", {"realm": "http://h/t", "service": "s"})],
        ),
        (
            ['Bearer realm="https://h/t",service="r",scope="repository:a:pull,push"'],
            [
                (
                    "bearer",
                    {"realm": "https://h/t", "service": "r", "scope": "repository:a:pull,push"},
                )
            ],
        ),
        (
            ['Bearer realm="a", Basic realm="b"'],
            [("bearer", {"realm": "a"}), ("basic", {"realm": "b"})],
        ),
        (
            ['Bearer realm="a"', 'Basic realm="b"'],
            [("bearer", {"realm": "a"}), ("basic", {"realm": "b"})],
        ),
        (["Negotiate dG9rZW4=, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["Negotiate,Basic"], [("negotiate", {}), ("basic", {})]),
        ([r'Basic realm="a \"quoted\" \\ one"'], [("basic", {"realm": r'a "quoted" \ one'})]),
        (
            ['Bearer realm=https://h/t,error="x"'],
            [("bearer", {"realm": "https://h/t", "error": "x"})],
        ),
        ([",, ,"], []),
    ],
)
def test_challenges_are_read(
    headers: list[str], expected: list[tuple[str, dict[str, str]]]
) -> None:
    found = [(each.scheme, dict(each.parameters)) for each in parse_challenges(headers)]
    assert found == expected


@given(st.lists(st.tuples(TOKENS, PARAMETERS), max_size=4))
def test_what_is_written_as_a_challenge_is_read_back(
    written: list[tuple[str, dict[str, str]]],
) -> None:
    header = ", ".join(f"{scheme} {_parameters(values)}".strip() for scheme, values in written)
    expected = [Challenge(scheme.lower(), values) for scheme, values in written]
    assert list(parse_challenges([header])) == expected


def _parameters(values: dict[str, str]) -> str:
    escaped = {key: value.replace("\\", r"\\").replace('"', r"\"") for key, value in values.items()}
    return ", ".join(f'{key}="{value}"' for key, value in escaped.items())


@given(st.lists(st.text()))
def test_no_challenge_header_breaks_the_reader(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()
        assert isinstance(challenge.scopes, tuple)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([[]], ()),
        ([["repository:a:pull"], ["repository:a:push"]], ("repository:a:pull,push",)),
        ([["repository:h:5000/a:pull"]], ("repository:h:5000/a:pull",)),
        (
            [["registry:catalog:*", "repository:b:pull"]],
            ("registry:catalog:*", "repository:b:pull"),
        ),
        ([["aws"], ["aws"]], ("aws",)),
    ],
)
def test_scopes_of_one_resource_are_united(groups: list[list[str]], expected: tuple[str]) -> None:
    assert merge_scopes(*groups) == expected


@given(st.lists(st.from_regex(r"repository:[a-z]:(pull|push|delete)", fullmatch=True)))
def test_uniting_scopes_twice_changes_nothing(scopes: list[str]) -> None:
    once = merge_scopes(scopes)
    assert merge_scopes(once, scopes) == once
    assert {s.rpartition(":")[0] for s in once} == {s.rpartition(":")[0] for s in scopes}


def test_a_repositorys_scope_names_its_actions() -> None:
    assert repository_scope("a/b", "pull", "push") == "repository:a/b:pull,push"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 5000, MAX_SECONDS),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2026 03:04:35", 30.0),
        ("Fri, 02 Jan 2026 03:04:00 GMT", 0.0),
        ("Fri, 02 Jan 20026 03:04:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.integers(0, 10**6))
def test_both_forms_of_retry_after_say_the_same(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(date, NOW) == retry_after(str(seconds), NOW) == seconds


@given(st.text())
def test_no_retry_after_header_breaks_the_reader(value: str) -> None:
    seconds = retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= MAX_SECONDS


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        (['</v2/a/tags/list?n=2&last=b>; rel="next"'], "/v2/a/tags/list?n=2&last=b"),
        (["</x>; rel=next"], "/x"),
        (['</x>;REL="last next"'], "/x"),
        (['</x>; rel="last"'], None),
        (['</x>; title="rel=next"; rel=prev'], None),
        (['</x>; rel="prev", </y>; rel="next"'], "/y"),
        (['</x>; rel="prev"', '<https://h/y,z>; rel="next"'], "https://h/y,z"),
        (['</x>; title="a; rel=next"'], None),
        (["</x>"], None),
        (["nonsense <"], None),
    ],
)
def test_the_next_page_is_found(headers: list[str], expected: str | None) -> None:
    assert next_link(headers) == expected


@given(st.text(st.characters(exclude_characters="<>", codec="ascii")), TOKENS)
def test_a_link_is_found_among_others(target: str, relation: str) -> None:
    header = f'<{target}>; rel="next"'
    assert next_link([header]) == target
    others = f'<a>; rel="not-{relation}"; title="b, c", {header}'
    assert next_link([others]) == target


@given(st.lists(st.text()))
def test_no_link_header_breaks_the_reader(headers: list[str]) -> None:
    next_link(headers)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), ("a/b", "a/b"), ("a/b; charset=utf-8", "a/b"), (" a/b ;x", "a/b")],
)
def test_a_content_types_parameters_are_ignored(value: str | None, expected: str) -> None:
    assert media_type(value) == expected
