"""The sample image: nginx, or a made-up one where nginx is not to be had, and says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_registry.contents import repository_of
from pytest_registry.errors import TransferError
from pytest_registry.images.image import STAND_IN, Image
from pytest_registry.registry import Registry
from pytest_registry.settings import Settings

if TYPE_CHECKING:
    from pytest_registry.images.source import ImageSource


Note = Callable[[str], object]
"""Is told why a synthetic image stands for the sample image, for the run's summary."""

NGINX_REPOSITORY = "samples/nginx"
"""Where the sample image stands in the registry."""


@dataclass(frozen=True, slots=True)
class Push:
    """What the `registry_push` fixture is: it pushes into a test's namespace, if not told where."""

    registry: Registry
    settings: Settings
    namespace: str
    note: Note

    def __call__(
        self,
        source: str | Path | ImageSource | None = None,
        repository: str | None = None,
        tag: str = "latest",
        *,
        platform: str | None = None,
    ) -> Image:
        """Push `source`, or the sample image for None; raises what `Registry.push` raises."""
        if repository is None:
            name = repository_of(self.settings.sample_image if source is None else source)
            repository = f"{self.namespace}/{name}"
        if source is None:
            return self._push_sample(repository, tag, platform)
        return self.registry.push(source, repository, tag, platform=platform)

    def _push_sample(self, repository: str, tag: str, platform: str | None) -> Image:
        """Push the sample image, or where the settings did not name one, a synthetic one for it.

        That is where neither an engine nor the upstream registry can give it.
        """
        sample = self.settings.sample_image
        if self.settings.is_default("sample_image"):
            try:
                self.registry.find(sample, platform=platform)
            except TransferError as error:
                self.note(error.happened)
                return _push_synthetic(self.registry, repository, tag, error.happened)
        return self.registry.push(sample, repository, tag, platform=platform)


def _push_synthetic(registry: Registry, repository: str, tag: str, why: str) -> Image:
    from pytest_registry.images.synthetic import synthetic_image

    return registry.push(synthetic_image(annotations={STAND_IN: why}), repository, tag)
