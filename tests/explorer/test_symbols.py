"""A team's PDBs: who adds and deletes them, what is refused, and lines that appear in stacks analysed before."""

from __future__ import annotations

import io
import json
import shutil
import time
from pathlib import Path
from uuid import UUID

import pytest
import zstandard
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from analysis.pipeline import analyse
from explorer.models import Dump, SymbolFile, Team, User
from explorer.services import symbols
from explorer.services.engine import EngineCrashed
from explorer.services.samples import SAMPLE
from explorer.services.symbols import SymbolsRefused, TeamSymbols, add_symbols, delete_symbols
from tests.analysis.synthetic_pdbs import GUID, POINTS, compressed, point, small_pdb
from tests.stored_dumps import analysed_dump

PDB_ID = f"{GUID},1"
#: The program in the sample, and its Program.Main.
SCENARIOS, MAIN = UUID("6f6f4a29-7186-435c-8a8d-4d9e3e0c1aa7"), 0x6A


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def pdb_file(content: bytes | None = None, name: str = "Shop.pdb") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, small_pdb((1, POINTS)) if content is None else content)


def send(user: User, team: Team, *files: SimpleUploadedFile) -> list[str]:
    """Upload by the form; what the page then says."""
    response = client_of(user).post(reverse("symbols-upload", args=[team.pk]), {"pdb": list(files)}, follow=True)
    return [str(message) for message in response.context["messages"]]


def page_of(user: User, team: Team, **query: str) -> str:
    response = client_of(user).get(reverse("symbols", args=[team.pk]), query)
    assert response.status_code == 200
    return response.content.decode()


def kept_files(settings) -> list[str]:
    root = settings.DATA_DIR / "symbols"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_pdb_is_kept_and_listed(team, bob: User, settings) -> None:
    (said,) = send(bob, team, pdb_file())
    assert said.startswith(f"Shop.pdb: kept as {PDB_ID}")
    row = SymbolFile.objects.get()
    assert (row.pdb_id, row.file_name, row.uploaded_by, row.team) == (PDB_ID, "Shop.pdb", bob, team)
    assert row.size_bytes == row.original.stat().st_size == len(small_pdb((1, POINTS)))
    assert kept_files(settings) == [f"{team.pk}/{PDB_ID}/lines.npz", f"{team.pk}/{PDB_ID}/original"]
    assert list(settings.SCRATCH_DIR.iterdir()) == []
    lines = TeamSymbols(team.pk).lines(PDB_ID)
    assert lines.lookup(0x06000001, 10) == ("/src/A.cs", 12)
    page = page_of(bob, team)
    assert "Shop.pdb" in page and PDB_ID in page


def test_several_at_once_are_judged_each(team, bob: User) -> None:
    said = send(bob, team, pdb_file(), pdb_file(b"MZ", "broken.dll"), pdb_file(b"Microsoft C/C++ MSF 7.00", "old.pdb"))
    assert [line.split(":")[0] for line in said] == ["Shop.pdb", "broken.dll", "old.pdb"]
    assert "Windows PDB" in said[2] and "DebugType" in said[2]
    assert SymbolFile.objects.count() == 1


@pytest.mark.parametrize(
    "content", [b"", b"BSJB", b"#!/bin/sh", b"MPDB\xff\xff\xff\xff", small_pdb((1, POINTS))[:-200], b"\0" * 99]
)
def test_what_is_no_pdb_leaves_nothing(team, bob: User, settings, content: bytes) -> None:
    began = time.monotonic()
    (said,) = send(bob, team, pdb_file(content))
    assert "kept as" not in said
    assert time.monotonic() - began < 3
    assert not SymbolFile.objects.exists()
    assert not (settings.DATA_DIR / "symbols").exists()
    assert not settings.SCRATCH_DIR.exists() or list(settings.SCRATCH_DIR.iterdir()) == []


