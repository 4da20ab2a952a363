"""Adapting the prompt: other words for a candidate, learnt where it fell behind, judged where nobody looked.

The recordings of a rehearsal are parted by conversation, by chance: one part to learn from, one to choose by,
and the rest unseen. GEPA (L. Agrawal et al., GEPA: Reflective prompt evolution can outperform reinforcement
learning, 2025; the package `gepa`, an extra) proposes prompt variants (`variants`): a reflecting model reads
what the candidate answered, what the incumbent had answered and which measures it missed, and writes the
prompt anew; the best on the second part is the proposal. What it is worth is told by a rehearsal of its own
on the unseen part, with the same statistics as any: nobody is believed for the marks he was chosen by.

A pair's mark is the mean over the deciding measures of 1 less what the candidate fell behind by.
"""

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeVar

import msgspec

from ..dialects import dialect
from ..faults import Fault
from ..losses import Report
from ..recording import Recording
from ..variants import MARK, system_of, varied
from .jury import conversation, shown
from .measures import MEASURES
from .pairing import Pairing
from .posing import posed
from .reading import text
from .runs import Answer, Settings
from .sample import drawn
from .world import Asker

PACKAGE = "gepa"
MEND = "pip install 'fungible[adapt]'"
LEARN, CHOOSE = (
    0.3,
    0.5,
)  # up to the first share of the conversations is learnt from, up to the second chosen by
RECORDINGS_MAX = 10_000  # of a run that are parted
LEAST = 4  # conversations in each part
CHARS_MAX = 3000  # of a text that the reflecting model reads
TOKENS_MAX = 4000  # of what it writes
COMPONENT = "prompt"
REFLECT = f"""An assistant is told this as its system prompt; {MARK} in it, where it is there, stands for what
the application says itself and has to stay:
```
<curr_param>
```
It is to replace another assistant, and should serve as well. Here is what it answered, and where it fell
behind:
```
<side_info>
```
Write a better system prompt: general, as short as it can be, no answers to the examples in it. Keep what is
asked of it now. Give the whole new prompt between ``` and ```, and nothing else there."""

Result = TypeVar("Result")


class Parts(NamedTuple):
    learn: list[Recording]
    choose: list[Recording]
    unseen: list[Recording]


class Proposal(NamedTuple):
    """`prompt`: a variant; `mark` of it and `before` of none, on the part it was chosen by."""

    prompt: str
    mark: float
    before: float
    calls: int


def parted(recordings: Sequence[Recording], seed: int) -> Parts:
    """By conversation, by chance. Raises Fault where there are too few."""
    parts = Parts([], [], [])
    groups: tuple[set[str], ...] = (set(), set(), set())
    for recording in recordings:
        name = recording.group or f"\0{recording.id}"
        place = drawn(seed, f"adapt\0{name}") / 2**64
        which = 0 if place < LEARN else 1 if place < CHOOSE else 2
        parts[which].append(recording)
        groups[which].add(name)
    if min(map(len, groups)) < LEAST:
        raise Fault(
            "bad_request",
            f"{sum(map(len, groups))} conversations are too few to learn from some and judge by others. "
            "Rehearse on more recordings first.",
        )
    return parts


def spoken_anew(recording: Recording, prompt: str) -> Recording:
    """The recording with a prompt variant, in its own dialect."""
    spoken = dialect(recording.dialect)
    request, changed = varied(spoken.read_request(bytes(recording.request)), prompt)
    if not changed:
        return recording
    body = spoken.write_request(request, Report(spoken.names), frozenset())
    return msgspec.structs.replace(recording, request=msgspec.Raw(body))


def mark(pairing: Pairing, settings: Settings) -> float:
    """In 0..1, more is better."""
    scores = pairing.scores(settings)
    told = [1.0 - max(0.0, one - other) for name, (one, other) in scores.items() if name in settings.deciding]
    return sum(told) / len(told) if told else 0.0


