"""Commands about threads: clrthreads, clrstack, syncblk, pe."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.index.execution import MANAGED, NATIVE
from explorer.pages.commands.answer import Cell, Line, columns, line
from explorer.pages.commands.language import Arguments, Command, CommandError, Option
from explorer.pages.commands.session import Session
from explorer.pages.names import visible
from explorer.pages.references import Piece

_UNSTARTED, _DEAD = 0x400, 0x800
_BACKGROUND = 0x200
_LONGEST_LABEL, _LONGEST_MESSAGE = 200, 2000


def _clrthreads(session: Session, arguments: Arguments) -> Iterator[Line]:
    index = session.index
    states = np.asarray(index.column("threads", "state"))
    yield line(f"ThreadCount:      {len(states)}")
    yield line(f"UnstartedThread:  {int((states & _UNSTARTED > 0).sum())}")
    yield line(f"BackgroundThread: {int((states & _BACKGROUND > 0).sum())}")
    yield line(f"DeadThread:       {int((states & _DEAD > 0).sum())}")
    rows = [_thread(session, row) for row in range(len(states))]
    yield from columns(("ID", "OSID", "ThreadOBJ", "State", "GC Mode", "Exception"), rows, left=(4, 5))


def _thread(session: Session, row: int) -> tuple[Cell, ...]:
    index = session.index
    number = {name: int(index.column("threads", name)[row]) for name in ("managed_id", "os_id", "address", "state")}
    roles = ", ".join(role for role in str(index.text("threads", "roles")[row]).split(", ") if role not in ("", "background"))
    raised, at = (
        visible(str(index.text("threads", "exception_type")[row])),
        int(index.column("threads", "exception_address")[row]),
    )
    words = " ".join(one for one in (f"({roles})" if roles else "", f"{raised} {at:x}" if raised else "") if one)
    return (
        Piece(str(number["managed_id"]), session.references.thread_url(row), "thread"), f"{number['os_id']:x}",
        f"{number['address']:016X}", f"{number['state']:x}", visible(str(index.text("threads", "gc_mode")[row])), words,
    )  # fmt: skip


def _clrstack(session: Session, arguments: Arguments) -> Iterator[Line]:
    os_ids = session.index.column("threads", "os_id").tolist()
    every = [row for row, os_id in enumerate(os_ids) if os_id]
    for row in every if arguments.has("all") else [_chosen_thread(session, arguments)]:
        yield line("OS Thread Id: ", Piece(f"0x{os_ids[row]:x}", session.references.thread_url(row), "thread"))
        yield line("        Child SP               IP Call Site")
        yield from _frames(session, row)


def _chosen_thread(session: Session, arguments: Arguments) -> int:
    """The thread with this managed or (with 0x) operating system id; without one the thread that crashed, else the first."""
    index = session.index
    if not arguments.words:
        crashed = index.facts("crash").get("thread")
        if not index.rows["threads"]:
            raise CommandError("There is no managed thread in this dump.")
        return int(crashed) if crashed is not None and crashed >= 0 else 0
    word = arguments.words[0]
    by_os = word.lower().startswith("0x")
    try:
        wanted = int(word, 16 if by_os else 10)
    except ValueError:
        raise CommandError(
            f"{visible(word, 40)} is no thread: it takes a managed id such as 4, or 0xd7e of the system."
        ) from None
    rows = np.flatnonzero(index.column("threads", "os_id" if by_os else "managed_id") == wanted)
    if not len(rows):
        raise CommandError(f"There is no thread {visible(word, 40)}; clrthreads lists them.")
    return int(rows[0])


def _frames(session: Session, thread: int) -> Iterator[Line]:
    index = session.index
    first, count = (int(index.column("threads", name)[thread]) for name in ("first_frame", "frames"))
    for row in range(first, first + count):
        kind = int(index.column("frames", "kind")[row])
        if kind == NATIVE:
            continue
        sp, ip, method = (int(index.column("frames", name)[row]) for name in ("sp", "ip", "method"))
        name = visible(str(index.text("methods", "name")[method])) if method >= 0 else ""
        label = visible(str(index.text("frames", "label")[row]), _LONGEST_LABEL)
        mark = f"[{label}: {sp:016x}] " if kind != MANAGED else ""
        place = session.source_lines.of_method(method, int(index.column("frames", "il_offset")[row])) if kind == MANAGED else ""
        source = f" [{place}]" if place else ""
        yield line(f"{sp:016X} {ip:016X} {mark}", Piece(name, session.references.frame_url(row), "frame"), source)
    stopped = visible(str(index.text("threads", "stopped")[thread]), _LONGEST_LABEL)
    if stopped:
        yield line(f"        the stack ends here: {stopped}")


def _syncblk(session: Session, arguments: Arguments) -> Iterator[Line]:
    index = session.index
    rows = [row for row, form in enumerate(index.text("locks", "form").all) if form == "sync block"]
    held = [row for row in rows if bool(index.column("locks", "held")[row])]
    yield from columns(
        ("Index", "MonitorHeld", "Recursion", "Thread", "OSID", "ID", "Object", "Owned Object"),
        [_sync_block(session, row) for row in sorted(held, key=lambda row: int(index.column("locks", "sync_index")[row]))],
    )
    yield line("-" * 30)
    yield line(f"Held            {len(held)}")
    yield line(f"Waited for too  {len(rows) - len(held)}")


def _sync_block(session: Session, row: int) -> tuple[Cell, ...]:
    index = session.index
    owner, at = int(index.column("locks", "owner")[row]), int(index.column("locks", "object")[row])
    stated, known = int(index.column("locks", "stated_waiters")[row]), int(index.column("locks", "waiters")[row])
    waiters = max(stated, known)
    who: tuple[Cell, ...] = ("", "", "")
    if owner >= 0:
        address, os_id, managed = (int(index.column("threads", name)[owner]) for name in ("address", "os_id", "managed_id"))
        who = f"{address:016X}", f"{os_id:x}", Piece(str(managed), session.references.thread_url(owner), "thread")
    return (
        # One for the owner and two for each thread that waits, as the runtime counts.
        str(int(index.column("locks", "sync_index")[row])), str(1 + 2 * waiters),
        str(int(index.column("locks", "recursion")[row])), *who, Piece(f"{at:x}", session.references.lock_url(row), "lock"),
        visible(str(index.text("locks", "type_name")[row])),
    )  # fmt: skip


def _pe(session: Session, arguments: Arguments) -> Iterator[Line]:
    index = session.index
    row = _exception(session, arguments)
    if row is None:
        yield line("There is no current managed exception in this dump.")
        return
    column = {name: int(index.column("exceptions", name)[row]) for name in ("hresult", "inner", "first_frame", "frames")}
    yield line("Exception object: ", _exception_link(session, row))
    yield line(f"Exception type:   {visible(str(index.text('exceptions', 'type_name')[row]))}")
    message = "your role does not show it"
    if index.shows("exceptions", "message"):
        message = visible(str(index.text("exceptions", "message")[row]), _LONGEST_MESSAGE) or "<none>"
    yield line(f"Message:          {message}")
    yield line("InnerException:   ", _exception_link(session, column["inner"]) if column["inner"] >= 0 else "<none>")
    yield line("StackTrace (generated):")
    if not column["frames"]:
        yield line("<none>")
    else:
        yield line("        SP               IP Function")
    for frame in range(column["first_frame"], column["first_frame"] + column["frames"]):
        sp, ip, method, il = (int(index.column("exception_frames", name)[frame]) for name in ("sp", "ip", "method", "il_offset"))
        name = visible(str(index.text("methods", "name")[method])) if method >= 0 else ""
        place = session.source_lines.of_method(method, il)
        yield line(f"{sp:016X} {ip:016X} {name}{f' [{place}]' if place else ''}")
    yield line(f"HResult: {column['hresult'] & 0xFFFFFFFF:08x}")


def _exception(session: Session, arguments: Arguments) -> int | None:
    """The exception at an address; without one that of the crash, else the first that a thread carries."""
    index = session.index
    if arguments.words:
        address = arguments.address()
        rows = np.flatnonzero(index.column("exceptions", "address") == np.uint64(address))
        if not len(rows):
            raise CommandError(f"No exception lies at {address:x}; the page Crash lists them.")
        return int(rows[0])
    crashed = index.facts("crash").get("exception")
    if crashed is not None and crashed >= 0:
        return int(crashed)
    carried = np.flatnonzero(index.column("exceptions", "nesting") == 0)
    return int(carried[0]) if len(carried) else None


def _exception_link(session: Session, row: int) -> Piece:
    at = int(session.index.column("exceptions", "address")[row])
    return Piece(f"{at:016x}", session.references.exception(row).url, "exception")


COMMANDS = (
    Command(
        "clrthreads", "managed threads", _clrthreads, aliases=("threads",),
        differs="the debugger's own numbers, allocation contexts, domain and apartment are left out.",
    ),
    Command(
        "clrstack", "the managed stack of a thread: of the one that crashed, or of the first", _clrstack, "[ID]",
        (Option("all", "", "of all threads"),),
        differs="a thread is chosen by its managed id, or by its id in the system with 0x.",
    ),
    Command(
        "syncblk", "locks with a sync block that are held", _syncblk,
        differs="the address of the sync block is left out; thin locks: dumpheap -thinlock.",
    ),
    Command("pe", "an exception: type, message, stack", _pe, "[ADDRESS]", aliases=("printexception",)),
)  # fmt: skip
