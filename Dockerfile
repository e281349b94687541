# The worker's image: SGLang's own image with the worker on top of it.
#
# The default runs on more hosts; docker-bake.hcl also names the one for CUDA 13.
ARG BASE_IMAGE=lmsysorg/sglang:v0.5.19-cu129
FROM ${BASE_IMAGE}

# PYTHONPATH names the root, as in the legacy image, and not the worker's directory:
# SGLang must not take one of the worker's modules for one of its own.
ENV PYTHONUNBUFFERED=1 \
    PYTHONPATH="/${PYTHONPATH:+:${PYTHONPATH}}"

# uv comes from the package index, which closed networks mirror. Base images that mark
# their Python as externally managed need the word of the environment; older pips ignore it.
RUN command -v uv >/dev/null || PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir uv

WORKDIR /worker

COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    UV_LINK_MODE=copy uv pip install --python "$(command -v python3)" --break-system-packages -r requirements.txt

# A model that is baked in. Its layer depends on these arguments and on the files that
# fetch it, not on the rest of the worker. A network volume is mounted at /runpod-volume
# and hides what the image has there: give BASE_PATH another value for a baked-in model.
ARG MODEL_NAME=""
ARG MODEL_PATH=""
ARG TOKENIZER_NAME=""
ARG BASE_PATH="/runpod-volume"
ARG QUANTIZATION=""
ARG MODEL_REVISION=""
ARG TOKENIZER_REVISION=""

ENV MODEL_NAME="${MODEL_NAME:-${MODEL_PATH}}" \
    MODEL_REVISION="${MODEL_REVISION}" \
    TOKENIZER_NAME="${TOKENIZER_NAME}" \
    TOKENIZER_REVISION="${TOKENIZER_REVISION}" \
    BASE_PATH="${BASE_PATH}" \
    QUANTIZATION="${QUANTIZATION}" \
    HF_DATASETS_CACHE="${BASE_PATH}/huggingface-cache/datasets" \
    HUGGINGFACE_HUB_CACHE="${BASE_PATH}/huggingface-cache/hub" \
    HF_HOME="${BASE_PATH}/huggingface-cache/hub" \
    HF_HUB_ENABLE_HF_TRANSFER=1 \
    HF_XET_HIGH_PERFORMANCE=1

COPY download_model.py utils.py ./
COPY sglang_worker/__init__.py sglang_worker/settings.py ./sglang_worker/
# The token is mounted for this step only and reaches no layer; the script reads it there.
RUN --mount=type=secret,id=HF_TOKEN,required=false \
    if [ -n "${MODEL_NAME}" ]; then python3 download_model.py; fi

COPY handler.py engine.py test_input.json ./
COPY sglang_worker ./sglang_worker

# The flags of the SGLang that is in this image: the pinned one's are in the repository,
# another one's are asked of it.
COPY scripts/sglang_flags.py ./scripts/
RUN python3 scripts/sglang_flags.py --output sglang_worker/sglang_flags.json --if-different

CMD ["python3", "handler.py"]
