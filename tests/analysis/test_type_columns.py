"""Method tables read as arrays equal those read one by one, and types without statics are known without reading fields."""

from __future__ import annotations

import numpy as np

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.runtime.statics import StaticFields
from analysis.runtime.type_columns import may_have_statics, read_method_tables
from analysis.runtime.types import TypeInfo


def _info(dump: Dump, method_table: int) -> TypeInfo | None:
    try:
        return dump.runtime.types.info(method_table)
    except AnalysisError:
        return None


def _statics(dump: Dump, method_table: int) -> bool:
    """Whether reading all fields finds a static one."""
    try:
        return any(field.is_static for field in dump.fields.own_fields(method_table))
    except AnalysisError:
        return False


def test_every_loaded_type_and_what_is_none(dump: Dump) -> None:
    loaded = StaticFields(dump.runtime.types, dump.fields).loaded_types()
    odd = np.array([1, 8, *loaded[:200].tolist(), *dump.runtime.types.modules], np.uint64)
    odd[2:202] += 8
    every = np.concatenate([loaded, odd])
    tables = read_method_tables(dump.runtime.target, every)
    may = may_have_statics(dump.runtime.target, tables)
    checked = 0
    for row, method_table in enumerate(every.tolist()):
        info = _info(dump, method_table)
        if info is None:
            assert may[row]
            continue
        checked += 1
        found = (int(tables.flags[row]), int(tables.base_size[row]), int(tables.component_size[row]), int(tables.ee_class[row]))
        assert found == (info.flags, info.base_size, info.component_size, info.ee_class)
        assert tables.is_value_type[row] == info.is_value_type
        assert tables.contains_pointers[row] == info.contains_pointers
        assert tables.collectible[row] == info.collectible
        assert may[row] or not _statics(dump, method_table)
    assert checked or not len(loaded)
