"""Commands that push and pull: logged in, within the run's limits, and raising where they fail."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytest_registry.clients.engine_words import COMMAND, fail
from pytest_registry.errors import EngineUnavailable, PullError, PushError, RegistryError
from pytest_registry.images.image import Image
from pytest_registry.limits.policy import OperationLimits, slot_for

TIMEOUT = 600.0
"""Seconds that a command may take."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a command that succeeded said."""

    command: tuple[str, ...]
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return self.stdout


class DockerCommand:
    """The `docker` command, or one that takes the same arguments (podman).

    `outputs` keeps what every command said, the last one last. `host` is the registry's name for
    the engine's daemon, for which limits hold, and `here` its name on this machine, with which the
    references of images begin; `environment` is made when it is first needed.
    """

    def __init__(
        self,
        host: str,
        limits: OperationLimits,
        environment: Callable[[], Mapping[str, str]],
        program: Sequence[str] = ("docker",),
        *,
        here: str = "",
    ) -> None:
        self._host = host
        self._here = here or host
        self._limits = limits
        self._environment = environment
        self._program = tuple(program)
        self.outputs: list[Output] = []

    def push(self, image: Image | str, *options: str) -> Output:
        """Push a local tag, within a push slot; raises PushError, AuthenticationFailed."""
        reference = self._reference(image)
        with slot_for(self._limits, "push", reference, self._host):
            return self._run("push", *options, reference, kind=PushError)

    def pull(self, image: Image | str, *options: str) -> Output:
        """Pull, within a pull slot; raises PullError, ImageNotFound, AuthenticationFailed."""
        reference = self._reference(image)
        with slot_for(self._limits, "pull", reference, self._host):
            return self._run("pull", *options, reference, kind=PullError)

    def run(self, *arguments: str, stdin: str | None = None) -> Output:
        """Any other command, such as `run("tag", "nginx", reference)`; raises RegistryError.

        No slot is taken: what pulls by the way (`docker run`) is better pulled before.
        """
        return self._run(*arguments, stdin=stdin)

    def _run(
        self, *arguments: str, kind: type[RegistryError] = RegistryError, stdin: str | None = None
    ) -> Output:
        command = (*self._program, *arguments)
        asked = f"run {' '.join(command)}"
        try:
            done = subprocess.run(
                command,
                env=dict(self._environment()),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT,
                check=False,
            )
        except OSError as error:
            remedy = "install it, or use registry_docker_client or registry_client, which need none"
            raise EngineUnavailable(asked, error.strerror or str(error), remedy) from error
        except subprocess.TimeoutExpired as error:
            section = kind.section or COMMAND
            raise kind(asked, f"it did not end within {TIMEOUT:g} s", section=section) from error
        output = Output(command, done.stdout, done.stderr)
        self.outputs.append(output)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip() or f"it ended with {done.returncode}"
            fail(asked, said, kind, own=arguments[-1].startswith(f"{self._host}/"))
        return output

    def _reference(self, image: Image | str) -> str:
        """As the daemon, which may be on another machine, reaches an image of the registry."""
        if not isinstance(image, Image):
            return image
        host, _, name = image.reference.partition("/")
        return f"{self._host}/{name}" if self._host and host == self._here else image.reference
