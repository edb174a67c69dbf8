"""The same client, corrected: it waits as long as the registry asks it to."""

import hashlib
import json
import time
import urllib.error
import urllib.request
from http.client import IncompleteRead

ACCEPT = "application/vnd.oci.image.manifest.v1+json"
TRIES = 5


class PullFailed(Exception):
    """The image could not be pulled."""


def pull(url, repository, tag, authorization):
    """The layers of an image, verified."""
    manifest = json.loads(_fetch(f"{url}/v2/{repository}/manifests/{tag}", authorization))
    return [
        _verified(_fetch(f"{url}/v2/{repository}/blobs/{each['digest']}", authorization), each)
        for each in manifest["layers"]
    ]


def _fetch(url, authorization):
    headers = {"Authorization": authorization, "Accept": ACCEPT, "User-Agent": "patient/1"}
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code not in (429, 500, 502, 503, 504):
                raise PullFailed(f"{url}: {error}") from error
            time.sleep(_pause(attempt, error.headers))
        except (IncompleteRead, ConnectionError, urllib.error.URLError):
            time.sleep(_pause(attempt, {}))
    raise PullFailed(f"{url}: no answer after {TRIES} tries")


def _pause(attempt, headers):
    told = headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else 0.1 * 2**attempt


def _verified(content, descriptor):
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if digest != descriptor["digest"]:
        raise PullFailed(f"{descriptor['digest']} came as {digest}")
    return content
