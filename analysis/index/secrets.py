"""Tables and facts about texts that look like secrets: of what kind, where and how many. Never the text. All of it is D2."""

from __future__ import annotations

from analysis.index.columns import D2, DataClass, Table, column

#: Values of ``secrets.place``: the first three are objects of the heap.
SECRET_PLACES = ("string", "array of characters", "array of bytes", "environment variable", "command line")
STRING, CHARACTERS, BYTES, VARIABLE, ARGUMENTS = range(len(SECRET_PLACES))
#: Values of ``secrets.certainty``.
CERTAINTIES = ("possible", "likely", "certain")

SECRET_TABLES: tuple[Table, ...] = (
    Table(
        "secrets",
        "One row per text and kind of secret in it, the surest first, at most 1,000 of a kind. Strings with equal text are one.",
        (
            column("kind", "text", "what it looks like: GitHub token, SQL Server connection string …", data_class=D2),
            column("family", "text", "kinds that belong together", data_class=D2),
            column("certainty", "u1", "index into CERTAINTIES", data_class=D2),
            column("place", "u1", "index into SECRET_PLACES", data_class=D2),
            column("object", "u4", "row of objects: the first live one or the first; NOT_LIVE off the heap", data_class=D2),
            column("name", "text", "name of the environment variable, else empty", data_class=D2),
            column("count", "u4", "secrets of this kind in the text", "secrets", data_class=D2),
            column("copies", "u4", "objects with this text", "objects", data_class=D2),
            column("live_copies", "u4", "those that a root keeps alive; 0 where that is not known", "objects", data_class=D2),
        ),
    ),
    Table(
        "secret_holders",
        "Fields that refer to the objects of secrets, in the order of objects, most references first for each.",
        (
            column("object", "u4", "as in secrets: it stands for all copies of the text", data_class=D2),
            column("source_type", "i4", "row of types", data_class=D2),
            column("offset", "i8", "as in reference_slots", data_class=D2),
            column("references", "u8", "references to objects with the text", "references", data_class=D2),
        ),
    ),
)

#: The family of what is no secret of a program, but data of persons.
PERSON = "person"

#: facts/secrets.json
_SECRETS: dict[str, DataClass] = {
    "scanned.strings": D2,
    "scanned.texts": D2,  # strings with the same text counted once
    "scanned.arrays": D2,
    "scanned.bytes": D2,  # of texts and arrays
    "scanned.variables": D2,  # null where the environment is not in the dump
    "scanned.arguments": D2,
    "kinds.name": D2,
    "kinds.family": D2,
    "kinds.certainty": D2,  # entry of CERTAINTIES: the surest of this kind
    "kinds.texts": D2,
    "kinds.objects": D2,
    "kinds.live_objects": D2,
    "texts": D2,  # texts, variables and arguments with a secret of any kind but those of persons
    "personal_texts": D2,  # those with data of persons
    "known_kinds": D2,  # how many kinds are looked for
    "places_left_out": D2,  # places that were too many to be looked at
    "arrays_left_out": D2,  # arrays, or ends of them, beyond what is read
    "rows_left_out": D2,  # rows beyond the limit of the table
    "problem": D2,  # why the heap was not looked at, null when it was
}

SECRET_FACTS: dict[str, dict[str, DataClass]] = {"secrets": _SECRETS}
