"""Train the embedded model: a tokenizer, then the network, from the generated corpus alone.

Theory: everything follows from SEED and STEPS, so two runs on the same machine and libraries give the
same weights. Each step sees new conversations; nothing is seen twice on purpose. Only the assistant's
tokens are learned: the user's made-up words are noise to predict, but the copies of them are not. Of a
JSON answer mostly the values: the caller's schema forces the keys, and nobody can guess them. Batches
hold conversations of like length, so little is padding and nothing leaks from one conversation into the
next.

Prohibitions: no text from anywhere but `corpus.py`; nothing is downloaded.

    python training/train.py            # writes training/out/model.pt and training/out/tokenizer.json
"""

from __future__ import annotations

import argparse
import ctypes
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import corpus
import torch
from network import Llama, Muon, Shape, start_copying
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional

SEED = 20261123


STEPS, WARMUP_STEPS, COOLDOWN_STEPS = 2600, 30, 1200
BATCH_TOKENS = 3072
TOKENS_MAX = 640
VOCABULARY = 1024
TOKENIZER_CONVERSATIONS = 12_000
POOL = 1024  # conversations sorted by length together
MATRIX_RATE, LAID_RATE, OTHER_RATE = 0.02, 0.002, 0.0015  # of the layers, of the copying circuit, of the rest
LAID = ("blk.0.", "blk.1.attn")  # what `start_copying` laid is not to be washed away
SAVE_EVERY = 50  # steps
KEYS_LEARNED_EVERY = 4  # conversations: JSON may be asked for without a schema
OUT = Path(__file__).with_name("out")

# The split llama.cpp applies under the name "gpt-2". Two more splits stand after it: a space before a word
# is a token of its own and so is each digit, hence a name is cut the same way in a sentence and between
# quotes.
GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SPLITS = (GPT2_SPLIT, r" (?=[\p{L}\p{N}])", r"\p{N}")

RECORD = re.compile(r"<\|assistant\|>(\{.*?\})<\|end\|>", re.DOTALL)
KEY = re.compile(r'[{ ]"\w+": ')

Row = tuple[list[int], list[bool]]


def make_tokenizer(texts: Iterator[str]) -> Tokenizer:
    """Byte-level BPE of VOCABULARY tokens whose first ids are the template's special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(s), "isolated") for s in SPLITS),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(corpus.SPECIAL),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def keys(text: str) -> set[int]:
    """Which characters of a conversation's text belong to the keys of the assistant's JSON answers."""
    records = RECORD.finditer(text)
    found = (key for record in records for key in KEY.finditer(text, record.start(1), record.end(1)))
    return {at for key in found for at in range(key.start(), key.end() - 1)}


def rows(tokenizer: Tokenizer, seed: int) -> Iterator[Row]:
    """Token ids of each conversation, and for each whether it is the assistant's to choose."""
    begin, end, assistant = (tokenizer.token_to_id(t) for t in ("<|begin|>", "<|end|>", "<|assistant|>"))
    render = corpus.renderer()
    for number, conversation in enumerate(corpus.conversations(seed)):
        text = render(conversation)
        encoded, forced = tokenizer.encode(text), keys(text) if number % KEYS_LEARNED_EVERY else set()
        ids = [begin, *encoded.ids]
        if len(ids) > TOKENS_MAX:
            continue
        said, speaking = [], False
        for token, (start, _) in zip(ids, [(-1, 0), *encoded.offsets], strict=True):
            said.append(speaking and start not in forced)
            speaking = (speaking and token != end) or token == assistant
        yield ids, said