def test_the_same_pdb_again_takes_the_place_of_the_first(team, alice: User, bob: User) -> None:
    send(bob, team, pdb_file())
    assert TeamSymbols(team.pk).lines(PDB_ID).lookup(0x06000001, 10) == ("/src/A.cs", 12)
    other = small_pdb((1, b"\0" + point(0, 0, 1, compressed(77), compressed(1))))
    send(alice, team, pdb_file(other, "again.pdb"))
    row = SymbolFile.objects.get()
    assert (row.file_name, row.uploaded_by, row.size_bytes) == ("again.pdb", alice, len(other))
    assert TeamSymbols(team.pk).lines(PDB_ID).lookup(0x06000001, 10) == ("/src/A.cs", 77)


def test_hostile_names_are_labels(team, bob: User, settings) -> None:
    add_symbols(team=team, user=bob, name="../../etc/\u202epasswd<script>\0", content=[small_pdb((1, POINTS))])
    assert SymbolFile.objects.get().file_name == "passwd<script>"
    assert "<script>" not in page_of(bob, team).replace("<script src", "")
    assert all(path.startswith(f"{team.pk}/{PDB_ID}/") for path in kept_files(settings))


def test_too_much_is_refused(team, bob: User, settings) -> None:
    settings.MAXIMUM_SYMBOL_BYTES = 1000
    with pytest.raises(SymbolsRefused, match="more than 1,000 bytes"):
        add_symbols(team=team, user=bob, name="x", content=[b"x" * 999, b"xx"])
    (said,) = send(bob, team, pdb_file(b"x" * 2_000_000))
    assert "more than 1,000 bytes" in said
    settings.MAXIMUM_SYMBOL_BYTES = 1 << 20
    settings.FREE_DISK_BYTES = 1 << 60
    with pytest.raises(SymbolsRefused, match="free disk"):
        add_symbols(team=team, user=bob, name="x", content=[b"x"])
    assert not SymbolFile.objects.exists()


def test_a_form_without_a_token_keeps_no_more_than_the_cap(db, settings, tmp_path: Path) -> None:
    """A form is read before anybody knows who sent it: what goes beyond the cap is dropped, not written."""
    settings.MAXIMUM_SYMBOL_BYTES, settings.FILE_UPLOAD_TEMP_DIR = 1000, str(tmp_path)
    request = Client(enforce_csrf_checks=True).post(reverse("account_login"), {"x": io.BytesIO(b"x" * 3_000_000)})
    assert request.status_code == 403
    assert list(tmp_path.iterdir()) == []


def test_no_file_and_too_many_files_are_told(team, bob: User) -> None:
    assert send(bob, team) == ["Choose a .pdb file first."]
    assert send(bob, team, *[pdb_file()] * 21) == ["At most 20 files at once."]


def test_a_reader_that_dies_or_lies_keeps_nothing(team, bob: User, monkeypatch) -> None:
    def dies(pdb: Path, lines: Path) -> dict:
        raise EngineCrashed("killed by signal 11", "", retry=True)

    def lies(pdb: Path, lines: Path) -> dict:
        lines.write_bytes(b"x")
        return {"pdb_id": answers.pop()}

    def links(pdb: Path, lines: Path) -> dict:
        lines.symlink_to("/etc/passwd")
        return {"pdb_id": PDB_ID}

    answers = [PDB_ID, "", "../../../x,1", f"{GUID}".upper() + ",1"]
    for reader in (dies, links, *[lies] * 4):
        monkeypatch.setattr(symbols, "read_symbols", reader)
        with pytest.raises(SymbolsRefused):
            add_symbols(team=team, user=bob, name="x", content=[small_pdb((1, POINTS))])
    assert answers == []
    assert not SymbolFile.objects.exists()


# Who may what


def test_roles(team, other_team, alice: User, bob: User, carol: User, mallory: User) -> None:
    for person, status in ((carol, 403), (mallory, 404)):
        answer = client_of(person).post(reverse("symbols-upload", args=[team.pk]), {"pdb": pdb_file()})
        assert answer.status_code == status
    assert not SymbolFile.objects.exists()
    send(alice, team, pdb_file())
    row = SymbolFile.objects.get()
    address = reverse("symbols-delete", args=[team.pk, row.pk])
    assert client_of(bob).post(address).status_code == 403, "not bob's own"
    assert client_of(carol).post(address).status_code == 403
    assert client_of(mallory).post(address).status_code == 404
    through_own_team = reverse("symbols-delete", args=[other_team.pk, row.pk])
    assert client_of(mallory).post(through_own_team).status_code == 404
    assert 'name="pdb"' not in page_of(carol, team)
    assert "Delete" not in page_of(bob, team)
    assert client_of(alice).post(address).status_code == 302
    assert not SymbolFile.objects.exists()


