"""Runs a worker's program with stand-ins for everything outside of it, and writes down what it
would have done.

Standard input: {"folder": the worker's files, "program": the program in it, "module": whether it
runs by `python -m`, "watch": [[id, file, first line, last line]], "scenarios": [{"name", "env",
"jobs"}], "limit"}.
Standard output: a JSON object a line, one a scenario: the variables read, the processes that would
have been started, the requests that would have been sent, the settings handed to
runpod.serverless.start, which of the watched lines ran, and how it ended.

Each scenario runs in a process of its own, forked from this one. Nothing reaches a network, no
process is started, no signal is sent, and every module that Python itself does not bring is a
stand-in that accepts whatever is done with it.
"""

import abc
import asyncio
import contextlib
import copy
import importlib
import importlib.abc
import importlib.machinery
import inspect
import io
import json
import os
import runpy
import signal
import sys
import tempfile
import threading
import time
import types

WAIT = time.sleep
REAL = {name: getattr(os, name) for name in ("fork", "kill", "_exit", "waitpid", "write")}
FOLDER = ""
#: What a run that does nothing is told as.
NOTHING = {"reads": [], "commands": [], "requests": [], "settings": {}, "jobs": [], "reached": []}
LOG = {**copy.deepcopy(NOTHING), "error": None}


#: What no worker says by itself: whatever holds it comes from here.
STAND_IN = "stand-in"
#: What the server seems to answer.
ANSWER = '{"stand-in": true}'


class Blocked(OSError):
    """What code gets that reaches for something outside."""


# ---- the environment ----


def from_worker() -> bool:
    """Whether the code that is asking belongs to the worker, and not to Python's library: the
    first caller that is not os or collections itself."""
    frame = sys._getframe(2)
    while frame and frame.f_code.co_filename.endswith(("os.py", "_collections_abc.py", "abc>", "os>")):
        frame = frame.f_back
    return bool(frame) and frame.f_code.co_filename.startswith(FOLDER)


class Environment(type(os.environ)):
    """os.environ that notes which names the worker asks for."""

    def __getitem__(self, key):
        if from_worker() and key not in LOG["reads"]:
            LOG["reads"].append(key)
        return super().__getitem__(key)

    def __iter__(self):
        if from_worker() and "*" not in LOG["reads"]:
            LOG["reads"].append("*")
        return super().__iter__()


def watch_environment(values):
    os.environ.clear()
    os.environ.update(values)
    plain = os.environ
    os.environ = Environment(
        plain._data, plain.encodekey, plain.decodekey, plain.encodevalue, plain.decodevalue
    )


# ---- stand-ins for modules ----


def awaited(value):
    """What `await` gives of a value that is there already."""
    return value
    yield


class Kind(abc.ABCMeta):
    """Classes have every attribute too: `SamplingParams.DEFAULT`."""

    def __getattr__(cls, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Anything()


class Anything(metaclass=Kind):
    """Takes every attribute, call, loop, `with` and `await`."""

    def __init__(self, *_args, **_kwargs):
        pass

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *_args, **_kwargs):
        # As a decorator it hands back what it decorates.
        if len(_args) == 1 and not _kwargs and isinstance(_args[0], types.FunctionType):
            return _args[0]
        return Anything()

    async def __aiter__(self):
        return
        yield

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_args):
        return False

    __await__ = lambda self: awaited(self)
    __enter__ = lambda self: self
    __iter__ = lambda self: iter(())
    __getitem__ = __add__ = lambda self, _other: Anything()
    __setitem__ = lambda self, _key, _value: None
    __exit__ = __contains__ = lambda self, *_args: False
    __lt__ = __gt__ = __le__ = __ge__ = lambda self, _other: False
    __bool__ = lambda self: True
    __len__ = __int__ = __index__ = lambda self: 0
    __float__ = lambda self: 0.0
    __str__ = __repr__ = lambda self: STAND_IN
    __mro_entries__ = lambda self, _bases: ()


