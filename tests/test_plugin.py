"""What users see of the plugin: nothing where it is not used, one line where it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

HEAVY = ("docker", "testcontainers", "requests", "urllib3", "filelock", "bcrypt", "http.server")
# The controller of an xdist run begins the run, by a lock in its memory, to tell its workers of it.
MODULES = {"controller": 18, "gw0": 5, "gw1": 5}
"""How many of our modules each process of a run with workers may import where no test asks."""

TELLS_MODULES = """
    import json, sys, pathlib
    import pytest

    def tell(name):
        modules = sorted(sys.modules)
        pathlib.Path(__file__).with_name(f"modules-{name}.json").write_text(json.dumps(modules))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(session):
        # xdist waits for a worker until then; what is run after it varies with the load.
        if hasattr(session.config, "workerinput"):
            tell(session.config.workerinput["workerid"])

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(config):
        if not hasattr(config, "workerinput"):
            tell("controller")
"""
USES_NOTHING = "def test_one(): pass\ndef test_two(): pass"
USES_THE_REGISTRY = """
    def test_one(registry): print("one")
    def test_two(registry): print("two")
"""
EMBEDDED = "--registry-engine=embedded"
LINE = re.compile(
    r"^registry: embedded, storage on disk, at http://127\.0\.0\.1:\d+ .*\(asked for by"
)


def run(pytester: pytest.Pytester, *arguments: str) -> tuple[dict[str, set[str]], list[str]]:
    """The modules that each process of a run had at its end, and what was said of a registry."""
    for old in pytester.path.glob("modules-*.json"):
        old.unlink()
    result = pytester.runpytest_subprocess(*arguments, "--rootdir=/")
    assert result.ret == 0
    modules = {
        path.stem.removeprefix("modules-"): set(json.loads(path.read_text()))
        for path in pytester.path.glob("modules-*.json")
    }
    said = [line for line in result.outlines if "registry" in line and "plugins:" not in line]
    return modules, said


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] == "pytest_registry"}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty temporary directory for the runs that the test starts."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


def test_an_unused_plugin_imports_next_to_nothing_says_nothing_and_leaves_no_trace(
    pytester: pytest.Pytester, state: Path
) -> None:
    pytester.makeconftest(TELLS_MODULES)
    pytester.makepyfile(test_it=USES_NOTHING)
    there, said = run(pytester, "--verbose", "--registry-engine=embedded")
    without, _ = run(pytester, "-p", "no:registry")
    extra = there["controller"] - without["controller"]
    assert not extra.intersection(HEAVY)
    assert len(ours(extra)) <= 5, ours(extra)
    assert said == []
    assert not list(state.glob("pytest-registry-*"))


def test_an_unused_plugin_is_as_quiet_and_cheap_in_a_run_with_workers(
    pytester: pytest.Pytester, state: Path
) -> None:
    pytester.makeconftest(TELLS_MODULES)
    pytester.makepyfile(test_it=USES_NOTHING)
    processes, said = run(pytester, "-n2")
    assert set(processes) == set(MODULES)
    for name, modules in processes.items():
        assert not modules.intersection(HEAVY), name
        assert len(ours(modules)) <= MODULES[name], ours(modules)
    assert said == []
    assert not list(state.glob("pytest-registry-*"))


def test_pytest_rewrites_the_asserts_of_tests_and_loads_the_plugin_as_it_is(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("""
        import sys

        def loaders(prefix):
            loaded = [name for name in sys.modules if name.startswith(prefix)]
            return {type(sys.modules[name].__loader__).__name__ for name in loaded}

        def test_one(registry):
            assert loaders("pytest_registry.") == {"SourceFileLoader"}
            assert loaders(__name__) == {"AssertionRewritingHook"}
    """)
    result = pytester.runpytest_subprocess("--registry-engine=embedded")
    result.assert_outcomes(passed=1)


def test_nothing_of_the_plugin_hangs_in_the_interpreter_after_a_run(
    pytester: pytest.Pytester,
) -> None:
    """All that a finder of modules leads to is taken down last, one by one."""
    pytester.makepyfile(test_it=USES_NOTHING)
    script = pytester.makepyfile(
        run="""
        import sys

        import pytest

        before = list(sys.meta_path)
        assert pytest.main(["-p", "no:cacheprovider", "test_it.py"]) == 0
        assert "pytest_registry.plugin" in sys.modules
        assert sys.meta_path == before
        """
    )
    assert pytester.runpython(script).ret == 0


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "two workers"])
def test_verbose_shows_one_line_which_engine_and_why_before_the_summary(
    pytester: pytest.Pytester, leaves_nothing_behind: None, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(USES_THE_REGISTRY)
    result = pytester.runpytest_subprocess("-v", "--registry-engine=embedded", *workers)
    result.assert_outcomes(passed=2)
    before, _, summary = result.stdout.str().partition("= registry =")
    lines = [line for line in before.splitlines() if line.startswith("registry: ")]
    assert len(lines) == 1
    assert LINE.match(lines[0])
    assert lines[0].endswith("(asked for by the command line's --registry-engine)")
    assert len(summary.splitlines()) <= 6


def test_without_verbose_only_a_short_summary_tells_of_the_registry(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(USES_THE_REGISTRY)
    result = pytester.runpytest_subprocess("--registry-engine=embedded", "--quiet")
    result.assert_outcomes(passed=2)
    before, _, summary = result.stdout.str().partition("= registry =")
    assert "registry: " not in before
    assert LINE.match(summary.splitlines()[1])
    assert len(summary.splitlines()) <= 6


@pytest.mark.parametrize("source", ["flag", "environment", "ini"])
def test_an_unknown_value_is_a_usage_error_before_any_test_runs(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str, state: Path
) -> None:
    pytester.makepyfile("open('test-module-was-imported', 'w')")
    arguments = ["--registry-engine=vm"] if source == "flag" else []
    if source == "environment":
        monkeypatch.setenv("PYTEST_REGISTRY_ENGINE", "vm")
    if source == "ini":
        pytester.makeini("[pytest]\nregistry_engine = vm")
    result = pytester.runpytest_subprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    named = {
        "flag": "the command line's --registry-engine",
        "environment": "the environment's PYTEST_REGISTRY_ENGINE",
        "ini": "the ini file's registry_engine",
    }
    said = result.stderr.str()
    assert "could not use 'vm' as the registry's engine" in said
    assert f"it came from {named[source]}, which takes one of auto, container, embedded" in said
    assert "Traceback" not in said
    assert not (pytester.path / "test-module-was-imported").exists()


def test_a_misspelt_variable_is_a_usage_error_before_any_test_runs(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    pytester.makepyfile("open('test-module-was-imported', 'w')")
    monkeypatch.setenv("PYTEST_REGISTRY_ENGIN", "docker")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = result.stderr.str()
    assert "could not use the environment's PYTEST_REGISTRY_ENGIN: there is no such option" in said
    assert "write PYTEST_REGISTRY_ENGINE, or unset it" in said
    assert "Traceback" not in said
    assert not (pytester.path / "test-module-was-imported").exists()


BAD_MARKS = {
    "push_image(repo='a')": "unexpected keyword argument 'repo'",
    "push_image('a', 'b')": "too many positional arguments",
    "push_image(repository='A')": "'A' is not a repository name",
    "registry_limits(pull=0)": "out of range",
    "registry_limits(pulls=1)": "unexpected keyword argument 'pulls'",
    "registry_limits": "the mark registry_limits: it is given nothing",
    "registry_limits(pull='2')": "'2' as the pull limit of the mark registry_limits: it is no",
    "registry_limits(2, push=1.5)": "1.5 as the push limit of the mark registry_limits",
    "registry_limits(pull=True)": "True as the pull limit of the mark registry_limits",
    "registry_needs": "the mark registry_needs: it is given nothing",
    "registry_needs(feature='delete')": "unexpected keyword argument 'feature'",
    "registry_needs('mount', 'deletion')": "supports 'deletion'",
}


def test_a_bad_mark_is_an_error_of_ours_in_its_test_only(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    tests = [
        f"@pytest.mark.{mark}\ndef test_{number}(): pass" for number, mark in enumerate(BAD_MARKS)
    ]
    pytester.makepyfile("\n".join(["import pytest", "def test_good(registry): pass", *tests]))
    result = pytester.runpytest_subprocess("--registry-engine=embedded", "--tb=short")
    result.assert_outcomes(passed=1, errors=len(BAD_MARKS))
    said = result.stdout.str()
    ours = r"^E +pytest_registry\.errors\.(OptionError|InvalidReference): could not"
    assert len(re.findall(ours, said, re.MULTILINE)) == len(BAD_MARKS)
    for happened in BAD_MARKS.values():
        assert happened in said


def test_a_mark_on_one_parameter_is_about_no_other(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, leaves_nothing_behind: None
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    pytester.makepyfile(
        """
        import pytest
        from pytest_registry import synthetic_image

        marked = pytest.mark.push_image(synthetic_image())

        @pytest.mark.parametrize("x", [1, pytest.param(2, marks=marked), 3])
        def test_it(x): pass
        """
    )
    failing = pytester.runpytest_subprocess("--registry-engine=container")
    failing.assert_outcomes(passed=2, errors=1)
    failing.stdout.fnmatch_lines("ERROR *::test_it[[]2[]]*")
    pushing = pytester.runpytest_subprocess("--registry-engine=embedded")
    pushing.assert_outcomes(passed=3)
    pushing.stdout.fnmatch_lines("1 push, *")


def test_a_marks_image_stands_below_samples_by_its_own_name(
    pytester: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_registry import synthetic_image

        @pytest.mark.push_image(synthetic_image())
        @pytest.mark.push_image(repository="elsewhere")
        @pytest.mark.push_image
        def test_it(registry_images):
            names = [image.repository for image in registry_images]
            assert names == ["samples/nginx", "elsewhere", "samples/synthetic-0"]
        """
    )
    pytester.runpytest_subprocess("--registry-engine=embedded").assert_outcomes(passed=1)


