"""Names of people in the audit: each under a key of the person's own, so that they can be forgotten without a row being touched.

What is encrypted is sealed into the chain (``explorer.services.audit``); whether it can still be read makes no difference there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.utils import timezone

from explorer.models import AuditEntry, AuditPerson, User
from explorer.models.audit import PLAIN, short_id_of

_KEY_BYTES, _NONCE_BYTES = 32, 12
#: Where a detail names the people of its row.
_NAMED = re.compile(r"\{(\d{1,3})\}")


@dataclass(frozen=True, slots=True)
class Key:
    """What a person's names lie under; ``cipher`` is None where they cannot be read: ``erased``, and then nothing more is kept of
    them, or wrapped by another server's key."""

    person_id: int
    cipher: AESGCM | None
    erased: bool = False

    def seal(self, text: str) -> str:
        return _seal(self.cipher, self.person_id, text.encode("utf-8", "replace")) if self.cipher else ""

    def open(self, text: str) -> str | None:
        """What was sealed, or None where it cannot be read any more."""
        found = _open(self.cipher, self.person_id, text) if self.cipher else None
        return None if found is None else found.decode()


def key_of(user: User) -> Key:
    """The key of somebody who is about to be named, made at the first time."""
    person = AuditPerson.objects.filter(person_id=user.pk).first()
    if person is None:
        person, _ = AuditPerson.objects.get_or_create(person_id=user.pk, defaults=_made_for(user))
    key = _key(person)
    if not key.erased and key.open(person.name) != user.get_username():  # another name now, or another server's key
        kept = {"name": key.seal(user.get_username())} if key.cipher else _made_for(user)
        AuditPerson.objects.filter(person_id=user.pk, erased_at=None).update(**kept)
        key = _key(AuditPerson.objects.get(person_id=user.pk))
    return key


def _made_for(user: User) -> dict[str, str]:
    made = AESGCM.generate_key(_KEY_BYTES * 8)
    name = Key(user.pk, AESGCM(made)).seal(user.get_username())
    return {"key": _seal(_server_cipher(), user.pk, made), "name": name}


def personal(user: User, address: str | None) -> str:
    """Who acts, and from where, fit to be kept in a row."""
    return key_of(user).seal(json.dumps([user.get_username(), address]))


def named(people: Sequence[User]) -> list[list[object]]:
    """Other people that a row names, fit to be kept in it."""
    return [[person.pk, key_of(person).seal(person.get_username())] for person in people]


def erase(person_id: int) -> None:
    """Destroy the key of a person's names: every row that names them shows from now on that it was somebody, the same one."""
    gone = {"key": "", "name": "", "erased_at": timezone.now()}
    AuditPerson.objects.update_or_create(person_id=person_id, defaults=gone)


def erase_removed(name: str) -> bool:
    """The same for those who were called so and whose accounts are gone; False where there are none."""
    called = people_called(name, exactly=True)
    gone = set(called) - set(User.objects.filter(pk__in=called).values_list("pk", flat=True))
    for person_id in gone:
        erase(person_id)
    return bool(gone)


def erased_people() -> list[int]:
    return list(AuditPerson.objects.exclude(erased_at=None).values_list("person_id", flat=True))


def people_called(part: str, *, exactly: bool = False) -> list[int]:
    """Ids of people whose name, or what they are called once it was erased, contains a text in any case; or is just that."""
    wanted = part.casefold()
    return [pk for pk, name in _called() if (name == part if exactly else wanted in name.casefold())]


def _called() -> Iterator[tuple[int, str]]:
    for person in AuditPerson.objects.iterator():
        key = _key(person)
        yield person.person_id, called_once_erased(key.person_id) if key.erased else key.open(person.name) or ""


@dataclass(frozen=True)
class Names:
    """The names in some rows, as they may be shown; the keys of all their people are read at once."""

    rows: Sequence[AuditEntry]

    @cached_property
    def _keys(self) -> dict[int, Key]:
        ids = {row.actor_id for row in self.rows if row.actor_id} | {int(one) for row in self.rows for one, _ in row.people}
        people = AuditPerson.objects.filter(pk__in=ids)
        return {person.person_id: _key(person) for person in people}

    def actor(self, row: AuditEntry) -> str:
        """Who acted; empty for nobody signed in."""
        return self._personal(row)[0]

    def address(self, row: AuditEntry) -> str:
        """Where from."""
        return self._personal(row)[1]

    def detail(self, row: AuditEntry) -> str:
        """What exactly, with the people it names."""
        names = [self._name(int(person), sealed) for person, sealed in row.people]
        if not names:
            return row.detail
        return _NAMED.sub(lambda at: names[int(at[1])] if int(at[1]) < len(names) else at[0], row.detail)

    def _personal(self, row: AuditEntry) -> tuple[str, str]:
        key = self._keys.get(row.actor_id) if row.actor_id else None
        if key is not None and key.erased:
            return called_once_erased(key.person_id), ""
        if row.form == PLAIN or row.actor_id is None:
            return row.actor_name, row.remote_address or ""
        kept = key.open(row.personal) if key else None
        name, address = json.loads(kept) if kept else (_unreadable(row.actor_id), "")
        return name, address or ""

    def _name(self, person_id: int, sealed: str) -> str:
        key = self._keys.get(person_id)
        if key is not None and key.erased:
            return called_once_erased(person_id)
        return (key.open(sealed) if key else None) or _unreadable(person_id)


def called_once_erased(person_id: int) -> str:
    return f"erased person {short_id_of(person_id)}"


def _unreadable(person_id: int) -> str:
    """The row of the key was lost, or belongs to another server's key."""
    return f"person {short_id_of(person_id)}, whose key is missing"


def _key(person: AuditPerson) -> Key:
    bare = _open(_server_cipher(), person.person_id, person.key)
    return Key(person.person_id, AESGCM(bare) if bare else None, person.erased_at is not None)


def _server_cipher() -> AESGCM:
    return AESGCM(hashlib.blake2b(settings.SECRET_KEY.encode(), digest_size=_KEY_BYTES, person=b"audit-names").digest())


def _seal(cipher: AESGCM, person_id: int, content: bytes) -> str:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.b64encode(nonce + cipher.encrypt(nonce, content, str(person_id).encode())).decode()


def _open(cipher: AESGCM, person_id: int, text: str) -> bytes | None:
    try:
        kept = base64.b64decode(text, validate=True)
        return cipher.decrypt(kept[:_NONCE_BYTES], kept[_NONCE_BYTES:], str(person_id).encode())
    except (InvalidTag, ValueError):
        return None
