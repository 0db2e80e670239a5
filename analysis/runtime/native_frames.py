"""Native frames: addresses in mapped files, and the chain of frame pointers through code that keeps one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from analysis.errors import AnalysisError, MemoryFault
from analysis.memory.elf_image import ElfImage, NamedSymbol
from analysis.memory.images import MappedImage
from analysis.memory.reader import Memory
from analysis.runtime.unwind import Registers

_MAXIMUM_FRAMES = 256


class NativeCode:
    """Names native addresses by module and, where its symbol table is in the dump, by function."""

    def __init__(self, memory: Memory, images: Sequence[MappedImage]) -> None:
        self._memory = memory
        self._images = sorted(images, key=lambda image: image.base)
        self._bases = [image.base for image in self._images]
        self._symbols: dict[int, list[NamedSymbol]] = {}
        self._labels: dict[int, str] = {}

    def image_at(self, ip: int) -> MappedImage | None:
        """The mapped file that ``ip`` lies in."""
        place = bisect_right(self._bases, ip) - 1
        image = self._images[place] if place >= 0 else None
        return image if image and ip < image.end else None

    def label(self, ip: int) -> str:
        """``module!function+0x…`` or ``module+0x…``; "" for an address in no mapped file."""
        if ip not in self._labels:
            self._labels[ip] = self._label(ip)
        return self._labels[ip]

    def _label(self, ip: int) -> str:
        image = self.image_at(ip)
        if image is None:
            return ""
        symbol = self._symbol(image, ip)
        return f"{image.name}!{symbol.name}+{ip - symbol.address:#x}" if symbol else f"{image.name}+{ip - image.base:#x}"

    def _symbol(self, image: MappedImage, ip: int) -> NamedSymbol | None:
        if image.base not in self._symbols:
            try:
                elf = ElfImage(self._memory, image.base)
                self._symbols[image.base] = elf.functions() if elf.valid else []
            except AnalysisError:
                self._symbols[image.base] = []
        symbols = self._symbols[image.base]
        place = bisect_right(symbols, ip, key=lambda symbol: symbol.address) - 1
        # A function without a size ends nobody knows where: only one that covers the address names it.
        return symbols[place] if place >= 0 and ip < symbols[place].address + symbols[place].size else None

    def frames(self, registers: Registers, managed: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
        """Instruction and stack pointers of native frames, innermost first, up to the first managed code.

        Code without frame pointers is stepped over: between two of these frames there may be others.
        """
        yield registers.rip, registers.rsp
        frame, lowest = registers.rbp, registers.rsp
        for _ in range(_MAXIMUM_FRAMES):
            if frame < lowest or frame & 7:
                return
            try:
                following, back = self._memory.u64(frame), self._memory.u64(frame + 8)
            except MemoryFault:
                return
            if managed(back) or self.image_at(back) is None:
                return
            yield back, frame + 16
            frame, lowest = following, frame + 16
