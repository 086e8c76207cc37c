"""The ``obscura`` command: exit codes, and errors as one clear line.

Exit codes (docs/operate.md): 0 done, 1 failed, 2 wrong usage or setting, 3 no node runs there, 4 the datadir is in use,
5 the disk or a file is at fault, 130 interrupted; those of `sim` stand in :mod:`obscura.cli.simulating`.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import Any

from ..base.errors import ConfigError, LocalError, ObscuraError, StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def main() -> None:
    """Run the command line and exit."""
    _fill_standard_descriptors()
    try:
        import typer  # noqa: PLC0415 an optional extra
    except ModuleNotFoundError:
        sys.stderr.write("error: the command line needs an extra: pip install 'obscura[cli]'\n")
        sys.exit(1)
    from .commands import app  # noqa: PLC0415 needs the extra

    # Typer carries Click inside in some releases and beside in others; its own classes lead to the right one.
    usage_error: Any = typer.BadParameter.__mro__[2]
    try:
        code = app(standalone_mode=False)
    except usage_error as error:
        # Privacy: what was too much on the command line is quoted, and may be a peer with an access secret.
        error.message = re.sub("[a-z2-7]{20,}", "…", error.message or "")
        error.show()
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        sys.stderr.write(f"error: the output cannot be written: {error.strerror}\n")
        # What is left in the buffer would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(5)
    except ObscuraError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(_code(error))
    sys.exit(code if isinstance(code, int) else 0)


def _fill_standard_descriptors() -> None:
    """Give 0, 1 and 2 a place to go to if they are closed: otherwise the next file to be opened, a database perhaps,
    gets the number, and what is meant for people is written into it."""
    for fd, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest free number is given, and those below are filled already.
            os.open(os.devnull, mode)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 as long as the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _code(error: ObscuraError) -> int:
    from ..control.client import NoNodeError  # noqa: PLC0415
    from ..store.datadir import DatadirLockedError  # noqa: PLC0415

    match error:
        case NoNodeError():
            return 3
        case DatadirLockedError():
            return 4
        case StoreError():
            return 5
        case ConfigError():
            return 2
        case LocalError():
            return 1
    return 1


if __name__ == "__main__":
    main()
