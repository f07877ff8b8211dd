"""The command line `ganglion`. This module is all that a service's install needs to say what is missing."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; exit code 0 done, 1 failed, 2 wrong usage, 3 nothing found."""
    try:
        from ganglion_query.commands import app  # noqa: PLC0415 (its imports are what may be missing)
    except ModuleNotFoundError as error:
        sys.exit(f"ganglion: the command line needs the Python package {error.name}; pip install 'ganglion[all]'")
    app()


if __name__ == "__main__":
    main()
