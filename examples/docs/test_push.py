"""Snippets of "Push images of every kind"."""

import shutil

import pytest

from pytest_registry import ProtocolError, synthetic_image

NGINX = "nginx"


def test_from_the_docker_engine_or_upstream(registry, registry_namespace):
    image = registry.push(NGINX, f"{registry_namespace}/nginx", "1.0")
    assert image.reference == registry.reference(f"{registry_namespace}/nginx", "1.0")
    assert registry.image(f"{registry_namespace}/nginx", "1.0").digest == image.digest


@pytest.mark.push_image(repository="samples/other", tag="2.0")
def test_by_a_mark(registry, registry_images):
    assert registry.exists("samples/other", "2.0")
    assert registry_images[0].repository == "samples/other"


def test_from_an_oci_layout(registry, registry_push, tmp_path):
    made = registry_push(synthetic_image())
    registry.client.pull(made.repository, made.tag, to=tmp_path / "layout")
    pushed = registry_push(tmp_path / "layout")
    assert pushed.digest == made.digest


def test_from_a_tar_of_a_layout(registry, registry_push, tmp_path):
    made = registry_push(synthetic_image())
    registry.client.pull(made.repository, made.tag, to=tmp_path / "layout")
    shutil.make_archive(str(tmp_path / "app"), "tar", tmp_path / "layout")
    assert registry_push(tmp_path / "app.tar").digest == made.digest


def test_from_what_docker_saved(registry_push, registry_docker_cli, tmp_path):
    registry_docker_cli.run("save", "--output", str(tmp_path / "nginx.tar"), NGINX)
    image = registry_push(tmp_path / "nginx.tar")
    assert image.size > 1_000_000


def test_made_up(registry, registry_push):
    image = registry_push(synthetic_image(seed=7, layers=3, layer_size=100_000))
    assert len(registry.manifest(image.repository).layers) == 3


def test_several_platforms(registry, registry_push):
    platforms = ["linux/amd64", "linux/arm64"]
    index = registry_push(synthetic_image(platforms=platforms), "team/index")
    _, arm64 = registry.manifest("team/index").manifests
    assert registry.pull(index).digest == index.digest

    one = registry_push(synthetic_image(platforms=platforms), platform="linux/arm64")
    assert one.digest == arm64.digest


def test_an_artifact(registry, registry_push):
    chart = synthetic_image(artifact_type="application/vnd.example.chart", layers=1)
    pushed = registry_push(chart, "charts/app")
    assert pushed.digest == chart.digest
    (content,) = registry.manifest("charts/app").layers
    assert len(registry.blob("charts/app", content.digest)) == content.size


def test_a_signature_refers_to_an_image(registry, registry_namespace):
    app = synthetic_image()
    signature = synthetic_image(
        artifact_type="application/vnd.example.signature",
        subject=app,
        annotations={"org.example.signer": "ci"},
    )
    registry.push(app, f"{registry_namespace}/app", "1.0")
    registry.push(signature, f"{registry_namespace}/app", "1.0.sig")
    registry.assert_referred(
        f"{registry_namespace}/app", "1.0", "application/vnd.example.signature"
    )


def test_content_of_ones_own(registry, registry_push):
    image = registry_push(
        synthetic_image(
            files={"/etc/app.toml": b"debug = true\n"},
            config={"Env": ["APP_MODE=test"], "Cmd": ["/app"]},
            media_types="docker",
        )
    )
    assert len(registry.manifest(image.repository).layers) == 2


def test_a_broken_image_is_refused(registry_push):
    with pytest.raises(ProtocolError) as refused:
        registry_push(synthetic_image().broken("missing-blob"))
    assert "MANIFEST_BLOB_UNKNOWN" in refused.value.codes
