"""The home folder: where journal, database, state and logs of one collector live, and whether it runs."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ganglion_collector.errors import StartError

__all__ = ["Home", "keep_private", "reason_of"]

_MEMORY = Path("/dev/shm")  # noqa: S108 (what is made there is private, and never shared)
_METRICS_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under one home folder; `path` is absolute."""

    path: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Home":
        """Return `$GANGLION_HOME`, else `.ganglion/` under the current folder."""
        return cls(Path(environ.get("GANGLION_HOME") or ".ganglion").expanduser().absolute())

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def lock(self) -> Path:
        """Held with flock by the supervisor while it lives."""
        return self.run / "lock"

    @property
    def status(self) -> Path:
        return self.run / "status.json"

    @property
    def log(self) -> Path:
        """What `ganglion up`'s supervisor writes."""
        return self.logs / "collector.log"

    def make(self) -> None:
        """Make the folders; only this user may list them. Who writes to them sets the umask (`keep_private`).

        Raises:
            StartError: the disk is read-only or full, rights are missing, or a file is in the way.
        """
        # Root runs PostgreSQL as another user, who must be able to pass through.
        private = 0o711 if os.geteuid() == 0 else 0o700
        for folder, mode in ((self.path, private), (self.run, private), (self.logs, private), (self.journal, 0o700)):
            try:
                folder.mkdir(parents=folder == self.path)
                folder.chmod(mode)  # whatever the umask is
            except FileExistsError:
                _check_usable(folder)
            except OSError as error:
                raise StartError(f"cannot make {folder}: {reason_of(error)}; set GANGLION_HOME") from None

    def make_metrics(self) -> Path:
        """Make the folder where the processes count, empty: in memory where that can be had, else in the home folder.

        The files are mapped, and the system kills whoever writes to a mapped file on a full disk.
        """
        if (folder := self._metrics_in_memory()) is not None:
            try:
                return _made_anew(folder)
            except OSError:  # somebody else's
                pass
        return _made_anew(self.run / "metrics")

    def _metrics_in_memory(self) -> Path | None:
        if not os.access(_MEMORY, os.W_OK | os.X_OK) or shutil.disk_usage(_MEMORY).free < _METRICS_BYTES:
            return None
        # By what the folder is, too: the same path in another container is another one.
        home = self.path.stat()
        key = f"{self.path}:{home.st_dev}:{home.st_ino}"
        return _MEMORY / f"ganglion-metrics-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def is_running(self) -> bool:
        """Say whether a supervisor holds the lock; a stale state file or a reused process id cannot mislead it."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StartError(f"cannot read {self.lock}: {reason_of(error)}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def _made_anew(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def keep_private() -> None:
    """Let only this user read what this process and its children write from now on."""
    os.umask(0o077)


def _check_usable(folder: Path) -> None:
    if not folder.is_dir():
        raise StartError(f"{folder} is in the way: not a folder; remove it or set GANGLION_HOME")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise StartError(f"no right to write to {folder}; change its owner or set GANGLION_HOME")


def reason_of(error: OSError) -> str:
    """Return what the system says, in words a user can act on."""
    match error.errno:
        case errno.EROFS:
            return "the disk is read-only"
        case errno.ENOSPC | errno.EDQUOT:
            return "no space left on the disk"
        case errno.EACCES | errno.EPERM:
            return "missing rights"
        case _:
            return error.strerror or str(error)
