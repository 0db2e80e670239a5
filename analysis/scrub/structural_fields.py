"""The reviewed list of fields that hold no values of the program but how its objects are built: how many elements a
collection has, how far a task is, who holds a lock. Every other number, and every text, is wiped.

A type is named by its definition, nested types behind ``+``; fields of types that derive from it are found by the type that
declares them. Hash codes are not in the list: they tell something of what was hashed. Neither are versions.
"""

from __future__ import annotations

_COLLECTIONS = {
    "System.Collections.ArrayList": ("_size",),
    "System.Collections.Hashtable": ("_count", "_occupancy", "_loadsize"),
    "System.Collections.Queue": ("_head", "_tail", "_size"),
    "System.Collections.SortedList": ("_size",),
    "System.Collections.Stack": ("_size",),
    "System.Collections.BitArray": ("m_length", "_bitLength"),
    "System.Collections.Generic.Dictionary": ("_count", "_freeList", "_freeCount"),
    "System.Collections.Generic.Dictionary+Entry": ("next",),
    "System.Collections.Generic.HashSet": ("_count", "_freeList", "_freeCount"),
    "System.Collections.Generic.HashSet+Entry": ("Next",),
    "System.Collections.Generic.LinkedList": ("count",),
    "System.Collections.Generic.List": ("_size",),
    "System.Collections.Generic.OrderedDictionary": ("_count",),
    "System.Collections.Generic.OrderedDictionary+Entry": ("Next",),
    "System.Collections.Generic.PriorityQueue": ("_size",),
    "System.Collections.Generic.Queue": ("_head", "_tail", "_size"),
    "System.Collections.Generic.SortedList": ("_size",),
    "System.Collections.Generic.SortedSet": ("count",),
    "System.Collections.Generic.SortedSet+Node": ("<Color>k__BackingField",),
    "System.Collections.Generic.Stack": ("_size",),
    "System.Collections.Generic.Deque": ("_head", "_tail", "_size"),
    "System.Collections.Concurrent.ConcurrentBag+WorkStealingQueue": (
        "_headIndex", "_tailIndex", "_addTakeCount", "_stealCount", "_currentOp", "_frozen",
    ),
    "System.Collections.Concurrent.ConcurrentQueueSegment": ("_slotsMask", "_frozenForEnqueues", "_preservedForObservation"),
    "System.Collections.Concurrent.ConcurrentQueueSegment+Slot": ("SequenceNumber",),
    "System.Collections.Concurrent.PaddedHeadAndTail": ("Head", "Tail"),
    "System.Collections.Concurrent.ConcurrentStack+Node": ("_count",),
    "System.Collections.Immutable.ImmutableList+Node": ("_height", "_count", "_frozen"),
    "System.Collections.Immutable.SortedInt32KeyNode": ("_height", "_frozen"),
    "System.Collections.Immutable.ImmutableSortedDictionary+Node": ("_height", "_frozen"),
    "System.Collections.Immutable.ImmutableSortedSet+Node": ("_height", "_count", "_frozen"),
    "System.Collections.Immutable.ImmutableDictionary": ("_count",),
    "System.Collections.Immutable.ImmutableHashSet": ("_count",),
    "System.Collections.Immutable.ImmutableSortedDictionary": ("_count",),
    "System.Runtime.CompilerServices.ConditionalWeakTable+Container": ("_firstFreeEntry",),
    "System.Runtime.CompilerServices.ConditionalWeakTable+Entry": ("next",),
    "System.Text.StringBuilder": ("m_ChunkLength", "m_ChunkOffset"),
    "System.Threading.Channels.BoundedChannel": ("_bufferedCapacity", "_doneWriting"),
}  # fmt: skip

_TASKS = {
    "System.Threading.Tasks.Task": ("m_stateFlags", "m_taskId"),
    "System.Threading.Tasks.Task+ContingentProperties": ("m_completionCountdown", "m_internalCancellationRequested"),
    "System.Threading.Tasks.Sources.ManualResetValueTaskSourceCore": ("_completed",),
    "System.Threading.CancellationTokenSource": ("_state", "_disposed"),
    "System.Threading.CancellationTokenSource+CallbackNode": ("Id",),
    "System.Threading.CancellationTokenSource+Registrations": (
        "ExecutingCallbackId", "NextAvailableId", "ThreadIDExecutingCallbacks",
    ),
    "System.Threading.ThreadPoolWorkQueue+WorkStealingQueue": ("m_mask", "m_headIndex", "m_tailIndex"),
    "System.Threading.ThreadPoolWorkQueue+CacheLineSeparated": ("queueProcessingStage", "hasOutstandingThreadRequest"),
    "System.Threading.PortableThreadPool": ("_minThreads", "_maxThreads", "_numBlockedThreads", "_cpuUtilization"),
    "System.Threading.PortableThreadPool+ThreadCounts": ("_data",),
    "System.Threading.TimerQueue": ("_id",),
    "System.Threading.TimerQueueTimer": ("_dueTime", "_period", "_startTicks", "_canceled", "_everQueued", "_short"),
}  # fmt: skip

