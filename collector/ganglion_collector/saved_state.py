"""A component's state as bytes: msgpack of one structure that has a version."""

from typing import Protocol, TypeVar

import msgspec

__all__ = ["read_state", "write_state"]


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


S = TypeVar("S", bound=_Versioned)


def write_state(state: _Versioned) -> bytes:
    """Return the bytes of a msgspec structure."""
    return msgspec.msgpack.encode(state)


def read_state(data: bytes, kind: type[S], version: int, owner: str) -> S:
    """Return the structure that `write_state` made bytes of; `owner` is the component's type, for the message.

    Raises:
        ValueError: `data` is no such structure, or one of another version.
    """
    try:
        found = msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a state of {owner}: {error}") from None
    if found.version != version:
        raise ValueError(f"a state of {owner} of version {found.version}, not {version}")
    return found
