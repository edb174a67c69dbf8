"""What a user sees of waiting."""

from __future__ import annotations

import pytest

SUITE = """
    import threading

    def test_waits(registry):
        held, enough = threading.Event(), threading.Event()

        def hold():
            with registry.limits.push("team/first"):
                held.set()
                enough.wait(9)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(30)
        with registry.limits.push("team/second"):
            pass
        holder.join()
"""
OPTIONS = ("-p", "no:cacheprovider", "--registry-engine=embedded", "--registry-push-limit=1")


def test_a_verbose_run_says_after_five_seconds_what_it_waits_for_and_who_holds_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(SUITE)
    told = pytester.runpytest_subprocess("-v", *OPTIONS)
    told.assert_outcomes(passed=1)
    said = (
        r"pytest-registry: waiting for ([5-9]|\d\d+) s for a push slot for team/second.*team/first"
    )
    told.stderr.re_match_lines([said])
