"""Ctrl-C and SIGTERM -> one line, exit code 130, within seconds, no process left running.

interrupts.install()  # first of all: before slow imports, and before any process or thread

The main thread has a moment (KeyboardInterrupt) to remove what is half written. A thread of its
own then ends the program wherever the main one hangs: in Beam, in TensorFlow, or in the end of
the interpreter.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import pathlib
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any, NoReturn

CODE = 130
LINE = "interrupted; give the same command again to go on"
_SECONDS = 3.0
"""Which the main thread has to unwind."""
_ECHO = 1.0
"""Of these, the first: make and supervisors pass on a signal that the whole group got already."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TRACKER = "resource_tracker"
"""Process of multiprocessing that frees what the others shared; it is ended last."""
_lock = threading.RLock()  # the handler may interrupt the main thread while it holds it
_came = threading.Event()
_raised = threading.Event()


def install() -> None:
    """Takes over both signals, once, in the main thread; an ignored one stays so (`nohup`, `&`)."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is _raise:
        return
    sys.excepthook = _hook
    atexit.register(_end)
    os.register_at_fork(after_in_child=_forget)
    pair = os.pipe()
    # not the number of a standard stream that is closed
    awake, wake = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in pair)
    for end in pair:
        os.close(end)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(awake,), name="interrupts", daemon=True).start()
    shield_children()  # the watching thread receives it
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise)


def shield_children() -> None:
    """Blocks Ctrl-C in this thread and in what it begins from now on, where `install` was called.

    A terminal sends it to the children too, and each would print a traceback; `_end_children` ends
    them. To be called again whenever multiprocessing has started its resource tracker: that
    unblocks it.
    """
    if sys.excepthook is _hook:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def interrupted() -> bool:
    """Whether one of the signals came."""
    return _came.is_set()


def leave() -> NoReturn:
    """Ends the program and all its children at once, with code 130."""
    _stop()
    with contextlib.suppress(RuntimeError):  # no thread begins once the interpreter ends
        # another thread may hold the stream for ever
        flush = threading.Thread(target=sys.stdout.flush, daemon=True)
        flush.start()
        flush.join(0.5)
    _end_children()
    os._exit(CODE)


def _raise(*_: object) -> None:
    """Handles a signal, in the main thread; a second one finds the first at it and goes."""
    if not _raised.is_set():
        _raised.set()
        _stop()
        raise KeyboardInterrupt


def _stop() -> None:
    """Prints LINE, closes stderr to all others and ends the children; the first time."""
    with _lock:
        if _came.is_set():
            return
        _came.set()
        with contextlib.suppress(OSError):  # stderr may be closed
            stderr = os.dup(2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # Beam and Python would add a page each
            os.write(stderr, ("\n" * os.isatty(stderr) + LINE + "\n").encode())
        _end_children(but=_TRACKER)


def _watch(awake: int) -> None:
    """Waits for a signal, then for the main thread or a second signal, and ends the program."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    while not set(os.read(awake, 64)).intersection(_SIGNALS):
        pass
    _stop()
    time.sleep(_ECHO)
    if select.select([awake], [], [], 0)[0]:
        os.read(awake, 64)
    select.select([awake], [], [], _SECONDS - _ECHO)
    leave()


def _forget() -> None:
    """Gives a forked child the system's handlers: what is sent to it is no news to its parent."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.SIG_DFL)


def _hook(*error: Any) -> None:
    _leave_if_interrupted()
    sys.__excepthook__(*error)


def _leave_if_interrupted() -> None:
    if interrupted():
        leave()


def _end() -> None:
    """Ends a program that was interrupted; of one that is done nothing is left to interrupt.

    Python would take the signals' handlers away and then be killed by one, its work done.
    """
    try:
        for number in _SIGNALS:
            if signal.getsignal(number) is _raise:
                signal.signal(number, signal.SIG_IGN)
    finally:
        _leave_if_interrupted()


def _end_children(*, but: str | None = None) -> None:
    """Kills all processes that this one began, and theirs, but those whose command has a word."""
    processes = _list_processes()
    found, new = set[int](), {os.getpid()}
    while new:
        new = {pid for pid, (parent, _) in processes.items() if parent in new} - found
        found |= new
    for pid in found:
        if but is None or but not in processes[pid][1]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _list_processes() -> dict[int, tuple[int, str]]:
    """Lists the processes of this machine: id -> that of its parent, and its command."""
    listed: dict[int, tuple[int, str]] = {}
    table = pathlib.Path("/proc")
    if not (table / "self/stat").is_file():  # not Linux
        done = subprocess.run(
            ["ps", "-axo", "pid=,ppid=,command="], capture_output=True, text=True, check=False
        )
        for line in done.stdout.splitlines():
            pid, parent, command = line.split(None, 2)
            listed[int(pid)] = int(parent), command
        return listed
    for name in os.listdir(table):
        with contextlib.suppress(OSError, ValueError):  # no process, or one that has ended
            # proc(5): the command's name, which may hold anything, stands in parentheses
            state = (table / name / "stat").read_bytes().rpartition(b")")[2].split()
            command = (table / name / "cmdline").read_bytes().decode(errors="replace")
            listed[int(name)] = int(state[1]), command
    return listed
