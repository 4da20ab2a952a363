"""The demo's story: five short scenes, each of which really happens while it is told."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from shutil import which
from typing import Any

import anthropic
import openai
from rich.console import Console, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .stage import Stage

QUESTION = "What is fungible, in one sentence?"
WEATHER = "What is the weather in Paris? Use the tool."
TARGETS = ("alpha/alpha-1", "beta/beta-1", "local/llama")
FORECAST = "18 degrees and sunny"
CALLS = 24  # of the scene in which a provider is cut off
CUT_AFTER = 8

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ABOUT = "The weather in a city now."
CHAT_TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "description": ABOUT, "parameters": PARAMETERS},
}
MESSAGES_TOOL: Any = {"name": "get_weather", "description": ABOUT, "input_schema": PARAMETERS}


class Story:
    def __init__(self, stage: Stage, console: Console) -> None:
        self.stage = stage
        self.console = console
        self.openai = openai.OpenAI(api_key=stage.key, base_url=f"{stage.url}/v1", max_retries=0)
        self.anthropic = anthropic.Anthropic(api_key=stage.key, base_url=stage.url, max_retries=0)
        self.broken: list[str] = []  # what should have been true and was not

    def check(self, truth: bool, what: str) -> None:
        if not truth:
            self.broken.append(what)

    def scene(self, title: str, remark: str = "") -> None:
        self.console.print()
        self.console.print(Text(title, style="bold"))
        if remark:
            self.console.print(Text(remark, style="dim"))

    @contextmanager
    def growing(self, columns: tuple[str, ...]) -> Iterator[Callable[[list[tuple[str, ...]]], None]]:
        """A table that grows where somebody looks on, and is printed whole where nobody does."""
        last = _table(columns, [])

        def show(rows: list[tuple[str, ...]]) -> None:
            nonlocal last
            last = _table(columns, rows)
            if live is not None:
                live.update(last)

        live = Live(last, console=self.console, refresh_per_second=20) if self.console.is_terminal else None
        with live or nullcontext():
            yield show
        if live is None:
            self.console.print(last)

    # --- scene 1

    def one_question(self) -> None:
        self.scene(
            "1. Two SDKs, three models, one address.", f'"{QUESTION}" Asked six times, each answer streamed.'
        )
        columns, rows = ("SDK", "answered by", "answer"), list[tuple[str, ...]]()
        with self.growing(columns) as show:
            for sdk, ask in (("openai", self._stream_chat), ("anthropic", self._stream_messages)):
                for target in TARGETS:
                    text, pieces = "", 0
                    for piece in ask(target, QUESTION):
                        text, pieces = text + piece, pieces + 1
                        show([*rows, (sdk, target, text)])
                    self.check(len(text.split()) > 3, f"{sdk} got no sentence from {target}")
                    self.check(pieces > 3, f"{target}'s answer to {sdk} came in {pieces} pieces")
                    rows.append((sdk, target, text))

    def _stream_chat(self, model: str, question: str) -> Iterator[str]:
        messages: Any = [{"role": "user", "content": question}]
        with self.openai.chat.completions.create(
            model=model, messages=messages, stream=True, max_tokens=60
        ) as stream:
            for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content

    def _stream_messages(self, model: str, question: str) -> Iterator[str]:
        messages: Any = [{"role": "user", "content": question}]
        with self.anthropic.messages.stream(model=model, messages=messages, max_tokens=60) as stream:
            yield from stream.text_stream

    # --- scene 2

    def a_tool(self) -> None:
        self.scene(
            "2. The same with a tool.",
            f'"{WEATHER}" The model calls it, in a stream; this program runs it and sends back what it gave.',
        )
        columns, rows = (
            ("SDK", "answered by", CALLED, "and then said"),
            list[tuple[str, ...]](),
        )
        with self.growing(columns) as show:
            for sdk, ask in (("openai", self._tool_chat), ("anthropic", self._tool_messages)):
                for target in TARGETS:
                    called, said = ask(target)
                    self.check(called == 'get_weather(city="Paris")', f"{target} called {called}")
                    self.check("18 degrees" in said, f"{target} said {said!r} to the forecast")
                    rows.append((sdk, target, called, said))
                    show(rows)

    def _tool_chat(self, model: str) -> tuple[str, str]:
        messages: Any = [{"role": "user", "content": WEATHER}]
        completions = self.openai.chat.completions
        with completions.stream(model=model, messages=messages, tools=[CHAT_TOOL], max_tokens=80) as events:
            message = events.get_final_completion().choices[0].message
        if not message.tool_calls:
            return "no tool", message.content or ""
        call = message.tool_calls[0]
        name, written = call.function.name, call.function.arguments
        arguments = json.loads(written)
        asked = {"id": call.id, "type": "function", "function": {"name": name, "arguments": written}}
        messages.append({"role": "assistant", "tool_calls": [asked]})
        messages.append({"role": "tool", "tool_call_id": call.id, "content": FORECAST})
        last = completions.create(model=model, messages=messages, tools=[CHAT_TOOL], max_tokens=80)
        return _shown(name, arguments), last.choices[0].message.content or ""

    def _tool_messages(self, model: str) -> tuple[str, str]:
        messages: Any = [{"role": "user", "content": WEATHER}]
        more: Any = {"model": model, "messages": messages, "tools": [MESSAGES_TOOL], "max_tokens": 80}
        with self.anthropic.messages.stream(**more) as events:
            first = events.get_final_message()
        calls = [block for block in first.content if block.type == "tool_use"]
        if not calls:
            return "no tool", "".join(block.text for block in first.content if block.type == "text")
        call = calls[0]
        arguments: Any = call.input
        result = {"type": "tool_result", "tool_use_id": call.id, "content": FORECAST}
        messages.append({"role": "assistant", "content": [block.model_dump() for block in first.content]})
        messages.append({"role": "user", "content": [result]})
        last = self.anthropic.messages.create(**more)
        return _shown(call.name, arguments), "".join(b.text for b in last.content if b.type == "text")

    # --- scene 3

    def a_cut(self) -> None:
        self.scene(
            "3. A provider is cut off.",
            f"{CALLS} calls to the route `assistant`, whose first target is alpha and whose second is beta.",
        )
        answered: list[str] = []
        attempts = 0
        slowest = 0.0
        for number in range(CALLS):
            if number == CUT_AFTER:
                self.stage.cut_off("alpha")
                self.console.print("[red] alpha is killed [/]", end=" ")
            began = time.monotonic()
            messages: Any = [{"role": "user", "content": QUESTION}]
            create = self.openai.chat.completions.with_raw_response.create
            tags = {"x-fungible-tags": f"conversation=c{number}"}  # each call is somebody else's
            raw = create(model="assistant", messages=messages, max_tokens=60, extra_headers=tags)
            slowest = max(slowest, time.monotonic() - began)
            target = raw.headers["x-fungible-target"]
            attempts += int(raw.headers["x-fungible-attempts"])
            self.check(bool(raw.parse().choices[0].message.content), f"call {number} had no answer")
            answered.append(target)
            self.console.print(
                Text(target[0], style="green" if target.startswith("alpha") else "blue"), end=" "
            )
        self.console.print()
        first, second = (sum(t.startswith(name) for t in answered) for name in ("alpha", "beta"))
        self.check((first, second) == (CUT_AFTER, CALLS - CUT_AFTER), f"alpha {first}, beta {second}")
        self.console.print(
            f"[green]a[/]lpha answered {first}, [blue]b[/]eta {second}. All {len(answered)} calls were"
            f" answered, in {attempts} attempts; the slowest took {slowest * 1000:.0f} ms.",
            highlight=False,
        )

    # --- scene 4

    def the_account(self) -> None:
        self.scene(
            "4. The account.",
            "One row per attempt, written before it is sent. To the billionth of a dollar, nothing rounded.",
        )
        store = self.stage.store()
        store.fold()
        spent = {row.who: row.cost_nanousd for row in store.spend("provider")}
        attempts = list(store.attempts())
        store.close()
        columns = ("provider", "settled", "void", "tokens in", "tokens out", "USD", "its own bill")
        rows: list[tuple[str, ...]] = []
        for name in ("alpha", "beta", "local"):
            mine = [a for a in attempts if a["provider"] == name]
            settled = [a for a in mine if a["state"] == "settled"]
            total = sum(a["cost_nanousd"] for a in mine)
            self.check(spent[name] == total, f"spend of {name} is not the sum of its attempts")
            tokens = [sum(a[field] for a in settled) for field in ("input_tokens", "output_tokens")]
            void = len(mine) - len(settled)
            bill = self._bill(name, settled)
            rows.append(
                (name, str(len(settled)), str(void), f"{tokens[0]:,}", f"{tokens[1]:,}", nano(total), bill)
            )
        total = sum(spent.values())
        rows.append(("all", "", "", "", "", nano(total), ""))
        self.console.print(_table(columns, rows))
        unsettled = [a for a in attempts if a["state"] != "settled"]
        self.check(all(a["state"] == "void" for a in unsettled), "an attempt is neither settled nor void")
        self.console.print(
            f"{len(unsettled)} attempts found alpha dead before a byte was sent: void, and free. Every other"
            " is on its provider's own bill with the same tokens, and no bill has one more.",
            highlight=False,
        )

    def _bill(self, name: str, settled: list[dict[str, Any]]) -> str:
        if name == "local":
            return "runs here"
        bill = {row["attempt"]: (row["input_tokens"], row["output_tokens"]) for row in self.stage.bill(name)}
        mine = {a["attempt"]: (a["input_tokens"], a["output_tokens"]) for a in settled}
        self.check(bill == mine, f"{name}'s bill differs from the ledger")
        return f"{len(bill)}, the same" if bill == mine else "differs"

    # --- scene 5

    def what_next(self) -> None:
        self.scene("5. Now with a real key.")
        program = _program()
        self.console.print(
            "  export ANTHROPIC_API_KEY=...     [dim]# or any other provider's usual variable[/]\n"
            f"  {program} serve         [dim]# prints your first key and the base URLs[/]\n\n"
            '  client = openai.OpenAI(base_url="http://127.0.0.1:4000/v1", api_key="fk-...")\n'
            '  client.chat.completions.create(model="anthropic/claude-haiku-4-5", ...)\n',
            highlight=False,
        )
        self.console.print("What can be asked for, and what the demo has done:")
        self.console.print(f"  {program} models", highlight=False)
        done = f"  {program} calls --config {self.stage.config}"
        self.console.print(done, highlight=False, soft_wrap=True)
        self.console.print("\nIts calls to `assistant` are recorded. Would the small model here do as well?")
        for words in ("rehearse --route assistant --to local/llama", "report"):
            command = f"  {program} switch {words} \\\n      --config {self.stage.config}"
            self.console.print(command, highlight=False, soft_wrap=True)


def tell(stage: Stage, console: Console, began: float) -> int:
    """The story; 0 when all of it was true. `began`: when the demo did, in monotonic seconds."""
    stage.ready()
    story = Story(stage, console)
    story.one_question()
    story.a_tool()
    story.a_cut()
    story.the_account()
    story.what_next()
    console.print()
    if story.broken:
        console.print("[bold red]Not everything held:[/] " + "; ".join(story.broken))
        return 1
    lasted = time.monotonic() - began
    console.print(f"[green]Everything above happened, and was checked, in {lasted:.1f} s.[/]")
    return 0


CALLED = "the model called"
RIGHT = frozenset({"settled", "void", "tokens in", "tokens out", "USD"})


def _table(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        justify: JustifyMethod = "right" if column in RIGHT else "left"
        table.add_column(column, overflow="fold", justify=justify, no_wrap=column == CALLED)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _program() -> str:
    """How this program was called, to be called so again."""
    path = Path(sys.argv[0])
    if path.name != "fungible":
        return "python -m fungible"
    return "fungible" if which("fungible") == str(path) else os.path.relpath(path)


def nano(nanousd: int) -> str:
    return f"{nanousd // 1_000_000_000}.{nanousd % 1_000_000_000:09d}"


def _shown(name: str, arguments: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{k}={json.dumps(v)}' for k, v in arguments.items())})"
