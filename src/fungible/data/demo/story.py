"""The demo's story: five short scenes, each of which really happens while it is told."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ...money import usd
from .stage import Stage

QUESTION = "What is fungible, in one sentence?"
WEATHER = "What is the weather in Paris? Use the tool."
TARGETS = ("alpha/alpha-1", "beta/beta-1", "local/llama")
FORECAST = "18 degrees and sunny in {city}"
CALLS = 24  # of the scene in which a provider is cut off
CUT_AFTER = 8

CAST = """\
Two official SDKs talk to fungible; fungible talks to three targets:
[bold]alpha[/] and [bold]beta[/] are scripted providers on this machine, one speaks OpenAI's API, one
Anthropic's; [bold]local/llama[/] is a small real model in fungible itself. No key, no account."""

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
        self.console.print(Text(title, style="bold"), Text(remark, style="dim"))

    # --- scene 1

    def one_question(self) -> None:
        self.scene("1. Two SDKs, three models, one address.", f"{QUESTION} Each answer is streamed.")
        table = _table("asked by", "answered by", "answer")
        for sdk, ask in (("openai", self._stream_chat), ("anthropic", self._stream_messages)):
            for target in TARGETS:
                text = "".join(ask(target, QUESTION))
                self.check(len(text.split()) > 3, f"{sdk} got no sentence from {target}")
                table.add_row(f"{sdk} SDK", target, text)
        self.console.print(table)

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
        self.scene("2. The same with a tool.", f"{WEATHER} The model calls it, this program runs it.")
        table = _table("asked by", "answered by", "the model called", "and then said")
        for sdk, ask in (("openai", self._tool_chat), ("anthropic", self._tool_messages)):
            for target in TARGETS:
                called, said = ask(target)
                self.check(called == 'get_weather(city="Paris")', f"{target} called {called}")
                table.add_row(f"{sdk} SDK", target, called, said)
        self.console.print(table)

    def _tool_chat(self, model: str) -> tuple[str, str]:
        messages: Any = [{"role": "user", "content": WEATHER}]
        create: Callable[..., Any] = self.openai.chat.completions.create
        first = create(model=model, messages=messages, tools=[CHAT_TOOL], max_tokens=80)
        message = first.choices[0].message
        if not message.tool_calls:
            return "no tool", message.content or ""
        call = message.tool_calls[0]
        arguments = json.loads(call.function.arguments)
        messages.append(message.model_dump(exclude_none=True))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": FORECAST.format(**arguments)})
        second = create(model=model, messages=messages, tools=[CHAT_TOOL], max_tokens=80)
        return _shown(call.function.name, arguments), second.choices[0].message.content or ""

    def _tool_messages(self, model: str) -> tuple[str, str]:
        messages: Any = [{"role": "user", "content": WEATHER}]
        create: Callable[..., Any] = self.anthropic.messages.create
        first = create(model=model, messages=messages, tools=[MESSAGES_TOOL], max_tokens=80)
        calls = [block for block in first.content if block.type == "tool_use"]
        if not calls:
            return "no tool", "".join(block.text for block in first.content if block.type == "text")
        call = calls[0]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": FORECAST.format(**call.input)}
        messages.append({"role": "assistant", "content": [block.model_dump() for block in first.content]})
        messages.append({"role": "user", "content": [result]})
        second = create(model=model, messages=messages, tools=[MESSAGES_TOOL], max_tokens=80)
        return _shown(call.name, call.input), "".join(b.text for b in second.content if b.type == "text")

    # --- scene 3

    def a_cut(self) -> None:
        self.scene(
            "3. A provider is cut off.",
            f"{CALLS} calls to the route `assistant`; after {CUT_AFTER} of them alpha's process is killed.",
        )
        answered: list[str] = []
        attempts = 0
        slowest = 0.0
        line = Text()
        for number in range(CALLS):
            if number == CUT_AFTER:
                self.stage.cut_off("alpha")
            began = time.monotonic()
            messages: Any = [{"role": "user", "content": QUESTION}]
            create = self.openai.chat.completions.with_raw_response.create
            raw = create(model="assistant", messages=messages, max_tokens=60)
            slowest = max(slowest, time.monotonic() - began)
            target = raw.headers["x-fungible-target"]
            attempts += int(raw.headers["x-fungible-attempts"])
            self.check(bool(raw.parse().choices[0].message.content), f"call {number} had no answer")
            answered.append(target)
            line.append("● ", style="green" if target.startswith("alpha") else "blue")
        self.console.print(line)
        first, second = (sum(t.startswith(name) for t in answered) for name in ("alpha", "beta"))
        self.check((first, second) == (CUT_AFTER, CALLS - CUT_AFTER), f"alpha {first}, beta {second}")
        self.console.print(
            f"[green]●[/] alpha answered {first}, [blue]●[/] beta {second}. All {CALLS} calls were answered, "
            f"in {attempts} attempts; the slowest took {slowest * 1000:.0f} ms.",
            highlight=False,
        )

    # --- scene 4

    def the_account(self) -> None:
        self.scene("4. The account.", "One row per attempt, written before it is sent. Nothing is rounded.")
        rows = json.loads(self.stage.program("spend", "--by", "provider", "--json"))
        lines = self.stage.program("calls", "--attempts", "--json-lines").splitlines()
        attempts = [json.loads(line) for line in lines]
        table = _table("provider", "attempts", "input tokens", "output tokens", "cost in USD", "its own bill")
        for name in ("alpha", "beta", "local"):
            mine = [a for a in attempts if a["provider"] == name]
            settled = [a for a in mine if a["state"] == "settled"]
            total = sum(a["cost_nanousd"] for a in mine)
            told = next(r for r in rows["spend"] if r["provider"] == name)
            self.check(told["cost_nanousd"] == total, f"spend of {name} is not the sum of its attempts")
            table.add_row(
                name,
                _attempts(mine),
                f"{sum(a['input_tokens'] for a in settled):,}",
                f"{sum(a['output_tokens'] for a in settled):,}",
                usd(total),
                self._bill(name, settled),
            )
        self.console.print(table)
        unsettled = [a for a in attempts if a["state"] != "settled"]
        self.check(all(a["state"] == "void" for a in unsettled), "an attempt is neither settled nor void")
        self.console.print(
            f"{len(unsettled)} attempts found alpha dead before a byte was sent: void, and free.",
            highlight=False,
        )

    def _bill(self, name: str, settled: list[dict[str, Any]]) -> str:
        if name == "local":
            return "runs here"
        bill = {row["attempt"]: (row["input_tokens"], row["output_tokens"]) for row in self.stage.bill(name)}
        mine = {a["attempt"]: (a["input_tokens"], a["output_tokens"]) for a in settled}
        self.check(bill == mine, f"{name}'s bill differs from the ledger")
        return f"the same {len(bill)}, token for token" if bill == mine else "differs"

    # --- scene 5

    def what_next(self) -> None:
        self.scene("5. Now with a real key.")
        self.console.print(
            "  export OPENAI_API_KEY=...        [dim]# or any other provider's usual variable[/]\n"
            "  .venv/bin/fungible serve         [dim]# prints your first key and the base URLs[/]\n"
            '  client = openai.OpenAI(base_url="http://127.0.0.1:4000/v1", api_key="fk-...")\n'
            '  client.chat.completions.create(model="anthropic/claude-haiku-4-5", ...)',
            highlight=False,
        )
        self.console.print(
            "[dim]`fungible models` lists what can be asked for. The demo's own files are still there: "
            f"try `fungible calls --config {self.stage.config}`.[/]",
            highlight=False,
        )


def run(folder: Path, console: Console) -> int:
    """Tell the story; 0 when all of it was true."""
    began = time.monotonic()
    console.print(Panel(CAST, title="fungible", title_align="left", expand=False))
    stage = Stage(folder)
    try:
        console.print(
            f"[dim]The server was ready {stage.started_s:.2f} s after it was started.[/]", highlight=False
        )
        story = Story(stage, console)
        story.one_question()
        story.a_tool()
        story.a_cut()
        story.the_account()
        story.what_next()
    finally:
        stage.close()
    console.print()
    if story.broken:
        console.print("[bold red]Not everything held:[/] " + "; ".join(story.broken))
        return 1
    console.print(
        f"[green]Everything above happened, and was checked, in {time.monotonic() - began:.1f} s.[/]"
    )
    return 0


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column, overflow="fold", justify="right" if "tokens" in column or "USD" in column else "left"
        )
    return table


def _shown(name: str, arguments: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{k}={json.dumps(v)}' for k, v in arguments.items())})"


def _attempts(rows: list[dict[str, Any]]) -> str:
    states: dict[str, int] = {}
    for row in rows:
        states[row["state"]] = states.get(row["state"], 0) + 1
    return ", ".join(f"{count} {state}" for state, count in states.items())