class StandIn(types.ModuleType):
    """A module that has whatever is asked of it."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if name.endswith(("Error", "Exception", "Timeout", "Warning", "Refused")):
            value = type(name, (Exception,), {"__init__": lambda self, *a, **k: None})
        elif name[:1].isupper() and not name.isupper():
            value = type(name, (Anything,), {})
        else:
            value = Anything()
        setattr(self, name, value)
        return value


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module that the worker asks for and nobody else finds. Python's own library is
    not lied to: it asks for modules to learn where it runs."""

    def find_spec(self, name, _path=None, _target=None):
        frame = sys._getframe(1)
        while frame and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        asker = frame.f_code.co_filename if frame else ""
        if not asker.startswith(FOLDER) and asker != __file__:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        make = MODULES.get(module.__name__)
        if make:
            make(module)


# ---- HTTP ----


def note_request(method, url, body=None):
    path = str(url)
    if "://" in path:
        path = "/" + path.split("://", 1)[1].partition("/")[2]
    LOG["requests"].append([str(method).upper(), path, body])
    return Response()


class Response(Anything):
    """An answer that says that all is well."""

    status = status_code = 200
    ok = True
    reason = "OK"
    content_type = "application/json"
    charset = "utf-8"
    headers = {"content-type": "application/json"}

    def __init__(self, *_args, **_kwargs):
        self.text = Text(ANSWER)
        self.content = Stream()

    json = lambda self, *_args, **_kwargs: Result(json.loads(ANSWER))
    read = lambda self, *_args: Body(ANSWER.encode())
    iter_lines = iter_content = lambda self, *_args, **_kwargs: iter([ANSWER.encode()])
    raise_for_status = lambda self: None
    getcode = lambda self: 200
    getheader = lambda self, _name, default=None: default
    close = lambda self: Result(None)


class Result(dict):
    """A value that may be awaited as well."""

    def __init__(self, value):
        super().__init__(value if isinstance(value, dict) else {})
        self.value = value

    __await__ = lambda self: awaited(self.value)
    decode = lambda self, *_args: ANSWER


class Body(bytes):
    """`response.read()`, which is bytes here and a coroutine there."""

    __await__ = lambda self: awaited(bytes(self))


class Text(str):
    """`response.text`, which is a string here and a coroutine there."""

    __call__ = lambda self, *_args, **_kwargs: Result(ANSWER)


class Stream(Anything):
    """A body that has one piece."""

    def __init__(self):
        self.pieces = [ANSWER.encode()]

    is_eof = at_eof = lambda self: not self.pieces

    async def read(self, *_args):
        return self.pieces.pop() if self.pieces else b""

    readany = readline = read

    async def __aiter__(self):
        while self.pieces:
            yield self.pieces.pop()


def body_of(kwargs, args=()):
    for key in ("json", "data", "content", "body"):
        if kwargs.get(key) is not None:
            value = kwargs[key]
            return value if isinstance(value, (dict, list, str, int, float, bool)) else str(value)
    return args[0] if args and isinstance(args[0], (dict, str)) else None


METHODS = ("get", "post", "put", "delete", "patch", "head", "options")


class Client(Anything):
    """A session of any HTTP client."""

    def __getattr__(self, name):
        if name in (*METHODS, "ws_connect"):
            method = "GET" if name == "ws_connect" else name
            return lambda url, *a, **k: note_request(method, url, body_of(k, a))
        if name in ("request", "stream", "_request"):
            return lambda method, url, *a, **k: note_request(method, url, body_of(k, a))
        return super().__getattr__(name)


def http_module(module):
    client = Client()
    for name in (*METHODS, "request", "stream"):
        setattr(module, name, getattr(client, name))
    for name in ("Session", "ClientSession", "Client", "AsyncClient"):
        setattr(module, name, Client)


class Url:
    """yarl's URL, as far as building one goes."""

    def __init__(self, text="", **_kwargs):
        self.text = str(text)

    @classmethod
    def build(cls, *, scheme="http", host="", port=None, path="", query_string="", **_kwargs):
        query = f"?{query_string}" if query_string else ""
        return cls(f"{scheme}://{host}:{port}{path}{query}")

    __str__ = lambda self: self.text
    __truediv__ = lambda self, other: Url(f"{self.text.rstrip('/')}/{other}")