def test_pdbs_of_one_team_are_none_of_another(team, other_team, bob: User, mallory: User) -> None:
    send(bob, team, pdb_file())
    assert TeamSymbols(other_team.pk).lines(PDB_ID) is None
    assert "Shop.pdb" not in page_of(mallory, other_team)
    send(mallory, other_team, pdb_file(name="Theirs.pdb"))
    assert SymbolFile.objects.count() == 2
    delete_symbols(symbols=SymbolFile.objects.get(team=other_team))
    assert TeamSymbols(team.pk).lines(PDB_ID) is not None


def test_the_list_is_searched(team, bob: User) -> None:
    send(bob, team, pdb_file(name="Shop.pdb"), pdb_file(small_pdb((1, POINTS), guid=SCENARIOS), "Other.pdb"))
    assert "Other.pdb" not in page_of(bob, team, q="shop")
    assert "Shop.pdb" not in page_of(bob, team, q=str(SCENARIOS))
    assert "No PDB has this" in page_of(bob, team, q="%")


# Lines in stacks


@pytest.fixture(scope="module")
def sample_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sample")
    with zstandard.open(SAMPLE) as packed:
        (directory / "dump").write_bytes(packed.read())
    analyse(directory / "dump", directory / "index", lambda stage, fraction, detail: None)
    return directory / "index"


@pytest.fixture
def sample(team, bob: User, sample_index: Path) -> Dump:
    return analysed_dump(team, bob, build=lambda directory: shutil.copytree(sample_index, directory))


def main_thread(user: User, dump: Dump) -> str:
    response = client_of(user).get(reverse("dump-thread", args=[dump.pk, 1]))
    assert response.status_code == 200
    return response.content.decode()


def test_lines_appear_without_a_new_analysis_and_go_with_their_pdb(team, bob: User, carol: User, sample: Dump) -> None:
    assert "Program.Main" in main_thread(bob, sample)
    assert "/src/A.cs" not in main_thread(bob, sample)
    everywhere = b"\0" + point(0, 0, 1, compressed(4711), compressed(1))
    methods = [(0, b"")] * (MAIN - 1) + [(1, everywhere)]
    send(bob, team, pdb_file(small_pdb(*methods, guid=SCENARIOS), "scenarios.pdb"))
    assert "/src/A.cs @ 4711" in main_thread(bob, sample)
    assert "A.cs" not in main_thread(carol, sample), "paths are context: a viewer gets none"
    row = SymbolFile.objects.get()
    row.lines.write_bytes(b"damaged")
    assert "/src/A.cs" not in main_thread(bob, sample), "damaged lines are as good as none"
    delete_symbols(symbols=row)
    assert not row.directory.exists()
    assert "/src/A.cs" not in main_thread(bob, sample)


def test_another_build_of_a_module_gets_no_lines(team, bob: User, sample: Dump) -> None:
    methods = [(0, b"")] * (MAIN - 1) + [(1, POINTS)]
    send(bob, team, pdb_file(small_pdb(*methods), "scenarios.pdb"))
    assert "/src/A.cs" not in main_thread(bob, sample)


def test_the_modules_page_says_where_lines_come_from(team, bob: User, sample: Dump) -> None:
    def line_sources() -> dict[str, str]:
        answer = client_of(bob).get(reverse("dump-modules", args=[sample.pk]), {"format": "json"})
        return {row["name"]: row["lines"] for row in json.loads(b"".join(answer.streaming_content))["rows"]}

    assert set(line_sources().values()) == {"none"}
    send(bob, team, pdb_file(small_pdb((1, POINTS), guid=SCENARIOS), "scenarios.pdb"))
    assert {name for name, source in line_sources().items() if source != "none"} == {"scenarios.dll"}
    assert line_sources()["scenarios.dll"] == "uploaded"
