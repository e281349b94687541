#!/usr/bin/env bash
# What it takes to bring `.runpod` from a large upstream, beside `git clone --depth 1`.
#
#   xtask/bench/fetch.sh [MEGABYTES]       default: 500
#
# The upstream is generated: blobs of a megabyte that don't compress, 4,000 small source files and
# the bundled example's `.runpod`. It is served by `git daemon` on this machine through a relay
# that counts the bytes of both directions, so both contenders are counted alike.
# Target: at most 1 % of the clone's bytes.

source "$(dirname "$0")/lib.sh"
megabytes=${1:-500}
build_tool

upstream=$scratch/served/upstream
mkdir -p "$upstream"
cp -R "$root/xtask/example/upstream/." "$upstream"
python3 - "$upstream" "$megabytes" <<'PYTHON'
import os, pathlib, sys
root = pathlib.Path(sys.argv[1])
for i in range(4_000):
    path = root / f"python/part{i // 10:03}/module{i % 10}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"VALUE = {i}\n" * 50)
(root / "assets").mkdir()
for i in range(int(sys.argv[2])):
    (root / f"assets/{i:04}.bin").write_bytes(os.urandom(1 << 20))
PYTHON
git init --quiet "$upstream"
git -C "$upstream" config core.compression 0
commit "$upstream" upstream
git -C "$upstream" config uploadpack.allowFilter true
git -C "$upstream" config uploadpack.allowAnySHA1InWant true
rm -rf "$upstream/assets" "$upstream/python"

# The relay takes a free port, says which, and writes what it has carried to a file.
cat >"$scratch/relay.py" <<'PYTHON'
import socket, sys, threading
target, ready, counts = int(sys.argv[1]), sys.argv[2], sys.argv[3]
carried = [0, 0]
lock = threading.Lock()

def carry(source, sink, way):
    while data := source.recv(1 << 16):
        sink.sendall(data)
        with lock:
            carried[way] += len(data)
            with open(counts, "w") as file:
                file.write(f"{carried[0]} {carried[1]}")
    sink.shutdown(socket.SHUT_WR)

server = socket.create_server(("127.0.0.1", 0))
with open(ready, "w") as file:
    file.write(str(server.getsockname()[1]))
while True:
    client, _ = server.accept()
    daemon = socket.create_connection(("127.0.0.1", target))
    for arguments in ((client, daemon, 0), (daemon, client, 1)):
        threading.Thread(target=carry, args=arguments, daemon=True).start()
PYTHON

port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
git daemon --reuseaddr --listen=127.0.0.1 --port="$port" --export-all \
    --base-path="$scratch/served" --pid-file="$scratch/daemon.pid" "$scratch/served" \
    >/dev/null 2>&1 &
serving=$!
relaying=
trap 'kill "$serving" $relaying 2>/dev/null || true; rm -rf "$scratch"' EXIT

# relay: starts one for the next contender and sets `address`.
relay() {
    [ -z "$relaying" ] || kill "$relaying" 2>/dev/null || true
    rm -f "$scratch/ready"
    echo "0 0" >"$scratch/counts"
    python3 "$scratch/relay.py" "$port" "$scratch/ready" "$scratch/counts" &
    relaying=$!
    until [ -s "$scratch/ready" ]; do sleep 0.05; done
    address=git://127.0.0.1:$(cat "$scratch/ready")/upstream
}
carried() { awk '{ print $1 + $2 }' "$scratch/counts"; }

worker=$scratch/worker
mkdir "$worker"
cp -R "$root/xtask/example/legacy/." "$worker"
git init --quiet "$worker"
commit "$worker" legacy
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.05; done

relay
tool_time=$(timed "$tool" migrate -C "$worker" --upstream "$address")
tool_bytes=$(carried)
test -e "$worker/handler.py"
relay
clone_time=$(timed git clone --quiet --depth 1 "$address" "$scratch/clone")
clone_bytes=$(carried)

echo "# $(machine); one run each, an upstream of $megabytes MB"
printf '%-28s %14s %10s\n' contender bytes ms
printf '%-28s %14s %10s\n' "cargo xtask migrate" "$tool_bytes" "$tool_time"
printf '%-28s %14s %10s\n' "git clone --depth 1" "$clone_bytes" "$clone_time"
awk -v a="$tool_bytes" -v b="$clone_bytes" -v c="$tool_time" -v d="$clone_time" \
    'BEGIN { printf "bytes: %.3f %% (≤1 %%); time: %.1f %%\n", 100 * a / b, 100 * c / d }'
