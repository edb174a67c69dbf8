"""Who this process is to the registry: an xdist worker has an account of its own.

So the log of requests and the faults of a test can tell workers apart, whatever client was used.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pytest_registry.engines.endpoint import Endpoint
from pytest_registry.security.credentials import Credentials
from pytest_registry.sharing.run import Run
from pytest_registry.watch import worker_account


def known_as(run: Run, endpoint: Endpoint, worker: str) -> tuple[Endpoint, Path]:
    """The endpoint with this process's own account, and the DOCKER_CONFIG directory of it.

    `worker` is the id of this xdist worker, empty in a run without workers. The account is the
    run's where no gate tells accounts apart, or there are none. Raises StateError.
    """
    known = endpoint.accounts is not None or endpoint.worker_names
    if not worker or endpoint.request_log is None or not known:
        return endpoint, run.client_config
    from pytest_registry.security.accounts import Account, AccountsFile

    mine = Credentials(worker_account(endpoint, worker), endpoint.credentials.password)
    if endpoint.accounts is not None:
        AccountsFile(Path(endpoint.accounts)).add(Account.of_everything(mine))
    config = run.client_config.with_name(f"{run.client_config.name}-{worker}")
    own = dataclasses.replace(endpoint, credentials=mine)
    own.write_client_config(config)
    return own, config
