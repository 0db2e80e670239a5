"""What objects hold, against the constants in the source of the dumped program (``Scenarios.Primitives``)."""

from __future__ import annotations

import pytest

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.limits import LIMITS
from analysis.runtime.stack_frames import FrameKind
from analysis.values import Value, Values, object_values, thread_registers
from tests.analysis.bundled_dumps import bundled_dump
from tests.analysis.test_field_values import NUMBERS

WRITTEN = {
    "M": "79228162514264337593543950335", "When": "2024-02-29 12:34:56", "Span": "1 day, 12:30:00",
    "G": "00112233-4455-6677-8899-aabbccddeeff", "Day": "2025-12-31", "Some.hasValue": "True", "Some.value": "42",
    "None.hasValue": "False",
}  # fmt: skip


@pytest.fixture(scope="module", params=["zoo-net10", "zoo-net8"])
def dump(request: pytest.FixtureRequest) -> Dump:
    return Dump(bundled_dump(request.param))


def instances(dump: Dump, name: str) -> list[int]:
    walked = dump.walk()
    assert walked is not None
    kinds = [kind for kind, table in enumerate(walked.types.method_tables) if dump.runtime.types.name(table) == name]
    return [int(one) for one in walked.columns.address[walked.columns.type == kinds[0]]]


def by_name(values: Values) -> dict[str, Value]:
    return {row.name: row for row in values.rows}


def test_fields_are_written_as_in_the_source(dump: Dump) -> None:
    found = by_name(object_values(dump, instances(dump, "Scenarios.Primitives")[0]))
    for name, value in NUMBERS.items():
        assert found[name].text == str(value), name
    for name, text in WRITTEN.items():
        assert found[name].text == text, name


def test_strings_are_told_and_cut(dump: Dump) -> None:
    lengths = []
    for address in instances(dump, "System.String")[:300]:
        (row,) = object_values(dump, address).rows
        assert row.text == dump.objects.string(address)[: LIMITS.value_characters]
        lengths.append(len(row.text))
    assert max(lengths) > 20


def test_elements_of_arrays_are_told(dump: Dump) -> None:
    for address in instances(dump, "System.Int32[]")[:20]:
        values = object_values(dump, address)
        length = dump.named_fields.array_length(address)
        assert len(values.rows) == min(length, LIMITS.values) and values.more == (length > LIMITS.values)
        assert all(row.text.lstrip("-").isdigit() for row in values.rows)
    texts = [row for address in instances(dump, "System.String[]")[:20] for row in object_values(dump, address).rows]
    assert any(row.object and row.text for row in texts) and all(row.object or row.text == "null" for row in texts)


def test_every_object_can_be_asked(dump: Dump) -> None:
    """One of each type: values, or an error with a reason."""
    walked = dump.walk()
    assert walked is not None
    seen: set[int] = set()
    for address, kind in zip(walked.columns.address.tolist(), walked.columns.type.tolist(), strict=True):
        if kind not in seen:
            seen.add(kind)
            try:
                values = object_values(dump, address)
            except AnalysisError as error:
                assert error.what and dump.runtime.types.name(walked.types.method_tables[kind]) == "Free"
                continue
            assert len(values.rows) <= LIMITS.values


def test_what_is_no_object_is_refused(dump: Dump) -> None:
    for address in (0, 8, 0x7FFF_FFFF_FFF8, instances(dump, "System.String")[0] + 8):
        with pytest.raises(AnalysisError):
            object_values(dump, address)


def test_registers_of_a_thread_are_those_its_stack_begins_with(dump: Dump) -> None:
    stacks = [stack for stack in dump.stacks if stack.frames and stack.frames[0].kind == FrameKind.NATIVE]
    assert stacks
    for stack in stacks:
        found = thread_registers(dump.core, stack.os_id)
        assert (found["rip"], found["rsp"], len(found)) == (stack.frames[0].ip, stack.frames[0].sp, 17)
    assert thread_registers(dump.core, 0) == {}
