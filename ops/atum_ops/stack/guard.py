"""The process that stands between us and a server, so that nothing outlives us.

Run as a script, it starts one server, becomes the reaper of everything that server forks (daemons that
detach themselves, such as epmd, and Postgres backends, which make sessions of their own), and ends all of
it with SIGKILL as soon as the server or the process that started the guard is gone, however it went.

PR_SET_PDEATHSIG on the server itself would be shorter but fires when the *thread* that forked exits, is
cleared when the child changes its user, and does not reach grandchildren. Only the standard library is
imported, because the guard must start in a few milliseconds. Linux only: /proc and prctl(2).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# prctl(2), from linux/prctl.h: orphaned descendants become our children instead of init's.
PR_SET_CHILD_SUBREAPER = 36
PARENT_CHECK_SECONDS = 0.25
END_CHECK_SECONDS = 0.005


def descendants(pid: int) -> list[int]:
    """List the process ids below `pid`, parents before their children, without `pid` itself."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent_of(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = list(children.get(pid, ()))
    for child in found:
        found.extend(children.get(child, ()))
    return found


def _parent_of(entry: Path) -> int | None:
    try:
        stat = (entry / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold spaces and parentheses; the fields after its last ")" are fixed (proc(5)).
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each process that still exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _reap(server: subprocess.Popen[bytes]) -> bool:
    """Collect every child that has ended; True when the server is among them."""
    ended = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return ended
        if pid == server.pid:
            server.returncode = os.waitstatus_to_exitcode(status)
            ended = True


def _end_all(server: subprocess.Popen[bytes]) -> None:
    # Repeated, because a process may fork between the listing and its end.
    while below := descendants(os.getpid()):
        signal_all(below, signal.SIGKILL)
        time.sleep(END_CHECK_SECONDS)
        _reap(server)


def _watch(server: subprocess.Popen[bytes], parent: int) -> None:
    # Blocked only now: a child would inherit the mask.
    awaited = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    while not _reap(server) and os.getppid() == parent:
        received = signal.sigtimedwait(awaited, PARENT_CHECK_SECONDS)
        if received is not None and received.si_signo == signal.SIGTERM:
            return


def main() -> int:
    """Run the server named on the command line; returns its exit status, 128 + n for signal n."""
    parser = argparse.ArgumentParser(description="Run one server and leave nothing of it behind.")
    parser.add_argument("--parent", type=int, required=True, help="process id to live as long as")
    parser.add_argument("--user", type=int, help="numeric user id to run the server as")
    parser.add_argument("--group", type=int, help="numeric group id to run the server as")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    server = subprocess.Popen(
        options.command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
        user=options.user,
        group=options.group,
        extra_groups=None if options.user is None else [],
        start_new_session=True,
    )
    print(server.pid, flush=True)
    _watch(server, options.parent)
    _end_all(server)
    status = server.returncode if server.returncode is not None else -signal.SIGKILL
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
