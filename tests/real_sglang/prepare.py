"""Make what the real SGLang needs to start on a machine without a GPU.

Run it with the Python of an environment that has SGLang (and so torch and
transformers); a C compiler is needed as well:

    "$SGLANG_PYTHON" tests/real_sglang/prepare.py DIR

It writes ``DIR/model`` (a Llama of two layers with random weights, a byte-level
tokenizer and a chat template; 0.3 MB) and ``DIR/lib/libcuda.so.1`` (a CUDA
driver that has no device), and prints the environment to start SGLang with, one
``NAME=value`` a line. A second run with the same DIR keeps what is there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path

STUB_SOURCE = Path(__file__).with_name("libcuda_stub.c")
HIDDEN_SIZE = 64
LAYERS = 2
CONTEXT_LENGTH = 2048
SPECIAL_TOKENS = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def build_stub(directory: Path) -> Path:
    """Compile the stub driver library and return its path."""
    library = directory / "libcuda.so.1"
    if library.exists():
        return library
    compiler = next(
        (found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None
    )
    if compiler is None:
        raise SystemExit(
            "prepare.py: no C compiler found (cc, gcc or clang) to build the libcuda stub"
        )
    directory.mkdir(parents=True, exist_ok=True)
    part = library.with_suffix(".part")
    subprocess.run(
        [
            compiler,
            "-shared",
            "-fPIC",
            "-Wl,-soname,libcuda.so.1",
            "-o",
            str(part),
            str(STUB_SOURCE),
        ],
        check=True,
    )
    part.replace(library)
    return library


def build_model(directory: Path) -> Path:
    """Write the tiny random Llama and its tokenizer and return the directory."""
    if (directory / "model.safetensors").exists():
        return directory
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    directory.mkdir(parents=True, exist_ok=True)
    # One token a byte: any text can be read and any token can be written.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=SPECIAL_TOKENS[3:],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_LENGTH,
    )
    wrapped.save_pretrained(directory)

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=HIDDEN_SIZE,
            intermediate_size=2 * HIDDEN_SIZE,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT_LENGTH,
            bos_token_id=vocabulary["<s>"],
            eos_token_id=vocabulary["</s>"],
            tie_word_embeddings=False,
        )
    ).to(torch.bfloat16)
    # The weights come last: their presence says that the directory is complete.
    model.save_pretrained(directory, safe_serialization=True)
    return directory


def environment(model: Path, library: Path) -> dict[str, str]:
    """Return the variables with which handler.py starts the real SGLang on the CPU."""
    inherited = os.environ.get("LD_LIBRARY_PATH")
    return {
        "SGLANG_USE_CPU_ENGINE": "1",
        "LD_LIBRARY_PATH": f"{library.parent}:{inherited}" if inherited else str(library.parent),
        "MODEL_NAME": str(model),
        "MAX_TOTAL_TOKENS": str(CONTEXT_LENGTH),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="where to write the model and the library")
    directory = parser.parse_args().directory.resolve()
    library = build_stub(directory / "lib")
    model = build_model(directory / "model")
    for name, value in environment(model, library).items():
        print(f"{name}={value}")


if __name__ == "__main__":
    main()
