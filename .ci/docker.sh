# shellcheck shell=bash
# A docker engine that answers, for .ci/run.

# The words that make a command root's.
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi

# Whether a client here reaches an engine and can build with BuildKit: through the buildx plugin,
# or, before version 23, by itself.
can_build() {
  local client version
  while IFS= read -r client; do
    version="$("$client" version --format '{{.Client.Version}} {{.Server.Version}}' 2>/dev/null)" ||
      continue
    if [ "${version%%.*}" -lt 23 ] || "$client" buildx version >/dev/null 2>&1; then return 0; fi
  done < <(type -ap docker)
  return 1
}

# Starts the daemon, as a service where the machine has them, else by itself, and waits for it.
# Some machines can't mount overlays in overlays; then it copies.
start_engine() {
  local driver log
  if [ -d /run/systemd/system ] && "${as_root[@]}" systemctl start docker; then
    wait_for_engine && return
  fi
  log="$(mktemp)"
  for driver in "" vfs; do
    "${as_root[@]}" dockerd ${driver:+--storage-driver="$driver"} >"$log" 2>&1 &
    # What is started here ends with the run.
    # shellcheck disable=SC2064 # this process, and not the last one at the end
    trap "${as_root[*]} kill $! 2>/dev/null" EXIT
    wait_for_engine $! && return
  done
  echo "error: no docker engine answers, and dockerd would not start; its last lines:" >&2
  tail -n 20 "$log" >&2
  return 2
}

# Waits until an engine answers, at most a minute, and no longer than the process lives.
wait_for_engine() {
  local tries
  for tries in {1..120}; do
    if can_build; then return 0; fi
    if [ -n "${1:-}" ] && [ "$tries" -gt 2 ] && ! kill -0 "$1" 2>/dev/null; then return 1; fi
    sleep 0.5
  done
  return 1
}
