"""Become another user, keep one capability, tie the process to its parent, then execute a program.

Run as `python -m ganglion_collector.launch`. PostgreSQL refuses to run as root, so root starts it through here.
"""

import argparse
import ctypes
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "Launch", "permitted_capabilities"]

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True)
class Launch:
    """How a program starts.

    `uid` and `gid` to become (None: stay), `capability` to keep (Linux), and the signal that the death of its parent
    sends it (Linux; 0 is none).
    """

    uid: int | None = None
    gid: int | None = None
    capability: int | None = None
    death_signal: int = 0

    def argv(self, program: Sequence[str]) -> list[str]:
        """Return the command line that starts `program` so, as a child of this process."""
        options = [f"--parent={os.getpid()}", f"--death-signal={self.death_signal}"]
        if self.uid is not None and self.gid is not None:
            options += [f"--uid={self.uid}", f"--gid={self.gid}"]
        if self.capability is not None:
            options.append(f"--capability={self.capability}")
        return [sys.executable, "-P", "-m", "ganglion_collector.launch", *options, "--", *program]


def permitted_capabilities() -> int:
    """Return this process's permitted capabilities as a bit mask; 0 where the system has none."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123 (import time)
            return next((int(line.split()[1], 16) for line in status if line.startswith("CapPrm:")), 0)
    except OSError:
        return 0


def _prctl(option: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(number) for number in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def _keep_only(capability: int) -> None:
    mask = 1 << capability
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Two sets of effective, permitted, inheritable: capabilities 0-31, then 32-63.
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, sets) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def _become(launch: Launch) -> None:
    if launch.uid is None or launch.gid is None:
        return
    if launch.capability is not None:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(launch.gid)
    os.setuid(launch.uid)
    if launch.capability is not None:
        _keep_only(launch.capability)


def _tie_to(parent: int, signal: int) -> None:
    if signal and sys.platform == "linux":
        # After the change of user, which clears it.
        _prctl(_PR_SET_PDEATHSIG, signal)
        if os.getppid() != parent:
            sys.exit("the starting process has ended")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="ganglion_collector.launch", description=__doc__)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, default=0)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--capability", type=int)
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(arguments)
    try:
        _become(Launch(options.uid, options.gid, options.capability))
        _tie_to(options.parent, options.death_signal)
        os.chdir("/")
        os.umask(0o077)
        os.execv(options.program[0], options.program)  # noqa: S606 (no shell is the point)
    except OSError as error:
        sys.exit(f"cannot start {options.program[0]}: {error}")


if __name__ == "__main__":
    main()
