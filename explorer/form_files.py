"""Files in forms: at most so many bytes in one request, whoever sends it, whatever the address.

Django reads a form before the view runs (it looks for the token against forgery), so the cap stands here.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import SkipFile, TemporaryFileUploadHandler
from django.http import HttpRequest

#: What the form says around its files.
_FRAMING_BYTES = 1 << 20


class CappedFiles(TemporaryFileUploadHandler):
    """Writes files to temporary ones; what goes beyond the cap is read and dropped, so that a page can still say so."""

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._left = settings.MAXIMUM_SYMBOL_BYTES + _FRAMING_BYTES

    def receive_data_chunk(self, raw_data: bytes, start: int) -> Any:
        self._left -= len(raw_data)
        if self._left < 0:
            raise SkipFile
        return super().receive_data_chunk(raw_data, start)


def too_large(request: HttpRequest) -> bool:
    """Whether the request announced more than is taken; then files are missing from it."""
    announced = request.META.get("CONTENT_LENGTH") or "0"
    return announced.isdecimal() and int(announced) > settings.MAXIMUM_SYMBOL_BYTES + _FRAMING_BYTES