def test_marks_and_fixtures_are_documented_for_those_who_ask_pytest(
    pytester: pytest.Pytester,
) -> None:
    marks = pytester.runpytest_subprocess("--markers").stdout.str()
    assert "@pytest.mark.push_image(" in marks
    assert "@pytest.mark.registry_limits(" in marks
    shown = pytester.runpytest_subprocess("--fixtures").stdout.str()
    for fixture in ("registry", "registry_nginx_image", "registry_env", "registry_push"):
        assert re.search(rf"^{fixture}\b.*-- ", shown, re.MULTILINE)
    assert "no docstring available" not in shown.partition("fixtures defined from pytest_reg")[2]


def test_every_test_gets_the_same_error_and_only_the_first_one_pays_for_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, leaves_nothing_behind: None
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("number", range(8))
        def test_it(registry, number): pass
        """
    )
    result = pytester.runpytest_subprocess("--registry-engine=container", "--tb=line", "-n2")
    result.assert_outcomes(errors=8)
    said = result.stdout.str()
    assert said.count("EngineUnavailable: could not reach a container engine") >= 8


@pytest.mark.parametrize("options", [("-p", "no:terminal"), ("--no-summary", "-n2")], ids=" ".join)
def test_the_report_is_written_though_no_summary_tells_of_it(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    pytester.makepyfile(USES_THE_REGISTRY)
    result = pytester.runpytest_subprocess(EMBEDDED, "--registry-report=r.html", *options)
    assert result.ret == 0
    assert "</html>" in (pytester.path / "r.html").read_text()
    told = [line for line in result.errlines if line.startswith("report: ")]
    assert len(told) == ("no:terminal" in options), result.stderr.str()
