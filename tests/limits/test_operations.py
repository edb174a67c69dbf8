"""`registry.limits` as users meet it: contexts, decorators, commands, threads, nesting, records."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_registry.errors import OptionError, PullError, RegistryError, SlotTimeout, StateError
from pytest_registry.limits import turn, waiting
from pytest_registry.limits.directory import file_slots
from pytest_registry.limits.operations import Limits
from pytest_registry.limits.policy import Kind, LimitPolicy, OperationLimits
from pytest_registry.limits.polled import PolledSlots
from pytest_registry.limits.running import Asker, current_asker
from pytest_registry.report.records import OperationRecord, read


def limits_at(base: Path, pull: int | None = 1, timeout: float = 20) -> Limits:
    policy = LimitPolicy(pull=pull, push=1, timeout=timeout)
    return Limits(file_slots("localhost:5000", base), policy, log=base / "events")


def records(base: Path) -> list[OperationRecord]:
    return list(read(base / "events"))


@contextmanager
def held_elsewhere(limits: Limits, kind: Kind = "pull") -> Iterator[threading.Event]:
    """Another thread holds a slot until the event is set, or the context ends."""
    holding, enough = threading.Event(), threading.Event()

    def work() -> None:
        with getattr(limits, kind)("held/elsewhere"):
            holding.set()
            enough.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    assert holding.wait(10)
    try:
        yield enough
    finally:
        enough.set()
        thread.join()


def most_at_once(limits: Limits, threads: int = 8, each: int = 20) -> int:
    """How many threads are inside a pull slot together, at most."""
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(each):
            with limits.pull():
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    return max(most)


def test_limits_are_what_clients_expect(limits: Limits) -> None:
    expected: OperationLimits = limits
    with expected.pull("samples/nginx", reference="1") as operation:
        operation.transferred(10)


def test_an_operation_says_how_long_it_waited(base: Path) -> None:
    limits = limits_at(base)
    with held_elsewhere(limits) as enough:
        threading.Timer(0.8, enough.set).start()
        with limits.pull() as operation:
            assert 0.0 < operation.waited < 10
    with limits.pull() as operation:
        assert operation.waited == 0.0


@pytest.mark.parametrize("mechanism", ["ring", "polled"])
def test_threads_never_pass_the_limit_and_reach_it(base: Path, mechanism: str) -> None:
    slots = file_slots("localhost:5000", base) if mechanism == "ring" else PolledSlots(base)
    assert most_at_once(Limits(slots, LimitPolicy(pull=3))) == 3


def test_two_handles_of_one_registry_share_its_limit(base: Path) -> None:
    with held_elsewhere(limits_at(base)), pytest.raises(SlotTimeout):
        limits_at(base, timeout=0.1).pull().__enter__()


def test_without_a_limit_everybody_passes(base: Path) -> None:
    limits = limits_at(base, pull=None)
    assert most_at_once(limits, each=5) > 3
    assert limits.holders("pull") == ()
    assert len(records(base)) == 40


def test_a_timeout_names_the_holders(base: Path) -> None:
    limits = limits_at(base, timeout=0.2)
    with held_elsewhere(limits), pytest.raises(SlotTimeout) as caught:
        limits.pull("samples/nginx").__enter__()
    assert "pull slot for samples/nginx (limit 1)" in str(caught.value)
    assert "held/elsewhere" in str(caught.value)
    (holder,) = caught.value.holders
    assert holder.startswith(f"{current_asker().worker} (pid ")
    assert "pull of held/elsewhere" in holder


def test_a_timeout_leaves_nothing_behind(base: Path) -> None:
    limits = limits_at(base, timeout=0.1)
    with held_elsewhere(limits), pytest.raises(SlotTimeout):
        limits.pull().__enter__()
    with limits.pull() as operation:
        assert operation.waited == 0.0
    assert limits.holders("pull") == []


def test_no_time_to_wait_still_takes_what_is_free(base: Path) -> None:
    limits = limits_at(base, timeout=0)
    with limits.pull(), limits.push():
        pass


def test_long_waiting_is_reported_with_the_holders(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FIRST_REPORT", 0.1)
    told: list[str] = []

    def report(line: str) -> None:
        told.append(line)
        enough.set()

    slots, policy = file_slots("localhost:5000", base), LimitPolicy(pull=1, timeout=60)
    limits = Limits(slots, policy, report=report)
    with held_elsewhere(limits) as enough, limits.pull("samples/nginx"):
        (line,) = told
    assert f"a pull slot for samples/nginx (limit 1); held by {current_asker().worker}" in line


def test_who_holds_can_be_read(base: Path) -> None:
    limits = Limits(
        file_slots("localhost:5000", base),
        LimitPolicy(pull=3),
        who=lambda: Asker("gw3", "tests/test_a.py::test_b"),
    )
    with limits.pull("samples/nginx"):
        (holder,) = limits.holders("pull")
    assert (holder.worker, holder.test, holder.operation, holder.repository) == (
        "gw3",
        "tests/test_a.py::test_b",
        "pull",
        "samples/nginx",
    )
    assert abs(holder.since - time.time()) < 10


def test_the_holder_is_the_test_by_itself(limits: Limits, request: pytest.FixtureRequest) -> None:
    with limits.pull():
        assert limits.holders("pull")[0].test == request.node.nodeid


def test_a_nested_call_of_the_same_kind_takes_no_second_slot(base: Path) -> None:
    limits = limits_at(base, pull=1, timeout=1)
    with limits.pull("whole") as whole, limits.pull("part") as part:
        assert len(limits.holders("pull")) == 1
        part.transferred(5)
        with limits.pull() as part_of_part:
            part_of_part.transferred(2)
        with limits.pull():
            pass
    assert whole.waited == 0.0
    (record,) = records(base)
    assert (record.repository, record.transferred) == ("whole", 7)


def test_a_nested_call_in_another_thread_takes_a_slot_of_its_own(base: Path) -> None:
    limits = limits_at(base, pull=1, timeout=0.1)
    with limits.pull(), ThreadPoolExecutor(1) as pool:
        late = pool.submit(lambda: limits.pull().__enter__())
        assert isinstance(late.exception(), SlotTimeout)


def test_the_slots_of_another_registry_are_others(base: Path) -> None:
    one, other = (
        Limits(file_slots(registry, base), LimitPolicy(pull=1, timeout=1))
        for registry in ("a.example:5000", "b.example:5000")
    )
    with one.pull(), other.pull():
        assert (len(one.holders("pull")), len(other.holders("pull"))) == (1, 1)
    with other.pull(), pytest.raises(RegistryError, match="then by registry"):
        one.pull().__enter__()


def test_a_copy_takes_its_pull_slot_first(limits: Limits) -> None:
    with limits.pull("a"), limits.push("b"):
        pass
    with (
        limits.push("b"),
        pytest.raises(RegistryError, match="take both at the beginning"),
        limits.pull("a"),
    ):
        pass
    with limits.pull("a"), limits.push("b"):
        pass


def test_a_turn_is_good_for_one_use(limits: Limits) -> None:
    turn = limits.pull()
    with turn:
        with pytest.raises(RuntimeError, match="one use"):
            turn.__enter__()
        assert len(limits.holders("pull")) == 1
    with pytest.raises(RuntimeError, match="one use"):
        turn.__enter__()


def test_limits_decorate_functions(limits: Limits) -> None:
    @limits.pull
    def bare(word: str) -> str:
        """Say how many hold."""
        return f"{word} {len(limits.holders('pull'))}"

    @limits.push("samples/nginx")
    def named() -> str:
        return limits.holders("push")[0].repository

    assert (bare("held"), bare(word="held")) == ("held 1", "held 1")
    assert (named(), named()) == ("samples/nginx", "samples/nginx")
    assert (bare.__name__, bare.__doc__) == ("bare", "Say how many hold.")


def test_commands_run_in_a_slot(limits: Limits, base: Path) -> None:
    done = limits.run_pull(
        [sys.executable, "-c", "print('pulled')"], repository="a", capture_output=True, text=True
    )
    assert done.stdout == "pulled\n"
    with pytest.raises(subprocess.CalledProcessError):
        limits.run_push([sys.executable, "-c", "raise SystemExit(3)"])
    left = limits.run_push([sys.executable, "-c", "raise SystemExit(3)"], check=False)
    assert left.returncode == 3
    assert [(each.kind, each.outcome) for each in records(base)] == [
        ("pull", "done"),
        ("push", "failed"),
        ("push", "done"),
    ]


def test_a_narrowed_limit_holds_within_the_shared_one(base: Path) -> None:
    limits = limits_at(base, pull=5)
    assert most_at_once(limits.narrowed(pull=2)) == 2
    assert most_at_once(limits.narrowed(pull=4).narrowed(pull=3)) == 3
    assert most_at_once(limits.narrowed(pull=20)) == 5
    assert most_at_once(limits.narrowed(push=1)) == 5


def test_a_narrowed_limit_narrows_what_had_none(base: Path) -> None:
    assert most_at_once(limits_at(base, pull=None).narrowed(pull=2)) == 2


def test_a_narrowed_limit_leaves_the_rest_to_others(base: Path) -> None:
    limits = limits_at(base, pull=3, timeout=1)
    narrowed = limits.narrowed(pull=1)
    with narrowed.pull():
        with held_elsewhere(limits), held_elsewhere(limits):
            assert len(limits.holders("pull")) == 3
        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(lambda: narrowed.pull().__enter__()).exception()
    assert isinstance(late, SlotTimeout)
    assert "(limit 1)" in str(late)


def test_a_narrowed_limit_is_of_one_or_more(limits: Limits) -> None:
    with pytest.raises(OptionError):
        limits.narrowed(pull=0)
    assert (limits.narrowed(pull=1).policy.pull, limits.policy.pull) == (1, 2)


def test_each_operation_leaves_one_record(base: Path) -> None:
    limits = limits_at(base, timeout=0.1)
    before = time.time()
    with limits.pull("samples/nginx", reference="1.25") as operation:
        operation.transferred(1000)
        operation.transferred(24)
        time.sleep(0.05)
    with pytest.raises(PullError), limits.pull("failing"):
        raise PullError("pull a", "it broke")
    with pytest.raises(ValueError, match="secret"), limits.push("foreign"):
        raise ValueError("a secret")
    with held_elsewhere(limits), pytest.raises(SlotTimeout):
        limits.pull("late").__enter__()
    done, failed, foreign, late, _ = records(base)
    assert (done.kind, done.repository, done.reference) == ("pull", "samples/nginx", "1.25")
    assert (done.transferred, done.outcome, done.waited, done.error) == (1024, "done", 0.0, "")
    assert before <= done.start <= time.time()
    assert 0.05 <= done.duration < 10
    assert failed.outcome == "failed"
    assert failed.error.startswith("PullError: could not pull a: it broke")
    assert (foreign.outcome, foreign.error) == ("failed", "ValueError")
    assert (late.outcome, late.duration) == ("timeout", 0.0)
    assert late.waited >= 0.1


def test_a_record_that_cannot_be_written_is_told_unless_something_else_is(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots, policy = file_slots("localhost:5000", base), LimitPolicy(pull=1)
    limits = Limits(slots, policy, log=base / "missing" / "events")
    with pytest.raises(StateError, match="append to the event log"), limits.pull():
        pass
    with pytest.raises(ValueError, match="the body's own"), limits.pull():
        raise ValueError("the body's own")

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(turn, "pause", interrupt)
    with held_elsewhere(Limits(slots, policy)), pytest.raises(KeyboardInterrupt):
        limits.pull().__enter__()


def test_importing_limits_costs_no_lock_library() -> None:
    code = (
        "import sys, pytest_registry.limits.operations, pytest_registry.limits.directory;"
        "assert not {'filelock', 'docker', 'pytest'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