class OpenAI(Anything):
    """The OpenAI library's client: the names of its methods are its routes."""

    ROUTES = {
        "chat.completions.create": ("POST", "/v1/chat/completions"),
        "completions.create": ("POST", "/v1/completions"),
        "embeddings.create": ("POST", "/v1/embeddings"),
        "responses.create": ("POST", "/v1/responses"),
        "models.list": ("GET", "/v1/models"),
    }

    def __init__(self, *_args, path="", **_kwargs):
        self._path = path

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return OpenAI(path=f"{self._path}.{name}".lstrip("."))

    def __call__(self, *_args, **kwargs):
        if self._path in self.ROUTES:
            method, route = self.ROUTES[self._path]
            return note_request(method, route, kwargs)
        return Anything()


# ---- SGLang inside of the worker ----


def engine(*_args, **kwargs):
    """`sglang.Engine(tp_size=2)`: its arguments are the server's flags."""
    words = ["sglang"]
    for name, value in kwargs.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [flag, str(value)]
    LOG["commands"].append(words)
    return Anything()


def sglang_module(module):
    module.Engine = module.Runtime = module.ServerArgs = engine


def run_module(name, *args, **kwargs):
    """`runpy.run_module("sglang.launch_server")`"""
    if not name.startswith("sglang"):
        return RUN_MODULE(name, *args, **kwargs)
    note_command(["python3", "-m", name, *sys.argv[1:]])
    raise Finished


RUN_MODULE = runpy.run_module


# ---- RunPod ----


class Finished(BaseException):
    """Everything that was to be seen has been seen."""


JOBS = []


def start(config=None, *_args, **_kwargs):
    config = config or {}
    LOG["started"] = True
    LOG["settings"] = {str(key): plain(value) for key, value in config.items()}
    # The server may be started by a thread, and told its arguments a moment later.
    for _ in range(300):
        if LOG["commands"]:
            break
        WAIT(0.01)
    WAIT(0.02)
    modifier = config.get("concurrency_modifier")
    if callable(modifier):
        try:
            LOG["settings"]["concurrency"] = plain(modifier(1))
        except Exception as error:  # noqa: BLE001
            LOG["settings"]["concurrency"] = f"error: {type(error).__name__}"
    handler = config.get("handler")
    for name, job_input in JOBS:
        before = len(LOG["requests"])
        results = []
        error = streams = None
        try:
            streams = asyncio.run(asyncio.wait_for(one_job(handler, job_input, results), 5))
        except Exception as raised:  # noqa: BLE001
            error = type(raised).__name__
        probes = {"/health", "/health_generate", "/ping"}
        requests = [r for r in LOG["requests"][before:] if r[1] not in probes]
        LOG["jobs"].append({"name": name, "requests": requests, "results": results, "streams": streams, "error": error})
    raise Finished


async def one_job(handler, job_input, results):
    """Whether the handler gave its results one by one."""
    outputs = handler({"id": "job", "input": job_input})
    if hasattr(outputs, "__aiter__"):
        async for output in outputs:
            results.append(plain(output))
    elif inspect.isgenerator(outputs):
        results.extend(map(plain, outputs))
    else:
        results.append(plain(await outputs if inspect.isawaitable(outputs) else outputs))
        return False
    return True


def plain(value):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return "…"


OPENAI = ("Client", "OpenAI", "AsyncClient", "AsyncOpenAI")
MODULES = {
    "requests": http_module,
    "aiohttp": http_module,
    "httpx": http_module,
    "sglang": sglang_module,
    "sglang.srt.server_args": sglang_module,
    "openai": lambda module: module.__dict__.update(dict.fromkeys(OPENAI, OpenAI)),
    "runpod": lambda module: setattr(module, "serverless", importlib.import_module("runpod.serverless")),
    "runpod.serverless": lambda module: setattr(module, "start", start),
    "yarl": lambda module: setattr(module, "URL", Url),
}


# ---- processes, sockets, signals ----


def note_command(command, *_args, **_kwargs):
    if isinstance(command, (str, bytes)):
        command = [command]
    words = [w.decode() if isinstance(w, bytes) else str(w) for w in command]
    LOG["commands"].append(words)


