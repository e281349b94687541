"""`python -m sglang.launch_server`, as far as a client can tell.

Environment variables make it misbehave:

STANDIN_LOAD_SECONDS    seconds before it listens
STANDIN_GATE            a file: it neither listens nor fails before that exists
STANDIN_WARMUP_SECONDS  seconds in which /health then answers 503
STANDIN_TOKEN_MS        milliseconds between two tokens
STANDIN_FAIL_AT_START   the words of the exception with which its scheduler then fails
STANDIN_EMBEDS          1: its model is one for embeddings, which it sees by itself
STANDIN_EXIT_AT_START   the code with which it ends instead of listening
STANDIN_END_LOOK        seconds between two looks, after SIGTERM, at whether it is still at work
STANDIN_IGNORE_SIGTERM  1: only SIGKILL ends it
STANDIN_STRAY           1: starts a child in a session of its own that ignores SIGTERM;
                        titled: such a child that also hides its environment;
                        brief: starts a child whose own child is orphaned and ends at once
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import sglang
from sglang.children import Children
from sglang.srt.server_args import prepare_server_args

TOKENS = ["Hello", " wörld", " 漢字", " 🙂", " and", " so", " on"]
DONE = "data: [DONE]\n\n"
OPEN_ROUTES = ("/health", "/health_generate")
#: Some of those for which the real one asks the admin key, where it has one.
ADMIN_ROUTES = (
    "/abort_request",
    "/flush_cache",
    "/load_lora_adapter",
    "/shutdown",
    "/unload_lora_adapter",
    "/update_weights_from_disk",
)


def token(index: int) -> str:
    """The answer's words: every length of UTF-8 is among them."""
    return TOKENS[index % len(TOKENS)]


