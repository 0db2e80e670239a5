"""How full the disk under the data directory is, and what may still be written: one measure for all that takes room."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes in use and bytes that this program may still use, as ``df`` counts them."""

    used_bytes: int
    free_bytes: int

    def __str__(self) -> str:
        free, kept = self.free_bytes / 1e9, self.reserve_bytes / 1e9
        return f"{self.full_percent:.0f} % full, {free:,.1f} GB free of which {kept:,.1f} GB stay free"

    @property
    def full_percent(self) -> float:
        return 100 * self.used_bytes / max(1, self.used_bytes + self.free_bytes)

    @property
    def takes_uploads(self) -> bool:
        """Whether new uploads are begun; what is under way goes on beyond."""
        return self.full_percent < int(settings.DISK_WATERMARK_PERCENT)

    @property
    def reserve_bytes(self) -> int:
        """What stays free whatever happens: databases and logs need it."""
        part = (self.used_bytes + self.free_bytes) * settings.FREE_DISK_PERCENT // 100
        return max(int(settings.FREE_DISK_BYTES), int(part))

    @property
    def room_bytes(self) -> int:
        """What may still be written."""
        return max(0, self.free_bytes - self.reserve_bytes)


def disk() -> Disk:
    """As it is now."""
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    found = shutil.disk_usage(settings.DATA_DIR)
    return Disk(found.used, found.free)
