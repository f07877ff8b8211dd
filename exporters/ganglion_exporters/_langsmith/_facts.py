"""What the attributes of one span say, sorted by what is done with it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from ganglion_exporters._langsmith._conventions import PLACES, Group, place
from ganglion_exporters._langsmith._values import JSON, Object, literal, parsed, plain

__all__ = ["Facts", "read_facts"]

# Looked up once, since this is the most often passed line of the conversion.
_READ, _METADATA, _GIVEN_METADATA = Group.READ, Group.METADATA, Group.GIVEN_METADATA
_READ_AND_KEPT, _PARAMETER, _ITEM = Group.READ_AND_KEPT, Group.PARAMETER, Group.ITEM


class _Tree(dict[Any, Any]):
    """Values that came one by one, by the parts of their names; an index is a number."""


@dataclass(slots=True)
class Facts:
    """`known` is read by attribute name, a spread list as `<name>.{n}`; the others are parts of a run as they are.

    `given` is metadata that a service wrote as such, which wins over what is made of other attributes.
    """

    known: Object = field(default_factory=dict[str, JSON])
    metadata: Object = field(default_factory=dict[str, JSON])
    given: Object = field(default_factory=dict[str, JSON])
    parameters: Object = field(default_factory=dict[str, JSON])
    is_llm: bool = False

    def text(self, name: str) -> str:
        """Return a text without the blanks around it; empty where there is none."""
        value = self.known.get(name)
        return value.strip() if isinstance(value, str) else ""


def read_facts(attributes: Iterable[KeyValue]) -> Facts:
    """Sort attributes by the tables of the conventions."""
    facts = Facts()
    trees: dict[str, _Tree] = {}
    known, metadata, is_llm = facts.known, facts.metadata, False
    for attribute in attributes:
        key, found = attribute.key, attribute.value
        value = found.string_value or found.int_value or plain(found)
        spot = PLACES.get(key) or place(key)
        group = spot.group
        is_llm = is_llm or spot.is_llm
        if group is _READ:
            known[key] = value
        elif group is _METADATA:
            metadata[spot.name] = value
        elif group is _GIVEN_METADATA:
            facts.given[spot.name] = parsed(value)
        elif group is _READ_AND_KEPT:
            known[key] = metadata[key] = value
        elif group is _PARAMETER:
            facts.parameters[spot.name] = parsed(value)
        elif group is _ITEM and not _plant(trees.setdefault(spot.name, _Tree()), spot.path, value):
            metadata[key] = value
    for name, tree in trees.items():
        known[f"{name}.{{n}}"] = _grown(tree)
    facts.is_llm = is_llm
    _spread(facts)
    return facts


def _spread(facts: Facts) -> None:
    """Take apart the attributes that hold several of a kind."""
    for name in ("llm.invocation_parameters", "embedding.invocation_parameters"):
        found = literal(facts.known.get(name))
        if isinstance(found, dict):
            facts.parameters = {**found, **facts.parameters}
    for name, tool in (("llm.tools.{n}", "tools"), ("llm.request.functions.{n}", "functions")):
        if name in facts.known:
            facts.parameters.setdefault(tool, _tools(facts.known[name]))
    if "metadata" in facts.known:
        found = literal(facts.known["metadata"])
        if isinstance(found, dict):
            facts.given = {**found, **facts.given}
        else:
            facts.metadata["metadata"] = found


def _tools(value: JSON) -> JSON:
    """Return definitions of tools; OpenInference has each as `tool.json_schema`."""
    tools: list[JSON] = []
    for item in value if isinstance(value, list) else []:
        tool = item.get("tool", item) if isinstance(item, dict) else item
        tools.append(parsed(tool["json_schema"]) if isinstance(tool, dict) and "json_schema" in tool else tool)
    return tools


def _plant(tree: _Tree, path: tuple[str | int, ...], value: JSON) -> bool:
    """Put a value at its place in a tree; False where something else is in the way."""
    *branches, leaf = path
    for part in branches:
        branch = tree.get(part)
        if branch is None:
            branch = tree[part] = _Tree()
        elif type(branch) is not _Tree:
            return False
        tree = branch
    if type(tree.get(leaf)) is _Tree:
        return False
    tree[leaf] = value
    return True


def _grown(tree: _Tree) -> JSON:
    """Return a tree as JSON: what has only indices becomes a list, in their order."""
    for key, branch in tree.items():
        if type(branch) is _Tree:
            tree[key] = _grown(branch)
    kinds = set(map(type, tree))
    if kinds == {int}:
        return [tree[key] for key in sorted(tree)]
    return {str(key): branch for key, branch in tree.items()} if int in kinds else dict(tree)
