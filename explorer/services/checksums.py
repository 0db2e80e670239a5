"""The checksum of one request, as the tus extension of that name has it: an algorithm, and the digest in base64."""

from __future__ import annotations

import base64
import hashlib
from hmac import compare_digest

#: SHA-1 is what every client of the protocol can be asked for; neither keeps anybody from altering bytes on purpose.
ALGORITHMS = ("sha1", "sha256")


class Checksum:
    """Bytes go in as they arrive; ``matches`` says whether they are what the client meant to send."""

    def __init__(self, header: str) -> None:
        """Raises ValueError for a header that names no algorithm known here, or no digest."""
        algorithm, _, digest = header.strip().partition(" ")
        if algorithm not in ALGORITHMS:
            raise ValueError(algorithm)
        self._expected = base64.b64decode(digest, validate=True)
        self._found = hashlib.new(algorithm, usedforsecurity=False)

    def update(self, piece: bytes) -> None:
        self._found.update(piece)

    def matches(self) -> bool:
        return compare_digest(self._found.digest(), self._expected)
