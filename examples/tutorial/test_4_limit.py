"""Step 4: six threads that pull, of which only so many may at once."""

import time
from concurrent.futures import ThreadPoolExecutor


def test_six_threads_keep_to_the_limit(registry):
    def pull(_):
        with registry.limits.pull("samples/nginx"):
            time.sleep(0.5)  # what your tool does
            return len(registry.limits.holders("pull"))

    with ThreadPoolExecutor(6) as threads:
        at_once = max(threads.map(pull, range(6)))
    assert at_once <= registry.limits.policy.pull
