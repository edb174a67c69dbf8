"""Where the slots are, whom they belong to, and which number of them applies."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from pathlib import Path

import pytest

from pytest_registry.errors import StateError
from pytest_registry.limits.directory import (
    LimitWarning,
    file_slots,
    private_directory,
    registry_directory,
)
from pytest_registry.limits.polled import PolledSlots
from pytest_registry.limits.ring import RingSlots
from pytest_registry.limits.slots import Holder, Slots

HOLDER = Holder("gw0", "tests/test_a.py::test_b", "pull", "samples/nginx", 0.0, 1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("docker.io", "registry-1.docker.io", True),
        ("LOCALHOST:5000", "localhost:5000", True),
        ("localhost:5000", "localhost:5001", False),
        ("localhost:5000", "localhost", False),
    ],
)
def test_a_registry_has_one_directory_by_whatever_name(
    base: Path, one: str, other: str, same: bool
) -> None:
    assert (registry_directory(one, base) == registry_directory(other, base)) is same


def test_an_ipv6_registry_has_a_directory(base: Path) -> None:
    assert registry_directory("[::1]:5000", base).is_dir()


def test_all_that_is_made_is_the_users_alone(base: Path, slots: Slots) -> None:
    claim = slots.claim("pull", 2, HOLDER)
    waiting = [slots.claim("pull", 2, HOLDER) for _ in range(3)]
    assert claim.attempt()
    assert [each.attempt() for each in waiting] == [True, False, False]
    for path in base.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    for each in [claim, *waiting]:
        each.release()


def test_files_are_never_unlinked(base: Path) -> None:
    slots = file_slots("localhost:5000", base)
    first = slots.claim("pull", 1, HOLDER)
    assert first.attempt()
    before = {path: path.stat().st_ino for path in base.rglob("*")}
    first.release()
    again = slots.claim("pull", 1, HOLDER)
    assert again.attempt()
    again.release()
    assert {path: path.stat().st_ino for path in before} == before


@pytest.mark.parametrize("mode", [0o750, 0o777])
def test_a_directory_that_others_may_enter_is_refused(base: Path, mode: int) -> None:
    base.chmod(mode)
    with pytest.raises(StateError, match="others may enter"):
        private_directory(base)


def test_a_symbolic_link_is_refused(base: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(base)
    with pytest.raises(StateError, match="symbolic link"):
        private_directory(link)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="File exists"):
        private_directory(tmp_path / "file")


def test_a_directory_of_somebody_else_is_refused(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(StateError, match="belongs to the user"):
        private_directory(base)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_an_error_and_no_soft_lock(
    base: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_lock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", no_lock)
    with pytest.raises(StateError, match="no working locks"):
        file_slots("localhost:5000", base).claim("pull", 1, HOLDER)


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_as_such_by_who_first_uses_the_limits(
    base: Path, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", full)
        disk.setattr(os, "write", full)
        with pytest.raises(StateError, match="No space left on device in /"):
            slots.claim("pull", 1, HOLDER)
    (record,) = base.rglob("limit")
    with record.open("rb") as file:  # or others would wait for the one that could not write
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_full_disk_is_told_as_such_by_who_takes_a_slot_and_keeps_none(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = slots.claim("pull", 1, HOLDER)
    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", full)
        disk.setattr(os, "write", full)
        with pytest.raises(StateError, match="No space left on device in /"):
            claim.attempt()
    claim.release()
    other = slots.claim("pull", 1, HOLDER)
    assert other.attempt()
    other.release()


def test_a_polled_slot_is_given_back_though_its_description_cannot_be_changed(base: Path) -> None:
    slots = PolledSlots(base)
    claim, waiting = (slots.claim("pull", 1, HOLDER) for _ in range(2))
    assert (claim.attempt(), waiting.attempt()) == (True, False)
    (base / "pull" / "slot-000.json").unlink()
    (base / "pull" / "slot-000.json").mkdir()  # which cannot be written to
    claim.release()
    (base / "pull" / "slot-000.json").rmdir()
    assert waiting.attempt()
    waiting.release()


def test_another_number_of_slots_warns_and_the_first_stays(base: Path) -> None:
    first, second = file_slots("localhost:5000", base), file_slots("localhost:5000", base)
    assert first.claim("pull", 2, HOLDER).attempt()
    with pytest.warns(LimitWarning, match="stays 2 instead of 5"):
        claims = [second.claim("pull", 5, HOLDER) for _ in range(3)]
    assert [claim.attempt() for claim in claims] == [True, False, False]


def test_the_number_may_change_once_nobody_uses_the_registry(base: Path) -> None:
    first = file_slots("localhost:5000", base)
    first.claim("pull", 2, HOLDER)
    assert isinstance(first, RingSlots)
    first._descriptors.forget()  # as the end of its process does
    claims = [file_slots("localhost:5000", base).claim("pull", 3, HOLDER) for _ in range(3)]
    assert [claim.attempt() for claim in claims] == [True] * 3


def test_slots_whose_files_were_removed_refuse_to_go_on(base: Path) -> None:
    slots = file_slots("localhost:5000", base)
    before = slots.claim("pull", 1, HOLDER)
    assert before.attempt()
    before.release()
    shutil.rmtree(base / "localhost_5000" / "pull")
    claim = slots.claim("pull", 1, HOLDER)
    with pytest.raises(StateError, match="removed or replaced"):
        claim.attempt()
    assert file_slots("localhost:5000", base).claim("pull", 1, HOLDER).attempt()


def test_claims_of_one_slot_are_granted_one_by_one(slots: Slots) -> None:
    first, second = slots.claim("pull", 1, HOLDER), slots.claim("pull", 1, HOLDER)
    assert (first.attempt(), second.attempt()) == (True, False)
    first.release()
    assert second.attempt()
    second.release()


def test_pulls_and_pushes_have_slots_of_their_own(slots: Slots) -> None:
    pull, push = slots.claim("pull", 1, HOLDER), slots.claim("push", 1, HOLDER)
    assert (pull.attempt(), push.attempt()) == (True, True)
    pull.release()
    push.release()


def test_the_holders_are_told_while_they_hold(slots: Slots) -> None:
    claim = slots.claim("pull", 2, HOLDER)
    assert claim.attempt()
    (holder,) = slots.holders("pull", 2)
    assert (holder.worker, holder.test, holder.repository) == (
        "gw0",
        "tests/test_a.py::test_b",
        "samples/nginx",
    )
    assert holder.since > 0.0
    claim.release()
    assert list(slots.holders("pull", 2)) == []


def test_a_holder_with_a_strange_name_shows_as_unknown() -> None:
    strange = Holder("gw0", "test\n\x1f", "pull", "", 0.0, 1)
    assert Holder.from_line(strange.to_line(1.0)).worker == "unknown"
    assert Holder.from_line(b"half a li").worker == "unknown"
    assert Holder.from_line(HOLDER.to_line(0.0)) == HOLDER