class FaultError(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """The routes and what they know."""

    def __init__(self, args: Any, children: Children) -> None:
        self.args = args
        self.children = children
        self.ready = False
        self.pause = float(os.environ.get("STANDIN_TOKEN_MS", "1")) / 1000
        self.aborted: list[str] = []
        self.hanging = 0
        self.running = 0
        self.ending = False
        self.go = asyncio.Event()
        self.seen: list[dict[str, Any]] = []
        self.model = args.served_model_name or args.model_path

    def end(self) -> None:
        """SIGTERM: finishes what is under way and looks only now and then whether it has. A second
        one, as the scheduler gets when the whole group is signalled, ends it at once."""
        if self.ending:
            os._exit(1)
        self.ending = True
        self.leaving = asyncio.ensure_future(self.leave())

    async def leave(self) -> None:
        while True:
            await asyncio.sleep(float(os.environ.get("STANDIN_END_LOOK", "0.2")))
            if not self.running:
                print("Gracefully exiting...", flush=True)
                os._exit(0)

    # Answers

    def count(self, body: dict[str, Any]) -> int:
        params = body.get("sampling_params") or {}
        return int(
            body.get("max_tokens")
            or body.get("max_completion_tokens")
            or body.get("max_output_tokens")
            or params.get("max_new_tokens")
            or 7
        )

    async def work(self, body: dict[str, Any]) -> str:
        count = self.count(body)
        await asyncio.sleep(count * self.pause)
        return "".join(token(i) for i in range(count))

    async def sse(self, reply: Reply, body: dict[str, Any], events: list[str]) -> None:
        """Sends events one by one; `__split` cuts their bytes anywhere, `__drop_after` hangs up,
        `__hold_after` waits until someone asks for /__go."""
        await reply.begin(200, "text/event-stream; charset=utf-8")
        for number, event in enumerate(events):
            if number:
                await asyncio.sleep(self.pause)
            if body.get("__hold_after") == number:
                await self.go.wait()
            if body.get("__drop_after") == number:
                reply.abort()
                return
            data = event.encode()
            if body.get("__split"):
                for start in range(0, len(data), 3):
                    reply.send(data[start : start + 3])
                    await asyncio.sleep(0)
            else:
                reply.send(data)
        reply.end()

    async def only_for_generation(self) -> None:
        """The real scheduler does not survive a chat with a model for embeddings."""
        if self.args.is_embedding:
            self.children.fail("AttributeError: 'EmbeddingResult' object has no attribute 'logits'")
            await asyncio.sleep(3600)

    async def chat(self, reply: Reply, body: dict[str, Any]) -> None:
        await self.only_for_generation()
        if not isinstance(body.get("messages"), list):
            raise FaultError(400, f"messages: Field required, input: {body}")
        identity = {"id": "chat-1", "created": 1, "model": body.get("model") or self.model}
        usage = {"prompt_tokens": 1, "completion_tokens": self.count(body), "total_tokens": 1}
        if body.get("stream"):
            # In the real one's shape and length, which what a post adds is measured by.
            base = {"id": "0123456789abcdef" * 2, "object": "chat.completion.chunk"}
            base |= {"created": 1795863707, "model": identity["model"]}
            rest = {"logprobs": None, "finish_reason": None, "matched_stop": None}
            events = []
            for i in range(self.count(body)):
                delta = {"reasoning_content": None, "content": token(i)}
                choice = {"index": 0, "delta": delta} | rest
                events.append(f"data: {compact(base | {'choices': [choice]})}\n\n")
            choice = {"index": 0, "delta": {"reasoning_content": None}} | rest
            choice |= {"finish_reason": "stop"}
            events.append(f"data: {compact(base | {'choices': [choice]})}\n\n")
            await self.sse(reply, body, [*events, DONE])
            return
        text = await self.work(body)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = identity | {"object": "chat.completion", "choices": [choice], "usage": usage}
        reply.json(200, answer)

    async def completions(self, reply: Reply, body: dict[str, Any]) -> None:
        await self.only_for_generation()
        if "prompt" not in body:
            raise FaultError(400, "prompt: Field required")
        base = {"id": "text-1", "created": 1, "model": self.model, "object": "text_completion"}
        if body.get("stream"):
            events = []
            for i in range(self.count(body)):
                choice = {"index": 0, "text": token(i), "finish_reason": None}
                events.append(f"data: {dumps(base | {'choices': [choice]})}\n\n")
            await self.sse(reply, body, [*events, DONE])
            return
        choice = {"index": 0, "text": await self.work(body), "finish_reason": "stop"}
        reply.json(200, base | {"choices": [choice]})

    async def generate(self, reply: Reply, body: dict[str, Any]) -> None:
        await self.only_for_generation()
        if body.get("text") in ("", [""]):
            self.children.fail("IndexError: list index out of range")
            await asyncio.sleep(3600)
        if "text" not in body and "input_ids" not in body:
            message = "text or input_ids must be given"
            if not body.get("stream"):
                raise FaultError(400, message)
            error = {"message": message, "type": "invalid_request_error", "code": 400}
            await self.sse(reply, body, [f"data: {dumps({'error': error})}\n\n", DONE])
            return
        meta = {"id": "gen-1", "finish_reason": None}
        if body.get("stream"):
            incremental = self.args.incremental_streaming_output
            firsts = [n if incremental else 0 for n in range(self.count(body))]
            texts = ["".join(token(i) for i in range(f, n + 1)) for n, f in enumerate(firsts)]
            answers = [{"text": text, "meta_info": meta} for text in texts]
            if isinstance(body.get("text"), list):
                answers = [a | {"index": i} for a in answers for i in range(len(body["text"]))]
            events = [f"data: {dumps(answer)}\n\n" for answer in answers]
            await self.sse(reply, body, [*events, DONE])
            return
        text = await self.work(body)
        one = {"text": text, "meta_info": meta}
        reply.json(200, [one] * len(body["text"]) if isinstance(body.get("text"), list) else one)

    async def responses(self, reply: Reply, body: dict[str, Any]) -> None:
        identity = {"id": "resp-1", "object": "response", "model": self.model, "created_at": 1}
        rest = {"parallel_tool_calls": False, "tool_choice": "auto", "tools": [], "error": None}
        done = identity | rest | {"status": "completed", "output": []}
        if body.get("stream"):
            kinds: list[tuple[str, dict[str, Any]]] = [
                ("response.created", {"response": done | {"status": "in_progress"}})
            ]
            for i in range(self.count(body)):
                delta = {"delta": token(i), "item_id": "m", "output_index": 0, "content_index": 0}
                kinds.append(("response.output_text.delta", delta | {"logprobs": []}))
            kinds.append(("response.completed", {"response": done}))
            events = [
                f"event: {kind}\ndata: {dumps({'type': kind, 'sequence_number': n} | data)}\n\n"
                for n, (kind, data) in enumerate(kinds)
            ]
            await self.sse(reply, body, events)
            return
        content = [{"type": "output_text", "text": await self.work(body), "annotations": []}]
        message = {"type": "message", "id": "m", "role": "assistant", "status": "completed"}
        reply.json(200, done | {"output": [message | {"content": content}]})

    async def embeddings(self, reply: Reply, body: dict[str, Any]) -> None:
        if not self.args.is_embedding:
            raise FaultError(400, "This model does not appear to be an embedding model by default.")
        inputs = body["input"] if isinstance(body.get("input"), list) else [body.get("input")]
        data = [
            {"object": "embedding", "index": i, "embedding": [0.25, -0.5, 1.0]}
            for i, _ in enumerate(inputs)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        answer = {"object": "list", "data": data, "model": self.model, "usage": usage}
        reply.json(200, answer)

    async def rerank(self, reply: Reply, body: dict[str, Any]) -> None:
        documents = body["documents"]
        ranked = [
            {"score": 1 / (i + 1), "document": d, "index": i} for i, d in enumerate(documents)
        ]
        reply.json(200, ranked)

    async def score(self, reply: Reply, body: dict[str, Any]) -> None:
        reply.json(200, {"scores": [[0.5, 0.5] for _ in body["items"]], "object": "scoring"})

    async def misbehave(self, reply: Reply, path: str, body: dict[str, Any]) -> bool:
        """Routes that the real server does not have: what tests ask for and look at."""
        if path == "/__aborted":
            reply.json(200, self.aborted)
        elif path == "/__seen":
            reply.json(200, self.seen)
        elif path == "/__args":
            reply.json(200, vars(self.args))
        elif path == "/__path":
            found = [p for p in sys.path if os.path.exists(os.path.join(p or ".", "engine.py"))]
            reply.json(200, found)
        elif path == "/__hang":
            self.hanging += 1
            await asyncio.sleep(3600)
        elif path == "/__hanging":
            reply.json(200, self.hanging)
        elif path == "/__go":
            self.go.set()
            reply.json(200, "gone")
        elif path == "/__fail":
            self.children.fail(body["words"])
            reply.json(200, "failing")
        elif path == "/__kill_scheduler":
            self.children.kill()
            reply.json(200, "killed")
        elif path == "/__die":
            print("fatal: no more memory on the device", flush=True)
            os.kill(os.getpid(), signal.SIGKILL) if body.get("signal") else os._exit(body["code"])
        elif path == "/__say":
            print(body["line"], flush=True)
            reply.json(200, "said")
        elif path == "/__text":
            reply.whole(200, "text/plain; charset=utf-8", "naïve text, whole\nin lines".encode())
        elif path == "/__binary":
            reply.whole(200, "audio/wav", b"RIFF\xff\xfe\x00")
        elif path == "/__redirect":
            reply.whole(307, "text/plain", b"", location="http://127.0.0.1:9/elsewhere")
        elif path == "/__raw":
            reply.whole(200, body["type"], body["raw"].encode())
        elif path == "/__lines":
            await reply.begin(200, "application/x-ndjson")
            for number in range(3):
                reply.send(dumps({"line": number}).encode() + b"\n")
                await asyncio.sleep(0.05)
            if body.get("drop"):
                reply.abort()
            reply.end()
        elif path == "/__echo":
            reply.json(200, body)
        elif path.startswith("/__status/"):
            raise FaultError(int(path.rpartition("/")[2]), "as you asked")
        else:
            return False
        return True

    # Dispatch

    async def serve(self, reply: Reply, method: str, target: str, headers: Any, raw: bytes) -> None:
        path = target.partition("?")[0]
        if path in OPEN_ROUTES:
            if self.ready and os.environ.get("SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION") != "0":
                await asyncio.sleep(1)  # it generates a token, and looks for it a second later
            reply.whole(200 if self.ready and not self.ending else 503, "text/plain", b"")
            return
        admin = self.args.admin_api_key if path in ADMIN_ROUTES else None
        key = admin or self.args.api_key
        if key and headers.get("authorization") != f"Bearer {key}":
            reply.json(401, {"error": "Unauthorized"})
            return
        try:
            body = json.loads(raw) if raw else {}
            if not path.startswith("/__"):
                self.seen.append({"method": method, "target": target, "body": body})
            self.running += 1
            try:
                await self.route(reply, method, path, body)
            finally:
                self.running -= 1
        except ValueError:
            reply.json(400, {"object": "error", "message": "invalid JSON", "code": 400})
        except FaultError as fault:
            error = {"object": "error", "message": str(fault), "type": "BadRequest", "code": 400}
            reply.json(fault.status, error | {"code": fault.status})

    async def route(self, reply: Reply, method: str, path: str, body: Any) -> None:
        posts: dict[str, Callable[[Reply, dict[str, Any]], Awaitable[None]]] = {
            "/v1/chat/completions": self.chat,
            "/v1/completions": self.completions,
            "/v1/responses": self.responses,
            "/v1/embeddings": self.embeddings,
            "/v1/rerank": self.rerank,
            "/v1/score": self.score,
            "/generate": self.generate,
        }
        card = {"id": self.model, "object": "model", "created": 1, "owned_by": "sglang"}
        generates = not self.args.is_embedding
        gets: dict[str, Any] = {
            "/v1/models": {"object": "list", "data": [card]},
            # Without the question itself.
            "/v1/loads": {
                "loads": [
                    {"dp_rank": 0, "num_running_reqs": self.running - 1, "num_waiting_reqs": 0}
                ]
            },
            "/model_info": {"model_path": self.args.model_path, "is_generation": generates},
            "/server_info": vars(self.args) | {"internal_states": [vars(self.args)]},
            "/get_server_info": vars(self.args) | {"version": sglang.__version__},
        }
        if path.startswith("/v1/models/"):
            gets[path] = card | {"id": path.removeprefix("/v1/models/")}
        if path in posts and method in ("POST", "PUT"):
            if not isinstance(body, dict):
                raise FaultError(400, "the body must be an object")
            await posts[path](reply, body)
        elif path in gets and method == "GET":
            reply.json(200, gets[path])
        elif path in ADMIN_ROUTES:
            reply.json(200, {"success": True})
        elif path in posts or path in gets:
            reply.json(405, {"detail": "Method Not Allowed"})
        elif not await self.misbehave(reply, path, body):
            reply.json(404, {"detail": "Not Found"})


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Reply:
    """Writes one answer."""

    def __init__(self, transport: asyncio.Transport, line: str) -> None:
        self.transport = transport
        self.line = line

    def _head(self, status: int, kind: str, more: str) -> bytes:
        sys.stderr.write(f'INFO:     127.0.0.1:1 - "{self.line} HTTP/1.1" {status}\n')
        return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}\r\n\r\n".encode()

    def whole(self, status: int, kind: str, data: bytes, location: str = "") -> None:
        more = f"Content-Length: {len(data)}"
        if location:
            more += f"\r\nLocation: {location}"
        self.transport.write(self._head(status, kind, more) + data)

    def json(self, status: int, value: Any) -> None:
        self.whole(status, "application/json", dumps(value).encode())

    async def begin(self, status: int, kind: str) -> None:
        self.transport.write(self._head(status, kind, "Transfer-Encoding: chunked"))

    def send(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.transport.write(b"0\r\n\r\n")

    def abort(self) -> None:
        self.transport.abort()


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request at a time."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.held = b""
        self.task: asyncio.Task[None] | None = None
        self.line = ""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.held += data
        if self.task is None:
            self.next_request()

    def next_request(self) -> None:
        head, separator, rest = self.held.partition(b"\r\n\r\n")
        if not separator:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (x.partition(":") for x in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self.held = rest[length:]
        method, target, _ = first.split(" ")
        self.line = f"{method} {target}"
        reply = Reply(self.transport, self.line)
        self.task = asyncio.ensure_future(
            self.server.serve(reply, method, target, headers, rest[:length])
        )
        self.task.add_done_callback(self.finished)

    def finished(self, task: asyncio.Task[None]) -> None:
        self.task = None
        if not task.cancelled() and task.exception():
            print(f"error: {task.exception()!r}", file=sys.stderr, flush=True)
            self.transport.abort()
        elif not self.transport.is_closing():
            self.next_request()

    def connection_lost(self, _: Any) -> None:
        if self.task:
            self.server.aborted.append(self.line)
            self.task.cancel()


async def listen(server: Server) -> None:
    """Loads, listens, warms up, and then serves for good."""
    if os.environ.get("STANDIN_IGNORE_SIGTERM") != "1":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.end)
    await asyncio.sleep(float(os.environ.get("STANDIN_LOAD_SECONDS", "0")))
    while (gate := os.environ.get("STANDIN_GATE")) and not os.path.exists(gate):
        await asyncio.sleep(0.02)
    if words := os.environ.get("STANDIN_FAIL_AT_START"):
        server.children.fail(words)
        await asyncio.sleep(3600)
    loop = asyncio.get_running_loop()
    args, context = server.args, None
    if args.ssl_certfile:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.ssl_certfile, args.ssl_keyfile, args.ssl_keyfile_password)
    listener = await loop.create_server(
        lambda: Connection(server), args.host, args.port, backlog=512, ssl=context
    )
    await asyncio.sleep(float(os.environ.get("STANDIN_WARMUP_SECONDS", "0")))
    server.ready = server.children.serving = True
    print(f"The server is fired up and ready to roll! {time.time()}", flush=True)
    await listener.serve_forever()


def main() -> None:
    args = prepare_server_args(sys.argv[1:])
    shown = ", ".join(f"{key}={value!r}" for key, value in vars(args).items())
    print(f"server_args=ServerArgs({shown})", flush=True)
    if code := os.environ.get("STANDIN_EXIT_AT_START"):
        print("error: the model does not fit", file=sys.stderr, flush=True)
        sys.exit(int(code))
    if os.environ.get("STANDIN_STRAY") == "1":
        program = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(300)"
        subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    if os.environ.get("STANDIN_STRAY") == "brief":
        inner = "import os, time; time.sleep(0.3); print('orphan', os.getpid() and 0, flush=True)"
        program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}])"
        subprocess.run([sys.executable, "-c", program], start_new_session=True, check=True)
    if os.environ.get("STANDIN_IGNORE_SIGTERM") == "1":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    args.is_embedding = args.is_embedding or os.environ.get("STANDIN_EMBEDS") == "1"
    children = Children()
    if os.environ.get("STANDIN_STRAY") == "titled":
        children.stray()
    asyncio.run(listen(Server(args, children)))


if __name__ == "__main__":
    main()
