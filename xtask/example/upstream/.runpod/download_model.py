"""Puts a model into the image at build time."""

import json
import os

from huggingface_hub import snapshot_download

WEIGHTS = ["*.safetensors", "*.bin", "*.pt"]
TOKENIZER = ["*.json", "tokenizer*", "*.jinja"]


def download(name, revision, patterns):
    return snapshot_download(
        name,
        revision=revision or None,
        cache_dir=os.getenv("HF_HOME"),
        allow_patterns=patterns,
    )


def main():
    model = os.environ["MODEL_PATH"]
    revision = os.getenv("MODEL_REVISION")
    metadata = {
        "MODEL_PATH": download(model, revision, WEIGHTS + TOKENIZER),
        "MODEL_REVISION": revision,
        "QUANTIZATION": os.getenv("QUANTIZATION"),
    }
    tokenizer = os.getenv("TOKENIZER_NAME") or model
    tokenizer_revision = os.getenv("TOKENIZER_REVISION") or revision
    metadata["TOKENIZER_NAME"] = download(tokenizer, tokenizer_revision, TOKENIZER)
    with open("/local_model_args.json", "w", encoding="utf-8") as file:
        json.dump({key: value for key, value in metadata.items() if value}, file)


if __name__ == "__main__":
    main()
