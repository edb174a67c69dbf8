"""Accounts that are added while a run goes on, by whichever of its processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pytest_registry import Credentials, Registry, synthetic_image
from pytest_registry.errors import (
    AuthenticationFailed,
    ImageNotFound,
    OptionError,
    Unsupported,
)
from pytest_registry.security.accounts import Account, AccountsFile

Factory = Callable[..., Registry]


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_an_account_that_is_added_later_can_log_in_at_once(
    registry_factory: Factory, auth: str
) -> None:
    registry = registry_factory(engine="embedded", auth=auth, storage="memory")
    registry.client.push(synthetic_image(), "team/a", "1")
    reader = registry.account("reader", pull="team/*")
    reader.client.pull("team/a", "1")
    with pytest.raises(AuthenticationFailed):
        reader.client.push(synthetic_image(1), "team/a", "2")
    with pytest.raises(AuthenticationFailed):
        reader.client.manifest("b", "1")
    with pytest.raises(AuthenticationFailed):
        reader.repositories()
    writer = registry.account(push=["team/*"], catalog=True)
    writer.client.push(synthetic_image(1), "team/a", "2")
    assert writer.repositories() == ["team/a"]


def test_an_account_that_may_delete_may_read_but_not_push(registry_factory: Factory) -> None:
    registry = registry_factory(engine="embedded", storage="memory")
    for repository in ("old/a", "new/a"):
        registry.client.push(synthetic_image(), repository, "1")
    cleaner = registry.account("cleaner", delete="old/*")
    with pytest.raises(AuthenticationFailed):
        cleaner.delete("new/a", "1")
    with pytest.raises(AuthenticationFailed):
        cleaner.client.push(synthetic_image(1), "old/a", "2")
    cleaner.delete("old/a", "1")
    assert (registry.exists("old/a", "1"), registry.exists("new/a", "1")) == (False, True)


def test_an_account_is_made_beside_those_that_others_called_the_same(
    registry_factory: Factory,
) -> None:
    registry = registry_factory(engine="embedded", storage="memory")
    own = registry.credentials.username
    before, after = registry.account("reader", pull="*"), registry.account("reader", push="*")
    namesake = registry.account(own, pull="*")
    after.client.push(synthetic_image(), "a", "1")
    for reader in (before, registry, namesake):
        assert reader.exists("a", "1")
    with pytest.raises(AuthenticationFailed):
        before.client.push(synthetic_image(1), "a", "2")
    names = {each.credentials.username for each in (registry, before, after, namesake)}
    assert len(names) == 4
    assert before.credentials.username.startswith("reader-")


@pytest.mark.parametrize("wrong", [None, 5, ["a", None]])
def test_an_account_takes_only_patterns(registry_factory: Factory, wrong: Any) -> None:
    registry = registry_factory(engine="embedded", storage="memory")
    with pytest.raises(OptionError, match="give an account the repositories"):
        registry.account("reader", pull=wrong)


def test_patterns_that_can_be_read_but_once_are_taken(registry_factory: Factory) -> None:
    registry = registry_factory(engine="embedded", storage="memory")
    patterns: Any = (each for each in ("team/*", "shared"))
    registry.push(synthetic_image(), "shared")
    assert registry.account(pull=patterns).exists("shared")


def test_where_nobody_logs_in_there_are_no_accounts(registry_factory: Factory) -> None:
    registry = registry_factory(engine="embedded", auth="none", storage="memory")
    with pytest.raises(Unsupported, match="auth=basic or bearer"):
        registry.account("reader", pull="*")


@pytest.mark.container_engine
def test_the_container_engine_keeps_to_rights_by_tokens_and_says_so(
    registry_factory: Factory, ci_registry_image: str
) -> None:
    plain = registry_factory(engine="container", image=ci_registry_image)
    with pytest.raises(Unsupported, match="container with --registry-auth=bearer"):
        plain.account("reader", pull="*")
    registry = registry_factory(engine="container", image=ci_registry_image, auth="bearer")
    registry.client.push(synthetic_image(), "a", "1")
    reader = registry.account("reader", pull="a")
    reader.client.pull("a", "1")
    with pytest.raises(AuthenticationFailed):
        reader.client.push(synthetic_image(1), "a", "2")
    with pytest.raises(AuthenticationFailed):
        reader.client.manifest("b", "1")
    with pytest.raises(AuthenticationFailed):
        reader.pull("b", "1")  # by the engine, which says "repository does not exist" as well
    with pytest.raises(AuthenticationFailed):
        reader.docker_command.pull(f"{reader.host}/b:1")
    for ask in (registry.client.manifest, registry.pull):
        with pytest.raises(ImageNotFound):
            ask("b", "1")


@pytest.mark.parametrize(
    "wrong", [{"auth": "kerberos"}, {"tls": "maybe"}, {"authentication": "basic"}]
)
def test_a_further_registry_takes_only_what_the_options_take(
    registry_factory: Factory, wrong: dict[str, str]
) -> None:
    with pytest.raises(OptionError, match=r"registry_factory\(...\)"):
        registry_factory(**wrong)


def test_an_account_that_is_added_after_the_run_brings_no_directory_back(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    accounts = AccountsFile(directory / "accounts.json")
    owner = Account.of_everything(Credentials("owner", "secret"))
    accounts.begin(owner)
    shutil.rmtree(directory)
    with pytest.raises(FileNotFoundError):
        accounts.add(owner)
    assert not directory.exists()


def test_accounts_that_are_added_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    AccountsFile(path).begin(Account.of_everything(Credentials("owner", "secret")))
    seen = AccountsFile(path)
    assert [each.name for each in seen.all()] == ["owner"]
    accounts = [Account.allowed(Credentials(f"user-{n}", "secret"), pull="*") for n in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(AccountsFile(path).add, accounts))
    assert {each.name for each in seen.all()} == {"owner", *(each.name for each in accounts)}
    assert set(accounts) < set(seen.all())
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("pattern", "repository", "matches"),
    [
        ("*", "any/thing", True),
        ("team/*", "team/a/b", True),
        ("team/*", "teams/a", False),
        ("team/a", "team/a", True),
        ("team/a", "team/ab", False),
        ("*-cache", "a/b-cache", True),
    ],
)
def test_a_pattern_matches_whole_names(pattern: str, repository: str, matches: bool) -> None:
    account = Account.allowed(Credentials("someone", "secret"), pull=pattern)
    assert account.actions_on(repository) == (frozenset({"pull"}) if matches else frozenset())
