"""The SGLang server and how this worker starts it."""

import os
import subprocess
import time

import requests

# Environment variable -> flag of sglang.launch_server, passed on when set.
OPTIONS = {
    "MODEL_NAME": "--model-path",
    "TOKENIZER_PATH": "--tokenizer-path",
    "HOST": "--host",
    "PORT": "--port",
    "ADDITIONAL_PORTS": "--additional-ports",
    "TOKENIZER_MODE": "--tokenizer-mode",
    "LOAD_FORMAT": "--load-format",
    "DTYPE": "--dtype",
    "CONTEXT_LENGTH": "--context-length",
    "QUANTIZATION": "--quantization",
    "SERVED_MODEL_NAME": "--served-model-name",
    "CHAT_TEMPLATE": "--chat-template",
    "MEM_FRACTION_STATIC": "--mem-fraction-static",
    "MAX_RUNNING_REQUESTS": "--max-running-requests",
    "MAX_NUM_REQS": "--max-num-reqs",
    "MAX_TOTAL_TOKENS": "--max-total-tokens",
    "CHUNKED_PREFILL_SIZE": "--chunked-prefill-size",
    "MAX_PREFILL_TOKENS": "--max-prefill-tokens",
    "SCHEDULE_POLICY": "--schedule-policy",
    "TENSOR_PARALLEL_SIZE": "--tensor-parallel-size",
    "RANDOM_SEED": "--random-seed",
    "LOG_LEVEL": "--log-level",
    "API_KEY": "--api-key",
    "FILE_STORAGE_PTH": "--file-storage-pth",
    "DATA_PARALLEL_SIZE": "--data-parallel-size",
    "LOAD_BALANCE_METHOD": "--load-balance-method",
}

# Flags without a value, passed on when their variable says yes.
SWITCHES = [
    "SKIP_TOKENIZER_INIT",
    "TRUST_REMOTE_CODE",
    "LOG_REQUESTS",
    "DISABLE_FLASHINFER",
    "DISABLE_RADIX_CACHE",
    "DISABLE_REGEX_JUMP_FORWARD",
    "DISABLE_CUDA_GRAPH",
    "DISABLE_DISK_CACHE",
    "ENABLE_TORCH_COMPILE",
    "ENABLE_MLA",
]


class Engine:
    def __init__(self, host="0.0.0.0", port=30000):
        self.host = host
        self.port = port
        self.base_url = f"http://{host}:{port}"
        self.process = None

    def command(self):
        command = ["python3", "-m", "sglang.launch_server"]
        command += ["--host", self.host, "--port", str(self.port)]
        for name, flag in OPTIONS.items():
            value = os.getenv(name)
            if value:
                command += [flag, value]
        for name in SWITCHES:
            if os.getenv(name, "").lower() in ("true", "1", "yes"):
                command.append("--" + name.lower().replace("_", "-"))
        return command

    def start_server(self):
        self.process = subprocess.Popen(self.command())

    def wait_for_server(self, timeout=900, interval=5):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if requests.get(f"{self.base_url}/v1/models").status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(interval)
        raise TimeoutError(f"no answer from SGLang within {timeout} seconds")

    def shutdown(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