class Told(io.BytesIO):
    """Standard input of a process: arguments that are told there, as JSON lists, so that no
    process list shows them, are arguments all the same."""

    def __init__(self, command):
        super().__init__()
        self.command = command

    def write(self, data):
        text = data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")
        with contextlib.suppress(ValueError):
            self.look(json.loads(text))
        return len(data)

    def look(self, value):
        if isinstance(value, dict):
            for item in value.values():
                self.look(item)
        elif isinstance(value, list) and value and str(value[0]).startswith("--"):
            self.command.extend(str(word) for word in value)

    close = lambda self: None


class Process(Anything):
    """A process that runs until the end."""

    pid = 2_000_000_000
    returncode = None

    def __init__(self, command=(), *args, **_kwargs):
        note_command([command, *args] if isinstance(command, str) and args else command)
        self.stdin = Told(LOG["commands"][-1])
        self.stdout, self.stderr = io.BytesIO(), io.BytesIO()

    def wait(self, timeout=None):
        if threading.current_thread() is not threading.main_thread():
            WAIT(3600)
        return 0

    poll = terminate = kill = send_signal = lambda self, *_args: None
    communicate = lambda self, *_args, **_kwargs: (b"", b"")


class Completed(Anything):
    returncode = 0
    stdout = stderr = ""


def close_the_doors():
    import ctypes  # noqa: F401  (so that what needs it later finds it loaded)
    import http.client
    import socket
    import subprocess
    import urllib.request

    def refuse(*_args, **_kwargs):
        raise Blocked("there is no network here")

    for name in ("connect", "connect_ex", "bind", "sendto", "listen"):
        setattr(socket.socket, name, refuse)
    socket.create_connection = refuse
    socket.getaddrinfo = refuse

    def run(command=(), *_args, **_kwargs):
        note_command(command)
        return Completed()

    subprocess.Popen = type("Popen", (Process,), {"__class_getitem__": classmethod(lambda c, _: c)})
    subprocess.run = subprocess.call = subprocess.check_call = run
    subprocess.check_output = lambda command=(), *a, **k: note_command(command) or b""
    subprocess.getoutput = lambda command: note_command(command) or ""

    async def spawn(program, *args, **_kwargs):
        return Process([program, *args])

    asyncio.create_subprocess_exec = asyncio.create_subprocess_shell = spawn

    def replaced(program, args, *_rest):
        note_command(args)
        raise Finished

    for name in ("execv", "execve", "execvp", "execvpe"):
        setattr(os, name, replaced)
    os.execl = os.execlp = lambda program, *args: replaced(program, args)
    os.posix_spawn = os.posix_spawnp = lambda program, args, *_r, **_k: note_command(args) or 1
    os.system = lambda command: note_command(command) or 0
    os.popen = lambda command, *_a: note_command(command) or io.StringIO("")
    os.fork = refuse
    os.kill = os.killpg = lambda *_args: None

    def connection_request(self, method, url, body=None, *_args, **_kwargs):
        note_request(method, url, None)

    for cls in (http.client.HTTPConnection, http.client.HTTPSConnection):
        cls.connect = lambda self: None
        cls.request = connection_request
        cls.getresponse = lambda self: Response()
    urllib.request.urlopen = lambda url, data=None, *a, **k: note_request(
        "POST" if data else "GET", getattr(url, "full_url", url), None
    )


