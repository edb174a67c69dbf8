"""What the keeper does: start the engine, tell of it, watch it, and stop it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from pytest_registry.engines.endpoint import Birth, Engine
from pytest_registry.engines.security import Security
from pytest_registry.engines.select import choose
from pytest_registry.errors import RegistryError
from pytest_registry.security.accounts import Account, AccountsFile
from pytest_registry.security.credentials import Credentials
from pytest_registry.security.files import write_secret
from pytest_registry.sharing import cleanup, elsewhere, kept, state
from pytest_registry.sharing.last_words import last_words
from pytest_registry.sharing.run import Run

if TYPE_CHECKING:
    from pytest_registry.gate.throttle import Throttle


def start(run: Run) -> Engine | None:
    """Start the registry and write the run's state; None where that failed and was told."""
    began = time.monotonic()
    engine = None
    try:
        engine = _choose(run)
        if engine.uses_container_engine:
            run.used_engine.touch(mode=0o600)
            # Before the start: an engine that was restarted gives the same ports again, and tags
            # under the port of a living registry may be anybody's.
            cleanup.pay_debts(run)
        endpoint = engine.start(_birth(run))
        if endpoint.engine == "container":
            cleanup.note_references(run, endpoint.daemon_place)
        if endpoint.engine == "external" and run.id in endpoint.prefix:
            elsewhere.try_features(run, endpoint, _tell_the_starter)
        endpoint.write_client_config(run.client_config)
        if run.settings.keep:
            kept.mark(run)
        state.write_endpoint(run, endpoint.started_in(time.monotonic() - began))
    except RegistryError as error:
        if engine is not None:
            engine.stop()
        state.write_error(run, error)
        return None
    return engine


def watch(run: Run, engine: Engine) -> None:
    """Wait for the registry's end, and tell of it if it comes before the run's."""
    how = engine.wait()
    state.write_end(run, how, last_words(run))


def bury(run: Run, how: str) -> None:
    """Tell that the keeper died, and with it the registry."""
    with contextlib.suppress(RegistryError, OSError):
        if run.state.exists():
            state.write_end(run, f"its keeper process {how}", last_words(run))
        else:
            state.write_error(run, state.not_told(run, how))


def stop(run: Run, engine: Engine | None) -> None:
    """Stop the registry and remove all that the run made."""
    if engine is not None:
        engine.stop()
    cleanup.clean(run)


def sweep(run: Run) -> None:
    """Remove what dead runs left; failures are theirs, not this run's."""
    with contextlib.suppress(RegistryError, OSError):
        cleanup.sweep(run)
        cleanup.pay_debts(run)


def _choose(run: Run) -> Engine:
    """The engine of the settings; a kept registry where one may be used again."""
    why_new = ""
    if run.settings.reuse:
        engine, why_new = kept.find(run)
        if engine is not None:
            write_secret(run.reused, str(engine.run.directory))
            return engine
        why_new = f"; no kept registry was used again: {why_new}"
    return choose(run.settings, lambda image: _note_pull(run, image), why_new)


def _tell_the_starter(line: str) -> None:
    """Say what the start waits for, to the process that waits for the start."""
    with contextlib.suppress(OSError):  # it was killed
        print(line, flush=True)


def _note_pull(run: Run, image: str) -> None:
    with run.pulled.open("a", encoding="utf-8") as file:
        file.write(f"{image}\n")


def _throttle(run: Run) -> Throttle | None:
    """What the option asks for; raises OptionError."""
    settings = run.settings
    if settings.throttle is None:
        return None
    from pytest_registry.gate.throttle import throttle_of

    return throttle_of(
        settings.throttle, pull_limit=settings.pull_limit, push_limit=settings.push_limit
    )


def _birth(run: Run) -> Birth:
    settings = run.settings
    credentials = Credentials.random()
    AccountsFile(run.accounts).begin(Account.of_everything(credentials))
    return Birth(
        run_id=run.id,
        storage=run.storage,
        log=run.registry_log,
        labels=run.labels,
        credentials=credentials,
        start_timeout=settings.start_timeout,
        requests=run.requests,
        throttle=_throttle(run),
        security=Security(
            auth=settings.auth,
            tls=settings.tls,
            token_lifetime=settings.token_lifetime,
            accounts=run.accounts,
            directory=run.certificates,
        ),
    )
