"""A socket that somebody listens at before its address is told.

In: host and port. Out: a listening socket: whoever comes at once waits, rather than being refused.
"""

import socket

from epigone.errors import SpecError


def listening_at(host: str, port: int) -> socket.socket:
    """Listen; port 0 is any free one. Raises SpecError for a port that is taken."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen()
    except OSError as error:
        found.close()
        raise SpecError(f"cannot listen on {host}:{port}: {error.strerror}; name another --port, or 0") from error
    return found