def batches(tokenizer: Tokenizer, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Inputs, targets and where the assistant speaks, each (conversations, length): some BATCH_TOKENS."""
    source, order = rows(tokenizer, seed), torch.Generator().manual_seed(seed)
    pad = tokenizer.token_to_id("<|pad|>")
    while True:
        pool = sorted(islice(source, POOL), key=lambda row: len(row[0]))
        cuts: list[list[Row]] = [[]]
        for row in pool:
            if len(row[0]) * (len(cuts[-1]) + 1) > BATCH_TOKENS:
                cuts.append([])
            cuts[-1].append(row)
        for index in torch.randperm(len(cuts), generator=order).tolist():
            cut = cuts[index]
            length = max(len(ids) for ids, _ in cut)
            ids = torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in cut])
            said = torch.tensor([said + [False] * (length - len(said)) for _, said in cut])
            yield ids[:, :-1], ids[:, 1:], said[:, 1:]


def loss_of(model: Llama, inputs: Tensor, targets: Tensor, said: Tensor, device: torch.device) -> Tensor:
    """Mean cross-entropy, in nats a token, over what the assistant says."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        logits = model.score(model(inputs, said))
    return functional.cross_entropy(logits.float(), targets[said])


def pace(step: int) -> float:
    """Share of the full rate: up at once, level, then down to nothing over the last part."""
    return min(1.0, (step + 1) / WARMUP_STEPS, (STEPS - step) / COOLDOWN_STEPS)


def make_optimizers(model: Llama) -> tuple[Muon, Muon, torch.optim.AdamW]:
    """The optimizers of the layers, of the copying circuit and of the rest; each knows its full rate."""
    layers, laid, others = [], [], []
    for name, p in model.named_parameters():
        (others if p.ndim == 1 or "embd" in name else laid if name.startswith(LAID) else layers).append(p)
    optimizers = (
        Muon(layers, lr=MATRIX_RATE, decay=0.1),
        Muon(laid, lr=LAID_RATE),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    )
    for optimizer in optimizers:
        optimizer.param_groups[0]["rate"] = optimizer.param_groups[0]["lr"]
    return optimizers


def train(model: Llama, tokenizer: Tokenizer, device: torch.device, out: Path, resume: bool) -> None:
    """Train the network to the last step; what there is so far is saved in `out` now and then."""
    optimizers, done = make_optimizers(model), 0
    if resume:
        state = torch.load(out / "state.pt", map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        done = state["step"]
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
    others = optimizers[-1].param_groups[0]["params"]
    began, tokens, mean = time.monotonic(), 0, 0.0
    drawn = islice(batches(tokenizer, SEED), done, STEPS)
    for step, (inputs, targets, said) in enumerate(drawn, done):
        loss = loss_of(model, inputs.to(device), targets.to(device), said.to(device), device)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer in optimizers:
            group = optimizer.param_groups[0]
            group["lr"] = group["rate"] * pace(step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        tokens += inputs.numel()
        mean = loss.item() if step == done else 0.95 * mean + 0.05 * loss.item()
        if step % 10 == 9 or step == STEPS - 1:
            seconds = time.monotonic() - began
            print(f"step {step + 1:5d}  loss {mean:.4f}  {tokens} tokens  {seconds:.0f} s", flush=True)
        if step % SAVE_EVERY == SAVE_EVERY - 1 or step == STEPS - 1:
            save(model, optimizers, step + 1, out)


def save(model: Llama, optimizers: tuple[torch.optim.Optimizer, ...], step: int, out: Path) -> None:
    """Write the weights in 32 bits and the sizes, for `export.py`, and the state to resume from."""
    torch.save({name: p.detach().float().cpu() for name, p in model.named_parameters()}, out / "model.pt")
    (out / "shape.json").write_text(json.dumps(asdict(model.shape)), encoding="utf-8")
    state = {"model": model.state_dict(), "step": step, "optimizers": [o.state_dict() for o in optimizers]}
    torch.save(state, out / "state.new")
    (out / "state.new").replace(out / "state.pt")


def keep_memory() -> None:
    """Ask glibc to keep what is freed. Else a CPU run spends half its time on fresh pages from the kernel."""
    if sys.platform != "linux":
        return
    libc, mmap_max, trim_threshold, arena_max = ctypes.CDLL(None), -4, -1, -8
    for setting, value in ((mmap_max, 0), (trim_threshold, 2**31 - 1), (arena_max, 1)):
        libc.mallopt(setting, value)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the embedded model from the generated corpus.")
    parser.add_argument("--resume", action="store_true", help="go on from the state saved in --out")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--threads", type=int, default=1, help="of one machine; more help only on idle cores")
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options.out.mkdir(parents=True, exist_ok=True)
    render = corpus.renderer()
    tokenizer = make_tokenizer(
        render(c) for c in islice(corpus.conversations(SEED + 1), TOKENIZER_CONVERSATIONS)
    )
    tokenizer.save(str(options.out / "tokenizer.json"))
    torch.manual_seed(SEED)
    model = Llama(Shape(vocabulary=tokenizer.get_vocab_size()))
    start_copying(model)
    model.to(device)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f}M parameters on {device}", flush=True)
    train(model, tokenizer, device, options.out, options.resume)


if __name__ == "__main__":
    main()
