"""`forward.py ADDRESS PORT SOCKET`: what dockerd's own plain TCP would be, beside its TLS."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress


def copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, and its end: an attached container lives by that."""
    with suppress(OSError):
        while block := source.recv(1 << 16):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def serve(address: str, port: int, path: str) -> None:
    """Forward until killed."""
    with socket.create_server((address, port)) as server:
        while True:
            client, _ = server.accept()
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(path)
            for pair in ((client, engine), (engine, client)):
                threading.Thread(target=copy, args=pair, daemon=True).start()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
