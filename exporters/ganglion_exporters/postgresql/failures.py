"""What a PostgreSQL error means for a batch, and what may be said of it.

Class 22 (data), 23 (integrity) and 54 (a limit of the program) lie in the rows: permanent, so that the bad one is
found. Everything else passes or is for the operator to mend (connection, rights, space, deadlock): retryable.
Source: PostgreSQL manual, appendix A.
"""

import psycopg
from ganglion_collector.errors import ExportError, PermanentError, RetryableError
from psycopg import errors

__all__ = ["export_error"]

_IN_THE_ROWS = ("22", "23", "54")
_LONGEST = 300


def export_error(error: psycopg.Error, secret: str | None) -> ExportError:
    """Return the error to raise; its text holds neither `secret` nor values of a row."""
    state = error.sqlstate or ""
    if state.startswith(_IN_THE_ROWS) and not _is_missing_partition(error):
        return PermanentError(f"PostgreSQL refuses it: {_name(error)}{_place(error)}")
    return RetryableError(f"PostgreSQL: {_text(error, secret)}")


def _is_missing_partition(error: psycopg.Error) -> bool:
    """A day's partition was dropped since it was last seen; the next attempt makes it again."""
    return isinstance(error, errors.CheckViolation) and error.diag.constraint_name is None


def _name(error: psycopg.Error) -> str:
    return f"{type(error).__name__} ({error.sqlstate})"


def _place(error: psycopg.Error) -> str:
    where = [name for name in (error.diag.table_name, error.diag.column_name, error.diag.constraint_name) if name]
    return f" in {'.'.join(where)}" if where else ""


def _text(error: psycopg.Error, secret: str | None) -> str:
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    text = lines[0] if lines else "no reason given"
    if secret:
        text = text.replace(secret, "***")
    code = f"{_name(error)}: " if error.sqlstate else ""
    return f"{code}{text[:_LONGEST]}"
