"""Thread statics: the value a static field marked [ThreadStatic] has on one thread, for fields that are references.

Source: ``vm/threadstatics.h`` and ``vm/methodtable.h`` (ThreadStaticsInfo) in dotnet/runtime. From .NET 9 on a type has an
index into an array of its thread; in .NET 8 the thread keeps a table by module, whose entry leads to an array.
"""

from __future__ import annotations

from analysis.errors import AnalysisError
from analysis.runtime.fields import Field, FieldReader
from analysis.runtime.types import TypeSystem

_CORE_LIBRARY = "System.Private.CoreLib"
_INDEX_BITS = 24
#: Kind 0 of an index: an element of the thread's array of statics of types that cannot be unloaded.
_IN_ARRAY = 0
#: ``NUMBER_OF_TLSOFFSETS_NOT_USED_IN_NONCOLLECTIBLE_ARRAY``: the first element has this index.
_UNUSED_INDEXES = 2
_NO_MODULE_INDEX = 1 << 20


class ThreadStatics:
    """Reads thread statics of types of the core library. One per dump."""

    def __init__(self, types: TypeSystem, fields: FieldReader) -> None:
        self._types, self._fields, self._target = types, fields, types.target
        self._core = next((m for m in types.modules.values() if m.assembly_name == _CORE_LIBRARY), None)
        self._known: dict[tuple[str, str], tuple[int, Field] | None] = {}

    def reference(self, thread: int, type_name: str, field_name: str) -> int:
        """The object that the field refers to on the Thread at address ``thread``; 0 for null and for what is not known."""
        place = self._place(type_name, field_name)
        if place is None:
            return 0
        try:
            return self._target.memory.pointer(self.base(thread, place[0]) + place[1].offset)
        except AnalysisError:
            return 0

    def _place(self, type_name: str, field_name: str) -> tuple[int, Field] | None:
        """Method table and description of a field, looked up once."""
        key = (type_name, field_name)
        if key not in self._known:
            self._known[key] = self._find(type_name, field_name)
        return self._known[key]

    def _find(self, type_name: str, field_name: str) -> tuple[int, Field] | None:
        try:
            rid = self._core.metadata.find_type(type_name) if self._core and self._core.metadata else None
            method_table = self._core.method_table_of(rid) if self._core and rid else 0
            found = self._fields.static_fields(method_table) if method_table else ()
        except AnalysisError:
            return None
        return next(((method_table, field) for field in found if field.is_thread_static and field.name == field_name), None)

    def base(self, thread: int, method_table: int) -> int:
        """Where offsets of a type's thread statics count from. Raises AnalysisError when the thread never used them."""
        if self._target.layout.has("ThreadStaticsInfo", "GCTlsIndex"):
            return self._in_array(thread, method_table)
        return self._in_module_table(thread, method_table)

    def array(self, thread: int) -> int:
        """The array that holds the thread statics of a thread; 0 where it has none or the runtime keeps them otherwise."""
        target = self._target
        if not target.layout.has("ThreadStaticsInfo", "GCTlsIndex"):
            return 0
        data = target.pointer(thread, "Thread", "ThreadLocalDataPtr")
        return target.pointer(data, "ThreadLocalData", "NonCollectibleTlsArrayData") if data else 0

    def _in_array(self, thread: int, method_table: int) -> int:
        target = self._target
        auxiliary = target.pointer(method_table, "MethodTable", "AuxiliaryData")
        info = auxiliary - target.layout.types["ThreadStaticsInfo"]["!"]
        index = target.u32(info, "ThreadStaticsInfo", "GCTlsIndex")
        number = index & ((1 << _INDEX_BITS) - 1)
        data = target.pointer(thread, "Thread", "ThreadLocalDataPtr")
        if index >> _INDEX_BITS != _IN_ARRAY or number >= target.u32(data, "ThreadLocalData", "NonCollectibleTlsDataCount"):
            raise AnalysisError("the thread has no such statics", where=f"thread {thread:#x}")
        array = target.pointer(data, "ThreadLocalData", "NonCollectibleTlsArrayData")
        return self._element(array, number - _UNUSED_INDEXES)

    def _element(self, array: int, row: int) -> int:
        target = self._target
        if not 0 <= row < target.u32(array, "Array", "m_NumComponents"):
            raise AnalysisError("an index outside the thread's array of statics", where=f"array {array:#x}")
        return target.memory.pointer(array + target.layout.types["Array"]["!"] + 8 * row)

    def _in_module_table(self, thread: int, method_table: int) -> int:
        target = self._target
        info = self._types.info(method_table)
        if info.module is None or info.arguments:
            raise AnalysisError("the place of thread statics of generic types is not known in .NET 8")
        index = target.u32(info.module.address, "Module", "ModuleIndex")
        if index >= min(target.u32(thread, "Thread", "ThreadLocalModuleCount"), _NO_MODULE_INDEX):
            raise AnalysisError("the thread has no such statics", where=f"thread {thread:#x}")
        module = target.memory.pointer(target.pointer(thread, "Thread", "ThreadLocalModules") + 8 * index)
        array = target.memory.pointer(target.pointer(module, "ThreadLocalModule", "GCStaticsHandle"))
        return array + target.layout.types["Array"]["!"]
