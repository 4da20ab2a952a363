"""What the folder holds: for every feature, in every dialect, the story that shows it. `README.md` is written from it.

A cell is a story, or says in brackets why a dialect has none.
"""

from fungible.dialects import DIALECTS

from . import FOLDER, inputs

CHAT, RESPONSES, CLAUDE, GEMINI, CONVERSE, OLLAMA, COHERE = DIALECTS

README = FOLDER / "README.md"

FEATURES: dict[str, dict[str, str]] = {
    "every setting": {
        CHAT: "every-knob-there-is",
        RESPONSES: "everything-a-response-can-be-asked",
        CLAUDE: "effort-a-schema-and-every-setting",
        GEMINI: "everything-a-generation-can-be-asked",
        CONVERSE: "every-setting-and-media-in-converse",
        OLLAMA: "options-a-schema-and-a-thinking-level",
        COHERE: "a-plan-two-calls-and-their-results",
    },
    "an answer in a form": {
        CHAT: "a-strict-schema-asked-for",
        RESPONSES: "everything-a-response-can-be-asked",
        CLAUDE: "effort-a-schema-and-every-setting",
        GEMINI: "everything-a-generation-can-be-asked",
        CONVERSE: "cache-points-guards-and-results-in-json",
        OLLAMA: "options-a-schema-and-a-thinking-level",
        COHERE: "a-schema-and-no-thinking",
    },
    "calls and their results": {
        CHAT: "tools-in-parallel-answered-out-of-order",
        RESPONSES: "custom-tools-called-and-answered",
        CLAUDE: "tool-history-without-tools-and-an-odd-id",
        GEMINI: "everything-a-generation-can-be-asked",
        CONVERSE: "every-setting-and-media-in-converse",
        OLLAMA: "calls-and-results-without-ids",
        COHERE: "a-plan-two-calls-and-their-results",
    },
    "thoughts that go back": {
        CHAT: "thoughts-in-the-clear-and-marks-in-texts",
        RESPONSES: "reasoning-items-through-a-tool-turn",
        CLAUDE: "thinking-kept-through-a-tool-turn",
        GEMINI: "a-signed-call-and-its-result-without-ids",
        CONVERSE: "cache-points-guards-and-results-in-json",
        OLLAMA: "calls-and-results-without-ids",
        COHERE: "a-plan-two-calls-and-their-results",
    },
    "media": {
        CHAT: "roles-names-and-media-anywhere",
        RESPONSES: "everything-a-response-can-be-asked",
        CLAUDE: "media-inside-a-tool-result",
        GEMINI: "everything-a-generation-can-be-asked",
        CONVERSE: "every-setting-and-media-in-converse",
        OLLAMA: "options-a-schema-and-a-thinking-level",
        COHERE: "a-plan-two-calls-and-their-results",
    },
    "what to cache": {
        CHAT: "thoughts-in-the-clear-and-marks-in-texts",
        RESPONSES: "everything-a-response-can-be-asked",
        CLAUDE: "cache-marks-at-every-level",
        GEMINI: "everything-a-generation-can-be-asked",
        CONVERSE: "cache-points-guards-and-results-in-json",
        OLLAMA: "(it cannot be told)",
        COHERE: "(it cannot be told)",
    },
    "the provider's own tools": {
        CHAT: "(in openai.responses)",
        RESPONSES: "built-in-tools-and-their-items",
        CLAUDE: "server-tools-and-citations",
        GEMINI: "everything-a-generation-can-be-asked",
        CONVERSE: "cache-points-guards-and-results-in-json",
        OLLAMA: "(it has none)",
        COHERE: "documents-given-and-cited",
    },
    "tools of free text": {
        CHAT: "a-grammar-that-a-call-must-follow",
        RESPONSES: "custom-tools-called-and-answered",
        **dict.fromkeys((CLAUDE, GEMINI, CONVERSE, OLLAMA, COHERE), "(it has none)"),
    },
    "an answer with free text": {
        CHAT: "an-answer-that-calls-with-free-text",
        RESPONSES: "a-stream-that-calls-with-free-text",
        **dict.fromkeys((CLAUDE, GEMINI, CONVERSE, OLLAMA, COHERE), "(it has none)"),
    },
    "a conversation that is kept": {
        RESPONSES: "a-conversation-the-provider-keeps",
        **dict.fromkeys((CHAT, CLAUDE, GEMINI, CONVERSE, OLLAMA, COHERE), "(it keeps none)"),
    },
    "an answer": {
        CHAT: "an-answer-with-text-calls-and-probabilities",
        RESPONSES: "built-in-tools-and-their-items",
        CLAUDE: "an-answer-that-thought-searched-and-cited",
        GEMINI: "an-answer-that-thought-searched-and-was-rated",
        CONVERSE: "a-converse-answer-that-reasons-cites-and-was-guarded",
        OLLAMA: "a-whole-answer-that-thinks-and-calls",
        COHERE: "an-answer-with-a-plan-and-what-is-billed",
    },
    "an answer that is not whole": {
        CHAT: "one-answer-withheld-and-one-cut-in-its-arguments",
        RESPONSES: "a-response-that-ran-out-of-tokens",
        CLAUDE: "an-answer-that-was-refused",
        GEMINI: "a-prompt-that-was-blocked",
        CONVERSE: "a-converse-answer-that-reasons-cites-and-was-guarded",
        OLLAMA: "(it says `length`, as it says `stop`)",
        COHERE: "a-plan-cut-at-the-limit",
    },
    "a stream": {
        CHAT: "a-stream-with-two-calls-and-usage-apart",
        RESPONSES: "a-stream-of-reasoning-and-two-calls",
        CLAUDE: "a-stream-that-thinks-then-calls",
        GEMINI: "a-stream-that-signs-its-call",
        CONVERSE: "a-converse-stream-that-reasons-cites-and-calls",
        OLLAMA: "lines-that-think-then-call",
        COHERE: "a-stream-with-a-plan-calls-and-citations",
    },
    "a stream that fails": {
        CHAT: "a-stream-with-an-error-in-its-middle",
        RESPONSES: "a-response-that-failed-in-its-stream",
        CLAUDE: "a-stream-that-is-overloaded-in-its-middle",
        GEMINI: "frames-that-end-in-an-error",
        CONVERSE: "a-converse-stream-that-is-throttled-in-its-middle",
        OLLAMA: "lines-that-end-in-an-error",
        COHERE: "a-stream-whose-end-is-an-error",
    },
    "an error": {
        CHAT: "too-many-requests",
        RESPONSES: "a-parameter-that-is-none",
        CLAUDE: "the-provider-is-overloaded",
        GEMINI: "a-quota-that-is-used-up",
        CONVERSE: "a-converse-call-is-throttled",
        OLLAMA: "a-model-that-is-not-there",
        COHERE: "a-key-that-is-not-valid",
    },
}

HEAD = """# Golden translations: contents

A folder is a story: one body of one dialect, and what becomes of it in every other, with its losses. A row here is a
feature, a column the dialect the story is told in. Written by `python -m tests.golden`, from `contents.py`.
"""


def written() -> str:
    lines = [HEAD, "| feature | " + " | ".join(DIALECTS) + " |", "|---|" + "---|" * len(DIALECTS)]
    for feature, stories in FEATURES.items():
        cells = [
            s[1:-1] if (s := stories[name]).startswith("(") else f"[{words(s)}]({s}/)" for name in DIALECTS
        ]
        lines.append(f"| **{feature}** | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def words(story: str) -> str:
    return story.replace("-", " ")


def complaints() -> list[str]:
    """Where the table and the folder differ."""
    spoken = {given.parent.name: given.stem.rpartition(".")[0] for given in inputs()}
    told = [
        (name, s) for stories in FEATURES.values() for name, s in stories.items() if not s.startswith("(")
    ]
    strange = [f"{story} is no story of {name}" for name, story in told if spoken.get(story) != name]
    return strange + [
        f"{story} is in no row" for story in sorted(spoken.keys() - {story for _, story in told})
    ]