def stop_the_clock():
    """The time of day is the same in every run, and goes on where the worker waits."""
    import datetime

    now = [1_700_000_000.0]

    def sleep(seconds):
        if threading.current_thread() is threading.main_thread():
            now[0] += float(seconds)
        WAIT(seconds)

    class Moment(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(now[0], tz)

        utcnow = classmethod(lambda cls: cls.utcfromtimestamp(now[0]))
        today = classmethod(lambda cls: cls.now())

    class Day(datetime.date):
        today = classmethod(lambda cls: cls.fromtimestamp(now[0]))

    time.time, time.time_ns = lambda: now[0], lambda: int(now[0] * 1e9)
    time.sleep = sleep
    datetime.datetime, datetime.date = Moment, Day


def load_the_dice():
    """Random bytes come out alike in every run: a key that a worker makes up is no difference,
    and is told by its name."""
    import random
    import secrets

    secrets.token_hex = secrets.token_urlsafe = lambda nbytes=None: STAND_IN

    dice = random.Random(0)
    os.urandom = random._urandom = dice.randbytes
    random.seed(0)


# ---- scenarios ----


def watch_lines(places):
    """Notes which of these lines of the worker run."""
    files = {}
    for name, file, first, last in places:
        files.setdefault(os.path.join(FOLDER, file), []).append((name, first, last))
    if not files:
        return

    def line(frame, _event, _arg):
        for name, first, last in files[frame.f_code.co_filename]:
            if first <= frame.f_lineno <= last and name not in LOG["reached"]:
                LOG["reached"].append(name)
        return line

    def call(frame, event, arg):
        return line(frame, event, arg) if frame.f_code.co_filename in files else None

    threading.settrace(call)
    sys.settrace(call)


def run(plan):
    source = os.path.join(plan["folder"], plan["program"])
    folder = os.path.dirname(source)
    sys.argv = [source]
    os.chdir(folder)
    name = os.path.splitext(os.path.basename(source))[0]
    while plan["module"] and os.path.exists(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        name = f"{package}.{name}"
    # What lies elsewhere among the worker's files is found where the image would have it.
    sys.path.insert(0, folder)
    sys.path.append(plan["folder"])
    watch_lines(plan["watch"])
    if plan["module"]:
        RUN_MODULE(name, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(source, run_name="__main__")


def play(plan, scenario, out):
    """Runs one scenario in this process and writes down how it went."""
    global FOLDER
    FOLDER = plan["folder"]
    watch_environment(scenario["env"])
    JOBS.extend(scenario["jobs"])
    # Compiled once, beside this program, for all scenarios.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compiled")
    sys.stdout = sys.stderr = open(os.devnull, "w")
    close_the_doors()
    load_the_dice()
    stop_the_clock()
    runpy.run_module = run_module
    sys.meta_path.append(Finder())
    try:
        run(plan)
    except Finished:
        pass
    except SystemExit as end:
        LOG["error"] = f"it ended with {end.code}"
    except BaseException as error:  # noqa: BLE001
        LOG["error"] = f"{type(error).__name__}: {error}"[:300]
    sys.settrace(None)
    LOG["name"] = scenario["name"]
    REAL["write"](out, json.dumps(LOG, default=str).encode())
    REAL["_exit"](0)


#: How many scenarios run at once: most of a run is waiting.
AT_ONCE = 4


def begin(plan, scenario, out):
    """Starts a scenario in a child, which writes to a file."""
    child = REAL["fork"]()
    if child == 0:
        try:
            play(plan, scenario, out.fileno())
        finally:
            REAL["_exit"](1)
    return child


def watch(plan):
    """Runs all scenarios, some at once, and kills what takes too long. Results in order."""
    scenarios, limit = plan["scenarios"], plan["limit"]
    waiting = list(enumerate(scenarios))
    running = {}
    results = [None] * len(scenarios)
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            index, scenario = waiting.pop(0)
            out = tempfile.TemporaryFile()
            running[begin(plan, scenario, out)] = index, out, time.monotonic() + limit
        WAIT(0.005)
        for child, (index, out, end) in list(running.items()):
            late = time.monotonic() > end
            if late:
                REAL["kill"](child, signal.SIGKILL)
            if REAL["waitpid"](child, 0 if late else os.WNOHANG)[0] == 0:
                continue
            del running[child]
            with out:
                out.seek(0)
                said = out.read()
            why = f"no end within {limit} s" if late else "it ended without a word"
            results[index] = {"name": scenarios[index]["name"], "error": why, **NOTHING}
            with contextlib.suppress(ValueError):
                results[index] = json.loads(said)
    return results


def load_the_library():
    """What most workers import of Python's own, once for all scenarios."""
    import argparse, ast, dataclasses, difflib, http.client, logging, pathlib  # noqa: E401, F401
    import random, shlex, shutil, socket, ssl, subprocess, tempfile, traceback, typing  # noqa: E401, F401
    import urllib.request, uuid  # noqa: E401, F401


def main():
    load_the_library()
    for result in watch(json.load(sys.stdin)):
        print(json.dumps(result))


main()
