"""Directories that are shared with others, and our own in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_registry.security.files import own_directory, shared_directory

pytestmark = pytest.mark.skipif(os.name != "posix", reason="directories have no modes")

SOMEBODY = 65534
"""The id of another user, and of a group that is not the user's own."""

as_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives things to others"
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def made(path: Path, bits: int) -> Path:
    path.mkdir()
    path.chmod(bits)
    return path


def test_a_missing_one_is_made_for_the_user_alone(tmp_path: Path) -> None:
    assert mode(shared_directory(tmp_path / "above" / "new")) == 0o700


@pytest.mark.parametrize("bits", [0o700, 0o755, 0o1777, 0o1775, 0o3777], ids=oct)
def test_one_in_which_nobody_replaces_ours_is_left_as_it_is(tmp_path: Path, bits: int) -> None:
    assert mode(shared_directory(made(tmp_path / "given", bits))) == bits


@pytest.mark.parametrize("bits", [0o777, 0o757, 0o702], ids=oct)
def test_one_in_which_anybody_replaces_ours_is_refused(tmp_path: Path, bits: int) -> None:
    given = made(tmp_path / "given", bits)
    with pytest.raises(OSError, match=f"others may replace what is in it \\(mode {bits:o}\\)"):
        shared_directory(given)
    assert mode(given) == bits


@as_root
@pytest.mark.parametrize("group", [0, SOMEBODY])
def test_a_group_may_write_to_it_if_the_user_is_alone_in_it(tmp_path: Path, group: int) -> None:
    """As with umask 002, where each user has a group of that name."""
    given = made(tmp_path / "given", 0o775)
    os.chown(given, -1, group)
    if group == 0:
        assert mode(shared_directory(given)) == 0o775
    else:
        with pytest.raises(OSError, match="others may replace"):
            shared_directory(given)


def given_away(path: Path) -> Path:
    os.chown(made(path, 0o1777), SOMEBODY, SOMEBODY)
    return path


def link_of_somebody(path: Path) -> Path:
    path.symlink_to(made(path.with_name("target"), 0o755))
    os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)
    return path


def link_to_somebodys(path: Path) -> Path:
    path.symlink_to(given_away(path.with_name("target")))
    return path


@as_root
@pytest.mark.parametrize("make", [given_away, link_of_somebody, link_to_somebodys])
def test_one_that_somebody_else_may_exchange_is_refused(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    with pytest.raises(OSError, match=f"it belongs to the user with id {SOMEBODY}"):
        shared_directory(make(tmp_path / "given"))


def test_a_link_of_the_users_own_leads_to_where_ours_is_made(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(made(tmp_path / "target", 0o755))
    ours = own_directory(shared_directory(link) / "ours")
    assert [path.name for path in (tmp_path / "target").iterdir()] == [ours.name]
