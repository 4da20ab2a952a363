"""Write the trained network as a GGUF file that llama.cpp runs as it is.

Theory: tensors keep their names' meaning under llama.cpp's names; matrices are Q8_0, gains stay 32 bits.
The chat template goes into the file, so what the engine shows the model is what training showed it; so
does a temperature of nought, because so small a model only loses by chance.

Prohibitions: nothing is trained or changed here.

    python training/export.py           # writes src/fungible/data/llama.gguf
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import corpus
import gguf
import network
import torch

OUT = Path(__file__).with_name("out")
TARGET = Path(__file__).parents[1] / "src" / "fungible" / "data" / "llama.gguf"
BYTES_MAX = 20_000_000

# Tokens of the template that the answer itself may hold are ordinary text to llama.cpp; the others are
# never shown.
SHOWN = {"<tool_call>", "</tool_call>"}


def write_vocabulary(writer: gguf.GGUFWriter, tokenizer: dict[str, object]) -> None:
    """Tokens, their kinds and the merges, in the form of the GPT-2 tokenizer."""
    model = tokenizer["model"]
    assert isinstance(model, dict)
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    kinds = [
        gguf.TokenType.NORMAL
        if t not in corpus.SPECIAL
        else gguf.TokenType.USER_DEFINED
        if t in SHOWN
        else gguf.TokenType.CONTROL
        for t in tokens
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    writer.add_bos_token_id(tokens.index("<|begin|>"))
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_pad_token_id(tokens.index("<|pad|>"))
    writer.add_add_bos_token(True)


def write_shape(writer: gguf.GGUFWriter, shape: dict[str, float]) -> None:
    """Sizes, positions and the name."""
    writer.add_name("fungible local/llama")
    writer.add_description(
        "A very small chat model that comes with fungible, trained on generated text alone."
    )
    writer.add_license("Apache-2.0")
    writer.add_context_length(int(shape["context"]))
    writer.add_embedding_length(int(shape["width"]))
    writer.add_block_count(int(shape["layers"]))
    writer.add_feed_forward_length(int(shape["hidden"]))
    writer.add_head_count(int(shape["heads"]))
    writer.add_head_count_kv(int(shape["heads"]))
    writer.add_rope_dimension_count(int(shape["width"]) // int(shape["heads"]))
    writer.add_rope_freq_base(shape["rope_base"])
    writer.add_layer_norm_rms_eps(shape["norm_epsilon"])
    writer.add_vocab_size(int(shape["vocabulary"]))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_sampling_temp(0.0)
    writer.add_chat_template(corpus.TEMPLATE)


def export(source: Path, target: Path) -> int:
    """Write the file and return its size in bytes."""
    weights = torch.load(source / "model.pt", weights_only=True)
    writer = gguf.GGUFWriter(target, "llama")
    shape = json.loads((source / "shape.json").read_text(encoding="utf-8"))
    write_shape(writer, shape)
    write_vocabulary(writer, json.loads((source / "tokenizer.json").read_text(encoding="utf-8")))
    for name, weight in weights.items():
        values = weight.numpy()
        if values.ndim == 1:
            writer.add_tensor(name, values)
            continue
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    factors = network.frequency_factors(network.Shape(**shape))
    writer.add_tensor("rope_freqs.weight", factors.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the trained network as GGUF.")
    parser.add_argument("--source", type=Path, default=OUT)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    size = export(options.source, options.target)
    print(f"{options.target}: {size} bytes")
    if size > BYTES_MAX:
        raise SystemExit(f"larger than the {BYTES_MAX} bytes that may be shipped")


if __name__ == "__main__":
    main()
