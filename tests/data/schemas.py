"""Holds requests and answers against the types that providers publish with their own clients.

Reads lines of {"wire": …, "kind": "request" | "event", "about": …, "value": …}, prints what does not fit, and how many
lines there were. `pip install -r schemas.txt` brings what it needs.
"""

import json
import sys
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses import ResponseInputItemParam, ResponseStreamEvent, ToolParam
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

TYPES = {
    ("responses", "request"): ResponseCreateParamsStreaming,
    ("responses", "event"): ResponseStreamEvent,
    ("chat", "request"): CompletionCreateParamsStreaming,
    ("chat", "event"): ChatCompletionChunk,
    ("anthropic", "request"): MessageCreateParamsStreaming,
    ("anthropic", "event"): RawMessageStreamEvent,
}
# What is a list of many things is looked at one by one: a union of dozens says nothing of what is wrong.
PARTS = {("responses", "request"): {"input": ResponseInputItemParam, "tools": ToolParam}}


def members(kind: Any) -> list[Any]:
    """What a union is one of; a type that is none is its own only member."""
    if get_origin(kind) is Annotated:
        return members(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [one for member in get_args(kind) for one in members(member)]
    return [kind]


@cache
def names(kind: Any) -> tuple[str, ...]:
    """What its field `type` may say."""
    fields = getattr(kind, "model_fields", None)
    hint = fields["type"].annotation if fields and "type" in fields else None
    if fields is None and isinstance(kind, type):
        hint = get_type_hints(kind).get("type")
    found: list[str] = []
    stack = [hint]
    while stack:
        one = stack.pop()
        if get_origin(one) is Literal:
            found += get_args(one)
        else:
            stack += get_args(one)
    return tuple(found)


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def consume(value: Any) -> None:
    """Lists that are typed as iterables are looked at only when they are gone through."""
    if isinstance(value, dict):
        for one in value.values():
            consume(one)
    elif not isinstance(value, (str, bytes, int, float, bool, type(None))) and hasattr(value, "__iter__"):
        for one in value:
            consume(one)


def problem(kind: Any, value: Any) -> str | None:
    candidates = members(kind)
    if len(candidates) > 1:
        said = value.get("type", "message")
        candidates = [one for one in candidates if said in names(one)]
        if not candidates:
            return f"there is no `{said}`"
    why = None
    for candidate in candidates:
        try:
            consume(adapter(candidate).validate_python(value))
            return None
        except ValidationError as error:
            first = error.errors()[:4]
            why = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in first)
    return why


def problems(line: dict[str, Any]) -> list[str]:
    key, value = (line["wire"], line["kind"]), dict(line["value"])
    found = []
    for name, kind in PARTS.get(key, {}).items():
        for at, one in enumerate(value.pop(name, [])):
            why = problem(kind, one)
            if why:
                found.append(f"{name}.{at} ({one.get('type')}): {why}")
    why = problem(TYPES[key], value)
    return found + ([why] if why else [])


def main() -> int:
    count = failed = 0
    for text in sys.stdin:
        line = json.loads(text)
        count += 1
        for why in problems(line):
            failed += 1
            print(f"{line['wire']} {line['kind']} {line['about']}: {why}")
    print(f"{count} looked at")
    return 1 if failed else 0


sys.exit(main())
