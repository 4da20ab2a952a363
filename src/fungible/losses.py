"""Losses: what a translation could not carry, said by path.

A writer that meets something its dialect has no place for tells a `Report`; nothing else may be done
with it. The path is in the source body, so that the caller finds the line it wrote. A path covers all
below it. Every code is one documented row of `WHY`.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal

import msgspec

from .ir import Json, Node

Kind = Literal["dropped", "approximated", "changed"]
"""dropped: the target never sees it. approximated: the nearest thing the target has. changed: the same
content in another place or form, which a model may read differently."""

WHY: dict[str, str] = {
    "unknown_field": "A field that only the source dialect has, or that fungible does not know.",
    "conversation": "The provider keeps the earlier conversation; another provider answers without it.",
    "header": "A request header that only the source dialect's providers understand.",
    "native_block": "A block or tool that only the source dialect's provider understands.",
    "cache_mark": "The target cannot be told what to cache, or not here; prompt caching may cost more.",
    "cache_lifetime": "The target keeps cached prompts for another time than the one asked for.",
    "thinking": "The target takes no earlier thinking back.",
    "thinking_signature": "The target has no place for a thought's signature.",
    "reasoning": "The target has no such control of how much a model thinks; the nearest is used.",
    "role": "The target has no such role; the nearest is used.",
    "name": "The target has no names of speakers.",
    "message_order": "The target takes this message in another place, or as part of its neighbour.",
    "part_order": "The target has one text or a fixed order of parts; the part is moved or joined to one.",
    "sampling": "The target has no such sampling control, or a narrower range.",
    "choices": "The target gives one answer a call.",
    "logprobs": "The target tells no token probabilities.",
    "stop": "The target has no such stop reason, or does not say which sequence was hit.",
    "stop_sequences": "The target takes fewer or no stop sequences.",
    "tool_choice": "The target cannot restrict tools in this way; the nearest is used.",
    "tool_schema": "The target wants an object schema for every tool; the nearest is written.",
    "tool_strict": "The target does not promise arguments that follow the schema.",
    "custom_tool": "The target has no tools of free text; a function with one field of text stands for it.",
    "tool_result_error": "The target has no mark for a failed tool; the text is prefixed instead.",
    "tool_result_media": "The target takes only text as a tool's result; the media follow it as a user's.",
    "tool_arguments": "The arguments are not a JSON object; they are carried as text.",
    "tool_call_id": "The target restricts the ids of calls; they are mapped.",
    "schema": "The target takes no such output format; the nearest is used.",
    "image": "The target takes no image of this kind here.",
    "document": "The target takes no document of this kind here.",
    "audio": "The target takes or gives no audio of this kind.",
    "refusal": "The target has no refusal of its own; it is written as text.",
    "citations": "The target has no citations of this kind.",
    "metadata": "The target takes no such metadata.",
    "service_tier": "The target has no such service tier.",
    "token_limit": "The target needs a token limit; the model's own or a default is used.",
    "stream_usage": "The target cannot be asked: its streams tell the usage anyway, or never.",
    "usage_detail": "The target's usage has no such count.",
    "empty_text": "The target refuses empty text; the block is left out.",
    "dimensions": "The target makes vectors of one length only.",
    "vector_form": "The target writes vectors in another form.",
    "task": "The target is not told what vectors are for, or has to be; the nearest is used.",
    "truncate": "The target cannot be told, or not so, what to cut from an input that is too long.",
    "tokens": "Token ids mean something to the tokenizer that made them only; the target takes text.",
    "prompt_variant": "The route has other words for this target in the place of the caller's system text.",
    "stream_event": "An event that only the source dialect has.",
}


class Loss(msgspec.Struct, frozen=True, order=True):
    path: str
    kind: Kind
    why: str


LISTED_CHARS_MAX = 240
OTHER = "other"


def listed(losses: Iterable[Loss]) -> str:
    """How often each code occurs, `code=count,code=count`, the commonest first.

    What has no room in LISTED_CHARS_MAX is counted together under OTHER: the counts add up to the losses.
    """
    counts = Counter(loss.why for loss in losses).most_common()
    text = ",".join([f"{why}={count}" for why, count in counts])
    while len(text) > LISTED_CHARS_MAX:
        counts = [*counts[:-2], (OTHER, counts[-2][1] + counts[-1][1])]
        text = ",".join([f"{why}={count}" for why, count in counts])
    return text


def counted(text: str) -> dict[str, int]:
    """What `listed` wrote, by code."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    return {why: int(count) for why, _, count in pairs if count.isdecimal()}


class Report:
    """Collects the losses of one translation.

    `names` maps a canonical field to the source's spelling; `why:field` is the code of the loss of a field
    that only the source has, where it is another than `unknown_field`.
    """

    __slots__ = ("losses", "names")

    def __init__(self, names: dict[str, str] | None = None) -> None:
        self.losses: list[Loss] = []
        self.names = names or {}

    def path(self, node: Node, field: str | None) -> str:
        if field is None:
            return node.at
        held = getattr(node, field, None)
        # It says itself where it stood, which may be elsewhere.
        if held is not None and isinstance(held, Node) and held.at:
            return held.at
        at, names = node.at, self.names
        whole = names.get(f"{type(node).__name__}.{field}")  # a field that stands outside its node
        name = names.get(field, field) if whole is None else whole
        if not at:
            return name
        # A node of which the wire has no more than this field.
        if at.endswith(name) and f".{at}".endswith(f".{name}"):
            return at
        return name if whole is not None else f"{at}.{name}"

    def lose(self, node: Node, field: str | None, kind: Kind, why: str) -> None:
        """`field` None: the whole node."""
        assert why in WHY, why
        self.losses.append(Loss(self.path(node, field), kind, why))

    def lose_at(self, path: str, kind: Kind, why: str) -> None:
        """What stands at no node of ours."""
        assert why in WHY, why
        self.losses.append(Loss(path, kind, why))

    def extras(self, node: Node, dialect: str) -> dict[str, Json]:
        """The node's extras if `dialect` owns them; otherwise each of them is lost, and none is given."""
        extras = node.extras
        if extras is None:
            return {}
        if extras.dialect == dialect:
            return extras.fields
        self.homeless(node)
        return {}

    def homeless(self, node: Node, but: Collection[str] = ()) -> None:
        """Each of the node's extras is lost, whoever's they are: it is no object on the target's wire.

        `but`: those that have a place.
        """
        if node.extras is None:
            return
        prefix, whys = f"{node.at}." if node.at else "", self.names
        self.losses += [
            Loss(f"{prefix}{name}", "dropped", whys.get(f"why:{name}", "unknown_field"))
            for name in node.extras.fields
            if name not in but
        ]
