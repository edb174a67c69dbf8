"""Where nginx is not to be had, a made-up image stands for it, and nobody takes it for nginx."""

from __future__ import annotations

import pytest

NOT_NGINX = "the sample image is a synthetic one, not nginx: "

WAYS = {
    "fixture": "def image(registry_nginx_image): return registry_nginx_image",
    "mark": """def image(registry_images): return registry_images[0]
pytestmark = pytest.mark.push_image(repository="samples/nginx")
""",
    "push": "def image(registry_push): return registry_push()",
}
IMAGE = "def test_it(image): pass"


@pytest.fixture
def without_nginx(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A machine without an engine, whose upstream registry does not answer."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
    monkeypatch.setenv("PYTEST_REGISTRY_UPSTREAM", "127.0.0.1:1")
    return pytester


def lines(pytester: pytest.Pytester, way: str, test: str, *arguments: str) -> list[str]:
    """Run one test that passes; the lines about a sample image that is not nginx."""
    imports = "import pytest\nfrom pytest_registry import synthetic_image"
    pytester.makepyfile(f"{imports}\n@pytest.fixture\n{WAYS[way]}\n{test}")
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=1)
    return [line for line in result.outlines if line.startswith(NOT_NGINX)]


@pytest.mark.parametrize("way", WAYS)
def test_the_summary_says_so_whoever_pushed_it(
    way: str, without_nginx: pytest.Pytester, leaves_nothing_behind: None
) -> None:
    [told] = lines(without_nginx, way, IMAGE)
    assert "127.0.0.1:1" in told, "it says why"


def test_so_does_the_terminal_at_once_with_v_whichever_worker_pushed_it(
    without_nginx: pytest.Pytester,
) -> None:
    for arguments in (("-v",), ("-v", "-n2")):
        at_once, at_the_end = lines(without_nginx, "push", IMAGE, *arguments)
        assert at_once == at_the_end


@pytest.mark.parametrize("way", WAYS)
def test_so_does_the_image_however_one_comes_to_it(
    way: str, without_nginx: pytest.Pytester
) -> None:
    test = """
def test_it(registry, image):
    assert "127.0.0.1:1" in image.synthetic
    assert registry.image(image.repository).synthetic == image.synthetic
    assert registry.pull(image).synthetic == image.synthetic
    registry.client.copy(image.repository, "latest", registry.client, "copied", "latest")
    assert registry.image("copied").synthetic == image.synthetic
"""
    assert lines(without_nginx, way, test)


def test_an_image_that_was_asked_for_stands_for_none(without_nginx: pytest.Pytester) -> None:
    test = """
def test_it(registry, registry_push):
    image = registry_push(synthetic_image(1))
    assert image.synthetic == registry.image(image.repository).synthetic == ""
"""
    assert lines(without_nginx, "fixture", test, "-v") == []
