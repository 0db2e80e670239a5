"""Every cap on what a file may ask of the engine, in one frozen place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts unless the name says bytes or seconds."""

    segments: int = 1_000_000
    mappings: int = 1_000_000
    threads: int = 100_000
    modules: int = 100_000
    types: int = 4_000_000
    fields_per_type: int = 20_000
    generic_arguments: int = 256
    type_nesting: int = 64
    name_characters: int = 4_096
    regions: int = 4_000_000
    gaps: int = 100_000
    heaps: int = 4_096
    code_ranges: int = 100_000
    runtime_functions: int = 16_000_000
    hash_buckets: int = 16_000_000
    funclets: int = 10_000
    frames_per_thread: int = 500_000
    explicit_frames: int = 100_000
    unwind_codes: int = 10_000
    signature_bytes: int = 65_536
    gc_slots: int = 100_000
    exceptions: int = 50_000
    exception_nesting: int = 1_000
    exception_characters: int = 65_536
    exception_text_characters: int = 64 << 20
    exception_frames: int = 5_000_000
    merged_nodes: int = 1_000_000
    sync_blocks: int = 4_000_000
    handles: int = 20_000_000
    finalizable: int = 100_000_000
    merged_rows: int = 1_000_000
    label_sets: int = 1_000_000
    labels_in_sets: int = 16_000_000
    findings_per_rule: int = 100
    secret_places: int = 400_000
    secret_places_per_anchor: int = 50_000
    secret_places_per_text: int = 100
    secret_rows: int = 20_000
    secret_rows_per_kind: int = 1_000
    secret_array_bytes: int = 16 << 20
    secret_arrays_bytes: int = 2 << 30
    environment_bytes: int = 4 << 20
    environment_variables: int = 10_000
    query_characters: int = 20_000
    query_seconds: int = 10
    query_memory_bytes: int = 1 << 30
    query_rows: int = 10_000
    query_text: int = 1_024
    values: int = 200
    value_characters: int = 4_096
    value_preview: int = 256
    pdb_bytes: int = 64 << 20
    pdb_blob_bytes: int = 64 << 20
    pdb_problems: int = 100
    sequence_points: int = 4_000_000
    embedded_pdb_seconds: int = 60
    lines_bytes: int = 256 << 20
    documents: int = 1_000_000
    read_bytes: int = 1 << 30
    archive_window_bytes: int = 128 << 20
    archive_directory_bytes: int = 1 << 20


LIMITS = Limits()
