"""How far a body of jitted code was optimised: the versions of its method that the runtime keeps.

Source: docs/design/datacontracts/CodeVersions.md and ``vm/codeversion.h`` (NativeCodeVersion::OptimizationTier) in
dotnet/runtime. The first code of a method is no version of its own: of it nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts.target import Target
from analysis.errors import AnalysisError

_TIERS = ("tier 0", "tier 1", "tier 1, replaced on the stack", "optimised", "tier 0, instrumented", "tier 1, instrumented")
_MAXIMUM_VERSIONS = 1_000


def optimisation_tier(target: Target, method_desc: int, start: int) -> str:
    """The tier of the code of a method that begins at ``start``, "" where the runtime does not say."""
    if not method_desc or not target.layout.has("NativeCodeVersionNode", "OptimizationTier"):
        return ""
    try:
        for node in versions_of(target, method_desc):
            if target.pointer(node, "NativeCodeVersionNode", "NativeCode") == start:
                tier = target.u32(node, "NativeCodeVersionNode", "OptimizationTier")
                return _TIERS[tier] if tier < len(_TIERS) else ""
    except AnalysisError:
        pass  # the versions are not in the dump
    return ""


def versions_of(target: Target, method_desc: int) -> Iterator[int]:
    """Addresses of the NativeCodeVersionNode structures of a method. Raises MemoryFault where they are not in the dump."""
    data = target.pointer(method_desc, "MethodDesc", "CodeData")
    state = target.pointer(data, "MethodDescCodeData", "VersioningState") if data else 0
    node = target.pointer(state, "MethodDescVersioningState", "NativeCodeVersionNode") if state else 0
    for _ in range(_MAXIMUM_VERSIONS):
        if not node:
            return
        yield node
        node = target.pointer(node, "NativeCodeVersionNode", "Next")
