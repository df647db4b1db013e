"""An initialised, empty PostgreSQL cluster to copy nodes from: initdb takes 1 s, a copy 0.1 s."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from atum_ops.stack.account import hand_over
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from atum_ops.stack.account import Account

SUPERUSER = "atum"


class Pristine:
    """A cluster below `directory`, made with the `initdb` in `programs` when first copied.

    Its superuser `atum` logs in with a random password (scram-sha-256), kept in a file of mode 0600 beside
    the data. A directory made by an earlier process is used again.
    """

    def __init__(self, directory: Path, *, programs: Path, account: Account | None) -> None:
        self._directory = directory
        self._programs = programs
        self._account = account

    @property
    def password(self) -> str:
        """Password of the superuser. Raises StackError before the first `copy_to`."""
        try:
            return self._password_file.read_text().strip()
        except FileNotFoundError as error:
            raise StackError(
                f"no PostgreSQL cluster in {self._directory} yet; start the node first"
            ) from error

    def copy_to(self, target: Path) -> None:
        """Make `target` a data directory of its own, owned by the account. Raises StackError if initdb fails."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        shutil.copytree(self._data, target)
        target.chmod(0o700)
        hand_over(target, self._account)

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _password_file(self) -> Path:
        return self._directory / "password"

    def _initialise(self) -> None:
        # Beside its final place and renamed at the end: an interrupted initdb is not mistaken for a cluster.
        self._directory.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix="initdb-", dir=self._directory))
        password = workshop / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        hand_over(self._directory, self._account)
        self._initdb(workshop / "data", password)
        password.replace(self._password_file)
        (workshop / "data").replace(self._data)
        workshop.rmdir()

    def _initdb(self, data: Path, password: Path) -> None:
        command = [str(self._programs / "initdb"), "-D", str(data), "--username", SUPERUSER]
        command += [
            "--pwfile",
            str(password),
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
        ]
        account = self._account
        done = subprocess.run(
            # Unsynced is safe here: only a crash of the machine could tear it, and then it is made anew.
            [*command, "--no-sync"],
            cwd=data.parent,
            capture_output=True,
            text=True,
            check=False,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )
        if done.returncode != 0:
            raise StackError(f"initdb failed in {data.parent}:\n{done.stderr.strip()}")