class Candidate:
    """What GEPA tries its proposals on. `run` runs a coroutine from its thread and waits."""

    propose_new_texts = None

    def __init__(
        self, asker: Asker, settings: Settings, target: str, run: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> None:
        self._asker, self._settings, self._target, self._run = asker, settings, target, run
        self._batch = importlib.import_module(f"{PACKAGE}.core.adapter").EvaluationBatch
        self.calls = 0

    def evaluate(
        self, batch: Sequence[Recording], candidate: Mapping[str, str], capture_traces: bool = False
    ) -> Any:
        self.calls += len(batch)
        pairings = self._run(self._asked(batch, candidate[COMPONENT]))
        marks = [mark(pairing, self._settings) for pairing in pairings]
        return self._batch(outputs=pairings, scores=marks, trajectories=pairings if capture_traces else None)

    async def _asked(self, batch: Sequence[Recording], prompt: str) -> list[Pairing]:
        tags = f"rehearsal={self._settings.run}"
        asked = [self._asker.replay(spoken_anew(one, prompt), self._target, tags) for one in batch]
        answers = await asyncio.gather(*asked)
        return [
            Pairing(n, one, Answer(n=n, by=self._target, recording=told.recording, lost=told.lost))
            for n, (one, told) in enumerate(zip(batch, answers, strict=True))
        ]

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: Sequence[str]
    ) -> dict[str, list[dict[str, str]]]:
        rows = [self._lesson(pairing) for pairing in eval_batch.trajectories]
        return dict.fromkeys(components_to_update, rows)

    def _lesson(self, pairing: Pairing) -> dict[str, str]:
        scores = pairing.scores(self._settings)
        behind = [MEASURES[name].says for name, (one, other) in scores.items() if other < one]
        answered = pairing.answered
        said = answered.message if isinstance(answered, Fault) else shown(answered)
        recorded = pairing.recorded
        model = (
            "" if isinstance(recorded, Fault) else f" The other had answered: {shown(recorded)[:CHARS_MAX]}"
        )
        missed = f"Missed: {' '.join(behind)}" if behind else "It did as well as the other."
        return {
            "Inputs": conversation(pairing.request)[-CHARS_MAX:],
            "Generated Outputs": said[:CHARS_MAX],
            "Feedback": missed + model,
        }


async def proposed(
    asker: Asker, settings: Settings, target: str, parts: Parts, *, reflect: str, calls: int
) -> Proposal:
    """The best of what at most about `calls` calls to the candidate could try. Raises Fault."""
    if find_spec(PACKAGE) is None:
        raise Fault("bad_request", f"Adapting a prompt needs GEPA: {MEND}.")
    loop = asyncio.get_running_loop()

    def run(work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def reflecting(prompt: Any) -> str:
        said = prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
        question = posed("reflect", said, tokens=TOKENS_MAX)
        answer = run(asker.replay(question, reflect, f"rehearsal={settings.run}")).recording.answered()
        if isinstance(answer, Fault):
            raise Fault(answer.kind, f"The reflecting model {reflect} failed: {answer.message}")
        return text(answer)

    trial = Candidate(asker, settings, target, run)
    found = await asyncio.to_thread(
        importlib.import_module(PACKAGE).optimize,
        seed_candidate={COMPONENT: seed(parts.learn)},
        trainset=parts.learn,
        valset=parts.choose,
        adapter=trial,
        reflection_lm=reflecting,
        reflection_prompt_template=REFLECT,
        max_metric_calls=calls,
        logger=_Silent(),
        seed=settings.seed,
    )
    marks = found.val_aggregate_scores
    return Proposal(found.best_candidate[COMPONENT].strip(), max(marks), marks[0], trial.calls)


def seed(recordings: Sequence[Recording]) -> str:
    """What the recordings are told now, where that is one text for all; else a place for it."""
    told = {system_of(recording.asked()) for recording in recordings}
    only = next(iter(told)) if len(told) == 1 else ""
    return only or MARK


class _Silent:
    """GEPA writes to standard output, where a document may be awaited."""

    def log(self, message: str) -> None: ...
