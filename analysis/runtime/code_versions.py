"""How far a body of jitted code was optimised: the versions of its method that the runtime keeps.

Source: docs/design/datacontracts/CodeVersions.md and ``vm/codeversion.h`` (NativeCodeVersion::OptimizationTier) in
dotnet/runtime. The first code of a method is no version of its own: of it nothing is said.
"""

from __future__ import annotations

from analysis.contracts.target import Target
from analysis.errors import AnalysisError

_TIERS = ("tier 0", "tier 1", "tier 1, replaced on the stack", "optimised", "tier 0, instrumented", "tier 1, instrumented")
_MAXIMUM_VERSIONS = 1_000


def optimisation_tier(target: Target, method_desc: int, start: int) -> str:
    """The tier of the code of a method that begins at ``start``, "" where the runtime does not say."""
    if not method_desc or not target.layout.has("NativeCodeVersionNode", "OptimizationTier"):
        return ""
    try:
        node = _first_version(target, method_desc)
        for _ in range(_MAXIMUM_VERSIONS):
            if not node:
                return ""
            if target.pointer(node, "NativeCodeVersionNode", "NativeCode") == start:
                tier = target.u32(node, "NativeCodeVersionNode", "OptimizationTier")
                return _TIERS[tier] if tier < len(_TIERS) else ""
            node = target.pointer(node, "NativeCodeVersionNode", "Next")
    except AnalysisError:
        pass  # the versions are not in the dump
    return ""


def _first_version(target: Target, method_desc: int) -> int:
    data = target.pointer(method_desc, "MethodDesc", "CodeData")
    state = target.pointer(data, "MethodDescCodeData", "VersioningState") if data else 0
    return target.pointer(state, "MethodDescVersioningState", "NativeCodeVersionNode") if state else 0
