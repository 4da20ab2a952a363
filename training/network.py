"""The network: a small Llama in the exact arithmetic llama.cpp uses for `general.architecture = llama`.

Theory: RMS norm before each block, rotary positions on neighbouring pairs (so no weight is permuted on
export), SwiGLU, no biases, and one matrix for reading and writing tokens. Only a head's first `TURNING`
pairs turn with the position (llama.cpp knows this as frequency factors); the others match what a token
is, at any distance. Whatever is changed here has to exist in llama.cpp too, since the exported file is run
by it and not by this module.

Prohibitions: no data, no files and no clock here; chance comes from torch's seeded generator alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. `context` is in tokens; `heads` divides `width`; `hidden` is the SwiGLU width."""

    vocabulary: int
    width: int = 192
    layers: int = 6
    heads: int = 4
    hidden: int = 576
    context: int = 2048
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5

    @property
    def size(self) -> int:
        """Width of a head."""
        return self.width // self.heads


TURNING, SLOWER = 8, 0.55  # pairs that turn, and the ratio of each pair's speed to the one before
STILL = 1e9  # a frequency factor that stops a pair


def speeds(shape: Shape) -> Tensor:
    """Angle a pair turns by from one token to the next, in radians: (size / 2)."""
    pairs = torch.arange(shape.size // 2, dtype=torch.float32)
    return torch.where(pairs < TURNING, SLOWER**pairs, torch.zeros(()))


def frequency_factors(shape: Shape) -> Tensor:
    """What llama.cpp divides its own rotary speeds by to get `speeds`: (size / 2)."""
    pairs = torch.arange(shape.size // 2, dtype=torch.float32)
    own = shape.rope_base ** (-pairs / (shape.size // 2))
    return torch.where(pairs < TURNING, own / SLOWER**pairs, torch.full((), STILL))


def rotation(shape: Shape, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, each of shape (length, size / 2)."""
    angles = torch.arange(length, dtype=torch.float32)[:, None] * speeds(shape)[None, :]
    return angles.cos().to(device), angles.sin().to(device)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each neighbouring pair of the last axis by its position's angle.

    X: (batch, heads, length, head width).
    """
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1)
    return turned.flatten(-2)


class Norm(nn.Module):
    """Root-mean-square norm with a gain, computed in 32 bits."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.epsilon)


class Block(nn.Module):
    """One layer: attention over the past, then a SwiGLU, each added to what came in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, hidden = shape.width, shape.hidden
        self.heads = shape.heads
        self.attn_norm = Norm(width, shape.norm_epsilon)
        self.attn_q = nn.Linear(width, width, bias=False)
        self.attn_k = nn.Linear(width, width, bias=False)
        self.attn_v = nn.Linear(width, width, bias=False)
        self.attn_output = nn.Linear(width, width, bias=False)
        self.ffn_norm = Norm(width, shape.norm_epsilon)
        self.ffn_gate = nn.Linear(width, hidden, bias=False)
        self.ffn_up = nn.Linear(width, hidden, bias=False)
        self.ffn_down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, wanted: Tensor | None = None) -> Tensor:
        """X: (batch, length, width). With a mask `wanted` only those places go on, as (count, width)."""
        batch, length, width = x.shape
        h = self.attn_norm(x)

        def split(t: Tensor) -> Tensor:
            return t.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

        q = rotate(split(self.attn_q(h)), cosine, sine)
        k = rotate(split(self.attn_k(h)), cosine, sine)
        # Written out: at a hundred tokens it is faster on a CPU than the fused form, whose backward pass is
        # slow.
        future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        scores = (q @ k.mT * (width // self.heads) ** -0.5).masked_fill(future, float("-inf"))
        mixed = scores.softmax(dim=-1).to(h.dtype) @ split(self.attn_v(h))
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        if wanted is not None:
            x, mixed = x[wanted], mixed[wanted]
        x = x + self.attn_output(mixed)
        h = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Llama(nn.Module):
    """Tokens in, hidden states out; `score` turns chosen hidden states into logits over the vocabulary."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape.width, shape.norm_epsilon)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
            if name.endswith(("attn_output.weight", "ffn_down.weight")):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, wanted: Tensor) -> Tensor:
        """tokens: (batch, length) of ids; wanted: a mask of places.

        Returns their normed hidden states (count, width).
        """
        x = self.token_embd(tokens)
        cosine, sine = rotation(self.shape, tokens.shape[1], tokens.device)
        cosine, sine = cosine.to(x.dtype), sine.to(x.dtype)
        for block in self.blk[:-1]:
            x = block(x, cosine, sine)
        x = self.blk[-1](x, cosine, sine, wanted)
        hidden: Tensor = self.output_norm(x)
        return hidden

    def score(self, hidden: Tensor) -> Tensor:
        """hidden: (..., width). Returns logits (..., vocabulary) through the tied embedding."""
        return functional.linear(hidden, self.token_embd.weight)


@torch.no_grad()
def start_copying(model: Llama, spread: float = 0.1) -> None:
    """Lay the copying circuit into fresh weights, so that training refines it instead of having to find it.

    The residual is given one constant, three notes, and the rest for what a token is. In layer 0 a head
    each looks one, two and three places back, by rotary angles alone, and notes which token stood there.
    In layer 1 two heads look for the place that the present token and the one before it led to last time,
    and add the token that stands there: it comes next. A third head does so for the token after that, into
    directions of its own: a name's end shows in what follows it. Everything stays free to change in training.
    """
    shape, generator = model.shape, torch.Generator().manual_seed(7)
    size, notes = shape.size, (20, 20, 12)  # sizes of the notes of one, two and three places back
    starts = (1, 1 + notes[0], 1 + notes[0] + notes[1])
    token = slice(1 + sum(notes), shape.width)
    content = shape.width - token.start

    def frame(rows: int) -> Tensor:
        return torch.linalg.qr(torch.randn(content, rows, generator=generator))[0].T

    embedding = model.token_embd.weight
    embedding.zero_()
    embedding[:, token] = torch.randn(embedding.shape[0], content, generator=generator) * spread
    embedding[:, 0] = spread * content**0.5
    model.output_norm.weight.fill_(0.8)
    note, turns, first = frame(max(notes)), speeds(shape), model.blk[0]
    for head, (start, rows) in enumerate(zip(starts, notes, strict=True)):
        for pair, weight in enumerate((1.4, 1.0, 1.0, 1.0)):
            at, angle = head * size + 2 * pair, turns[pair] * (head + 1)
            first.attn_q.weight[at, 0] = 0.75 * weight
            first.attn_k.weight[at, 0] = 0.75 * weight * angle.cos()
            first.attn_k.weight[at + 1, 0] = 0.75 * weight * angle.sin()
        part = slice(head * size, head * size + rows)
        first.attn_v.weight[part, token] = note[:rows]
        first.attn_output.weight[start : start + rows, part] = 0.19 * torch.eye(rows)
    second, brought = model.blk[1], frame(2 * size)
    for head, ahead in enumerate((0, 0, 1)):
        here = slice(head * size + 2 * TURNING, head * size + 2 * TURNING + notes[0])
        before = slice(here.stop, here.stop + notes[2])
        here_said = slice(starts[ahead], starts[ahead] + notes[0])
        before_said = slice(starts[ahead + 1], starts[ahead + 1] + notes[2])
        second.attn_q.weight[here, token] = 2.4 * note[: notes[0]]
        second.attn_k.weight[here, here_said] = 2.4 * torch.eye(notes[0])
        second.attn_q.weight[before, starts[0] : starts[0] + notes[2]] = 1.8 * torch.eye(notes[2])
        second.attn_k.weight[before, before_said] = 1.8 * torch.eye(notes[2])
        part = brought[head * size : (head + 1) * size] if not ahead else frame(size)
        rows = slice(head * size, (head + 1) * size)
        second.attn_v.weight[rows, token] = part
        second.attn_output.weight[token, rows] = 0.5 * part.T if not ahead else 0.3 * frame(size).T


def orthogonal(update: Tensor, rounds: int = 5) -> Tensor:
    """Bring a matrix near the closest one with orthonormal rows or columns, by a quintic Newton iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = update.bfloat16() if update.is_cuda else update  # 16 bits are emulated, slowly, on most CPUs
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal, for the layers' matrices; others are left to AdamW.

    It reaches a given loss on this corpus in clearly fewer steps than AdamW, which matters when the
    whole training has minutes of two cores. Matrices of one shape are stacked and treated together.
    """

    def __init__(
        self, matrices: list[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.0
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for matrix in group["params"]:
                by_shape.setdefault(matrix.shape, []).append(matrix)
            for size, matrices in by_shape.items():
                gradients = torch.stack([m.grad for m in matrices])
                state = self.state[matrices[0]]
                speed = state.setdefault("speed", torch.zeros_like(gradients))
                speed.lerp_(gradients, 1 - group["momentum"])
                steps = orthogonal(gradients.lerp(speed, group["momentum"]))
                scale = max(1.0, size[0] / size[1]) ** 0.5 * group["lr"]
                for matrix, step in zip(matrices, steps, strict=True):
                    matrix.mul_(1 - group["lr"] * group["decay"]).add_(step.to(matrix.dtype), alpha=-scale)
