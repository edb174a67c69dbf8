"""The run's account: hard to guess, easy to log in with, and nowhere to be read."""

from __future__ import annotations

import base64
import dataclasses
import json

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_registry.security.credentials import Credentials, client_auth_config, redacted

names = st.text(st.characters(codec="ascii", exclude_characters=":"), min_size=1, max_size=20)
passwords = st.text(st.characters(codec="utf-8"), min_size=8, max_size=40)
unescaped = st.text("abcXYZ019-_+/ ", min_size=8, max_size=40)


@given(names, passwords)
def test_a_basic_header_gives_back_name_and_password(name: str, password: str) -> None:
    scheme, _, encoded = Credentials(name, password).basic.partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded).decode() == f"{name}:{password}"


def test_random_accounts_differ_and_are_long() -> None:
    accounts = [Credentials.random() for _ in range(100)]
    assert len({each.password for each in accounts}) == 100
    assert min(len(each.password) for each in accounts) >= 32


def test_the_password_file_takes_the_password_and_no_other_and_is_cheap_to_check() -> None:
    account = Credentials("me", "right")
    name, _, hashed = account.htpasswd().strip().partition(":")
    assert name == "me"
    assert hashed.split("$")[1:3] == ["2b", "04"]
    assert bcrypt.checkpw(b"right", hashed.encode())
    assert not bcrypt.checkpw(b"wrong", hashed.encode())


def test_a_client_config_logs_in_to_its_hosts_and_names_plugins_only_where_there_are_some() -> None:
    account = Credentials("me", "secret")
    config = json.loads(client_auth_config({"one:1": account, "two": account}))
    assert list(config) == ["auths"]
    assert {host: base64.b64decode(each["auth"]) for host, each in config["auths"].items()} == {
        "one:1": b"me:secret",
        "two": b"me:secret",
    }
    assert json.loads(client_auth_config({}))["auths"] == {}
    assert json.loads(client_auth_config({}, ["/plugins"]))["cliPluginsExtraDirs"] == ["/plugins"]


def test_no_repr_shows_the_password() -> None:
    account = Credentials("me", "a-secret-word")
    holder = dataclasses.make_dataclass("Holder", ["account"])(account)
    for shown in (repr(account), str(account), f"{[account]}", repr(holder)):
        assert "a-secret-word" not in shown
        assert "me" in shown


@given(names, unescaped, st.integers(0, 2))
def test_redaction_finds_the_password_in_every_form_of_a_login(
    name: str, password: str, shift: int
) -> None:
    account = Credentials(name, password)
    login = json.dumps({"username": "x" * shift, "password": password})
    forms = [password, account.basic, base64.urlsafe_b64encode(login.encode()).decode()]
    shown = redacted({"texts": forms, "number": 1, "nothing": None}, account.secrets)
    assert shown["number"] == 1
    assert shown["nothing"] is None
    for form, text in zip(forms, shown["texts"], strict=True):
        assert "***" in text
        assert text != form


def test_redaction_leaves_what_holds_no_secret() -> None:
    report = {"lines": ["E  assert 0"], "crash": ("file.py", 3), "duration": 0.5, "skipped": None}
    assert redacted(report, Credentials("me", "a-secret-word").secrets) == report


@pytest.mark.parametrize("password", ["", "a", "word"])
def test_a_password_that_stands_in_any_text_is_not_searched_for(password: str) -> None:
    assert redacted("words of a report", Credentials("me", password).secrets) == "words of a report"
