"""Names and archives that want to be paths, pages or formulas are text, and files lie where their ids say."""

from __future__ import annotations

import csv
import gzip
import io
import json
import stat
import struct
import zipfile
from email.message import Message
from email.utils import collapse_rfc2231_value
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.http import FileResponse
from django.test import Client
from pytest_django import Settings

from analysis.archives import unpack
from analysis.errors import AnalysisError
from explorer.models import User
from explorer.pages.names import visible
from explorer.services.plain_text import file_name
from tests.explorer.elf_cores import core_bytes
from tests.explorer.hostile_names import HOSTILE_NAMES, MARK
from tests.explorer.tus_client import Tus
from tests.goals import Goals

_ROOT = Path(__file__).resolve().parents[2]
_ARCHIVES = 40
_LISTED_CHARACTERS = 120
_FORMULA_STARTS = ("=", "+", "-", "@")


#: Attributes whose value a browser follows or runs.
_LEADING = ("href", "src", "action", "formaction", "data", "srcdoc", "xlink:href")


class Seen(HTMLParser):
    """What a browser would make of a page: its texts, and whatever could run."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: set[str] = set()
        self.running: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        for name, value in attributes:
            self.texts.add(value or "")
            leads = name in _LEADING and (value or "").strip().lower().startswith("javascript:")
            if name.startswith("on") or leads:
                self.running.append(f"{tag} {name}")
        if tag in ("svg", "iframe", "object") or (tag == "script" and "src" not in dict(attributes)):
            self.running.append(tag)

    def handle_data(self, text: str) -> None:
        self.texts.add(text.strip())


def marked_files(data: Path, *known: Path) -> set[str]:
    """Files outside of the ``known`` places that bear the name, wherever a name could lead."""
    near = [data, data.parent, Path.cwd(), _ROOT, Path("/"), Path("/etc"), Path("/tmp"), Path.home(), Path("/root")]
    found = {str(path) for place in near for path in place.iterdir() if MARK in path.name}
    return found | {str(path) for path in data.rglob("*") if path.is_file() and not {*known} & {*path.parents}}


def shown_name(sent: str) -> str:
    """What is kept of a name: its last part as one line, or words where nothing is left."""
    return (file_name(sent, 255) or "unnamed dump")[:200]


def test_two_hundred_names_are_shown_and_lead_nowhere(bob: User, settings: Settings, goals: Goals) -> None:
    names = HOSTILE_NAMES
    assert len(names) >= 200
    settings.UPLOADS_PER_HOUR = len(names)
    tus, sent = Tus(bob), {}
    before = marked_files(settings.DATA_DIR, settings.STORE_DIR, settings.KEY_DIR)
    for number, name in enumerate(names):
        answer = tus.create(
            len(core_bytes(100, number)), filename=name.encode("utf-8", "surrogatepass"), service=name, build=name
        )
        assert answer.status_code == 201
        tus.patch(answer["Location"], 0, core_bytes(100, number))
        sent[answer["Location"].rpartition("/")[2]] = name
    files = {str(path.relative_to(settings.STORE_DIR)) for path in settings.STORE_DIR.rglob("*") if path.is_file()}
    assert files == {f"{dump}/original" for dump in sent}
    assert {path.name for path in settings.KEY_DIR.iterdir()} == set(sent)
    outside = marked_files(settings.DATA_DIR, settings.STORE_DIR, settings.KEY_DIR) - before
    good = _seen_in_lists(bob, sent) - len(outside)
    goals.count("G19 hostile names shown as they are, with no file outside of the store", good, len(names))
    assert not outside
    assert good == len(names)


def _seen_in_lists(user: User, sent: dict[str, str]) -> int:
    """How many names the list of dumps, its CSV and its JSON show exactly, and nothing runs."""
    client = Client()
    client.force_login(user)
    pages = [Seen(client.get("/", {"page": page}).content.decode()) for page in range(1, 20)]
    texts = set().union(*(page.texts for page in pages))
    assert [page.running for page in pages if page.running] == []
    as_json = json.loads(client.get("/", {"format": "json"}).getvalue())
    as_csv = list(csv.DictReader(io.StringIO(client.get("/", {"format": "csv"}).getvalue().decode(), newline="")))
    rows = as_json if isinstance(as_json, list) else as_json["rows"]
    in_json, in_csv = {row["name"] for row in rows}, {row["name"] for row in as_csv}
    assert len(rows) == len(as_csv) == len(sent)
    good = 0
    for name in sent.values():
        expected = visible(shown_name(name), _LISTED_CHARACTERS)
        where = expected in texts, expected in in_json, ("'" * expected.startswith(_FORMULA_STARTS) + expected) in in_csv
        good += all(where)
        if not all(where):
            print(repr(name)[:90], repr(expected)[:90], where)
    return good


@pytest.mark.parametrize(
    "name", [f'{MARK}"; filename="x.exe', f"{MARK}\r\nSet-Cookie: x=1", f"e\u0301\U0001f4a9{MARK}", f"../{MARK}\\"]
)
def test_the_header_of_a_download_holds_one_name(name: str) -> None:
    header = FileResponse(io.BytesIO(b""), as_attachment=True, filename=shown_name(name))["Content-Disposition"]
    assert header.isascii()
    assert header.isprintable()
    parsed = Message()
    parsed["Content-Disposition"] = header
    disposition, *parameters = parsed.get_params(header="Content-Disposition")
    assert (disposition, len(parameters)) == (("attachment", ""), 1)
    assert collapse_rfc2231_value(parameters[0][1]) == shown_name(name)


def _zip(name: str, content: bytes = b"\x7fELF", link: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        member = zipfile.ZipInfo(name.replace("\0", "") or "x")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16 if link else member.external_attr
        archive.writestr(member, content)
    return file.getvalue()


def _gzip(name: str) -> bytes:
    packed = gzip.compress(b"\x7fELF plain")
    return packed[:3] + b"\x08" + packed[4:10] + name.encode("latin-1", "replace").replace(b"\0", b"?") + b"\0" + packed[10:]


def test_forty_archives_lead_nowhere(tmp_path: Path, goals: Goals) -> None:
    data = tmp_path / "data"
    (data / "store").mkdir(parents=True)
    members = [name for name in HOSTILE_NAMES if "/" in name or "\\" in name or ".." in name][:26]
    archives = [_zip(name) for name in members] + [_gzip(name) for name in members[:8]]
    archives += [_zip(f"../{MARK}", b"/etc/passwd", link=True), _zip(MARK, b"../../" + MARK.encode(), link=True)]
    archives += [_zip(f"{MARK}/../../{MARK}/"), _zip("x" * 60_000 + MARK), _two_names(), _zip(f"/proc/self/cwd/{MARK}")]
    assert len(archives) == _ARCHIVES
    before, good = marked_files(data, data / "store"), 0
    for number, content in enumerate(archives):
        packed, target = data / "store" / f"{number}.packed", data / "store" / f"{number}.plain"
        packed.write_bytes(content)
        try:
            unpack(packed, target, limit_bytes=1 << 20)
            good += target.is_file() and not target.is_symlink()
        except AnalysisError:
            good += not target.exists()
    outside = marked_files(data, data / "store") - before
    goals.count("G19 hostile archives with no file outside of the store", good - len(outside), _ARCHIVES)
    assert not outside
    assert good == _ARCHIVES


def _two_names() -> bytes:
    """The directory says another name than the header of the member does."""
    raw = bytearray(_zip(f"aa/{MARK}"))
    struct.pack_into("3s", raw, 30, b"../")
    return bytes(raw)