_LOCKS = {
    "System.Threading.Lock": ("_owningThreadId", "_state", "_recursionCount", "_spinCount", "_waiterStartTimeMs"),
    "System.Threading.SemaphoreSlim": ("m_currentCount", "m_maxCount", "m_waitCount", "m_countOfWaitersPulsedToWake"),
    "System.Threading.ManualResetEventSlim": ("m_combinedState", "_combinedState"),
    "System.Threading.CountdownEvent": ("_initialCount", "_currentCount", "_disposed"),
    "System.Threading.Barrier": ("_currentTotalCount", "_participantCount"),
    "System.Threading.ReaderWriterLockSlim": (
        "_fIsReentrant", "_lockID", "_writeLockOwnerId", "_upgradeLockOwnerId", "_numWriteWaiters", "_numReadWaiters",
        "_numWriteUpgradeWaiters", "_numUpgradeWaiters", "_owners", "_fUpgradeThreadHoldingRead", "_fDisposed", "_waiterStates",
    ),
    "System.Threading.ReaderWriterCount": ("lockID", "readercount", "writercount", "upgradecount"),
    "System.Threading.SpinLock": ("_owner",),
    "System.Threading.Thread": (
        "_managedThreadId", "_priority", "_DONT_USE_InternalThread", "_mayNeedResetForThreadPool", "_isDead", "_isThreadPool",
    ),
    "System.Runtime.InteropServices.SafeHandle": ("_state",),
}  # fmt: skip

_RUNTIME = {
    "System.Delegate": ("_methodPtr", "_methodPtrAux"),
    "System.MulticastDelegate": ("_invocationCount",),
    "System.Exception": ("_HResult", "_xcode"),
    "System.RuntimeType": ("m_handle", "m_cache"),
    "System.RuntimeMethodHandleInternal": ("m_handle",),
    "System.RuntimeFieldHandleInternal": ("m_handle",),
    "System.Reflection.RuntimeModule": ("m_pData", "m_pRefClass"),
    "System.Reflection.RuntimeAssembly": ("m_assembly", "_assembly"),
    "System.Reflection.LoaderAllocatorScout": ("m_nativeLoaderAllocator",),
    "System.Runtime.Loader.AssemblyLoadContext": ("_nativeAssemblyLoadContext", "_id", "_state", "_isCollectible"),
    "System.Runtime.InteropServices.GCHandle": ("_handle",),
    "System.Runtime.DependentHandle": ("_handle",),
    "System.WeakReference": ("_taggedHandle",),
}  # fmt: skip

#: Fields by the type that declares them.
STRUCTURAL_FIELDS: dict[str, frozenset[str]] = {
    name: frozenset(fields) for part in (_COLLECTIONS, _TASKS, _LOCKS, _RUNTIME) for name, fields in part.items() if fields
}

#: Fields the compiler gives to state machines of methods with await or yield: where each of them stopped.
STATE_MACHINE_FIELDS = frozenset({"<>1__state"})

#: Arrays of numbers that are part of a structure, by the field that refers to them.
STRUCTURAL_ARRAYS = {"System.Collections.Concurrent.ConcurrentDictionary+Tables": frozenset({"_countPerLock"})}


def without_arguments(name: str) -> str:
    """The definition a type's full name means: ``N.Dictionary+Entry`` of ``N.Dictionary<A, B>+Entry<A, B>``. Names the compiler
    made up (``<Run>d__4``) keep their brackets, which no dot or letter stands before."""
    found: list[str] = []
    depth = 0
    for place, letter in enumerate(name):
        if letter == "<" and (depth or (place and (name[place - 1].isalnum() or name[place - 1] == "_"))):
            depth += 1
        elif letter == ">" and depth:
            depth -= 1
        elif not depth:
            found.append(letter)
    return "".join(found)


def is_structural(declared_by: str, field: str) -> bool:
    """Whether a field of the list; ``declared_by`` as ``TypeSystem.name`` writes it."""
    return field in STATE_MACHINE_FIELDS or field in STRUCTURAL_FIELDS.get(without_arguments(declared_by), ())
