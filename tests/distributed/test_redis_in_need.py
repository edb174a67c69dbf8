"""A Redis that answers and takes nothing: for now, which is waited for, or for good."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_registry.errors import SlotTimeout, StateError
from pytest_registry.limits.leases import Leases, NoRedis
from pytest_registry.options import LONGEST_LEASE
from tests.distributed.conftest import LEASE, limits_of

if TYPE_CHECKING:
    from tests.distributed.conftest import RedisServer

NEEDS = [
    ("maxmemory", "1", "0"),
    ("min-replicas-to-write", "1", "0"),
]


@contextmanager
def client_of(server: RedisServer) -> Iterator[Any]:
    import redis

    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.mark.parametrize(("setting", "bad", "good"), NEEDS)
def test_a_redis_that_takes_no_writes_for_now_is_waited_for_and_named(
    redis_server: RedisServer, setting: str, bad: str, good: str
) -> None:
    with client_of(redis_server) as client:
        client.config_set(setting, bad)
        with pytest.raises(SlotTimeout, match=r"Redis at .* takes nothing now"):
            limits_of(redis_server.url, LEASE, timeout=0.5).pull().__enter__()
        back = threading.Timer(1.0, client.config_set, (setting, good))
        back.start()
        with limits_of(redis_server.url, LEASE).pull() as operation:
            assert operation.waited > 0
        back.join()


@pytest.mark.parametrize(
    "said",
    [
        "MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk.",
        "ERR Error running script (call to f_1): @user_script:35: -OOM command not allowed",
        "CLUSTERDOWN The cluster is down",
    ],
)
def test_what_passes_is_told_from_what_does_not_by_redis_own_words(said: str) -> None:
    from redis.exceptions import ResponseError

    leases = Leases("redis://127.0.0.1:1", "registry.example", LEASE)
    assert isinstance(leases._trouble(ResponseError(said)), NoRedis)
    assert isinstance(leases._trouble(ResponseError("WRONGTYPE no such luck")), StateError)


def test_a_slot_that_redis_refused_to_take_back_is_given_back_once_it_does_not(
    redis_server: RedisServer,
) -> None:
    turn = limits_of(redis_server.url, LONGEST_LEASE).pull()
    turn.__enter__()
    with client_of(redis_server) as client:
        client.config_set("requirepass", "new")
        client.client_kill_filter(_type="normal", skipme=True)
        turn.__exit__(None, None, None)
        time.sleep(1)  # it is tried again meanwhile
        client.config_set("requirepass", "")
    # Sooner than its lease is over.
    with limits_of(redis_server.url, LEASE, timeout=LONGEST_LEASE / 2).pull():
        pass
