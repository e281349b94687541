#!/usr/bin/env bash
# Makes the image that stands in for SGLang's own where no registry is in reach: Debian (or Ubuntu)
# with Python, and the stand-in for SGLang installed as a package of the pinned release.
#
#   tests/standin/base-image.sh [--check] [--tag NAME] [--label KEY=VALUE]...
#
# It takes a distribution's package index and docker; `DOCKER` names the client. The root file
# system is made once and kept below target/standin. Without root or debootstrap the image is
# built on Python's public one instead. `--check` makes nothing and says what is missing, docker
# apart.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly docker="${DOCKER:-docker}"
readonly packages=python3,python3-pip,python3-venv,ca-certificates,curl
readonly bundle=/etc/ssl/certs/ca-certificates.crt
readonly cache=target/standin
# The image on which the other way builds.
readonly public_image=python:3.12-slim-bookworm

tag=worker-sglang-standin:base
check=""
changes=()

fail() {
  echo "base-image: $1" >&2
  exit "${2:-1}"
}

while [ "$#" -gt 0 ]; do
  case "$1" in
    --check) check=1 && shift ;;
    --tag) tag="${2:?--tag needs a name}" && shift 2 ;;
    --label) changes+=("LABEL ${2:?--label needs KEY=VALUE}") && shift 2 ;;
    *) fail "unknown argument $1; usage: base-image.sh [--check] [--tag NAME] [--label KEY=VALUE]..." 2 ;;
  esac
done

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
# What `trap EXIT` alone does not see.
trap 'exit 130' INT
trap 'exit 143' TERM
# shellcheck source=tests/standin/debootstrap.sh
. tests/standin/debootstrap.sh

# --- What goes on top of the root file system ------------------------------------------------

# The release that sglang_flags.json was read from.
version="$(sed -n 's/^  "version": "\([^"]*\)",$/\1/p' sglang_worker/sglang_flags.json)"
[ -n "$version" ] || fail "sglang_flags.json names no version"

# Writes the stand-in as an installed package into a folder of Python packages.
install_standin() {
  local target="$1/sglang" about="$1/sglang-$version.dist-info"
  mkdir -p "$1" "$about"
  cp -R tests/standin/sglang "$target"
  find "$target" -name __pycache__ -prune -exec rm -rf {} +
  cp sglang_worker/sglang_flags.json "$target/"
  printf 'Metadata-Version: 2.1\nName: sglang\nVersion: %s\nSummary: A stand-in for SGLang\n' \
    "$version" >"$about/METADATA"
  echo base-image >"$about/INSTALLER"
  (cd "$1" && find sglang "${about##*/}" -type f | sort | sed 's/$/,,/') >"$scratch/record"
  echo "${about##*/}/RECORD,," >>"$scratch/record"
  cp "$scratch/record" "$about/RECORD"
}

# The host's certificates, for networks that put their own authority before the package index.
certificates=""
for file in "${SSL_CERT_FILE:-}" "$bundle" /etc/pki/tls/certs/ca-bundle.crt; do
  if [ -f "$file" ]; then
    certificates="$file"
    break
  fi
done
[ -n "$certificates" ] || fail "no bundle of certificates; install it: apt-get install ca-certificates" 2

# What the host says about its package index; uv reads none of pip's files.
index="${PIP_INDEX_URL:-}"
if [ -z "$index" ] && [ -f /etc/pip.conf ]; then
  index="$(sed -n 's/^ *index-url *= *//p' /etc/pip.conf | head -n 1)"
fi
changes+=("ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
changes+=("ENV SSL_CERT_FILE=$bundle" "WORKDIR /sgl-workspace" "LABEL worker-sglang.standin=1")
if [ -n "${REQUESTS_CA_BUNDLE:-}" ]; then changes+=("ENV REQUESTS_CA_BUNDLE=$bundle"); fi
if [ -n "${PIP_CERT:-}" ]; then changes+=("ENV PIP_CERT=$bundle"); fi
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ] && [ -n "$index" ]; then
  changes+=("ENV UV_DEFAULT_INDEX=$index")
fi
# Settings that name a folder of the host mean nothing in an image.
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT PIP_RETRIES \
  UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_INSECURE_HOST UV_HTTP_TIMEOUT; do
  if [ -n "${!name:-}" ]; then changes+=("ENV $name=${!name@Q}"); fi
done

# The files of this machine that go into every image.
host_files() {
  mkdir -p "$1${bundle%/*}"
  cp -L "$certificates" "$1$bundle"
  chmod 644 "$1$bundle"
  if [ -f /etc/pip.conf ]; then cp -L /etc/pip.conf "$1/etc/pip.conf"; fi
}

# --- The root file system ---------------------------------------------------------------------

# The release of this machine where debootstrap knows it, and the mirror that this machine uses.
suite=bookworm
mirror=""
components=main
read_release() {
  local id codename
  id="$(machine ID)"
  codename="$(machine VERSION_CODENAME)"
  case "$id" in
    debian) ;;
    ubuntu) components=main,universe ;;
    *) return ;;
  esac
  [ -e "/usr/share/debootstrap/scripts/$codename" ] || return 0
  suite="$codename"
  mirror="$(mirror_of "$id")"
}

from_packages() {
  local archive python
  read_release
  archive="$(root_archive "$cache" "$suite" "$mirror" "$components" "$packages")" || exit 1
  python="$(tar -tf "$archive" --wildcards --no-wildcards-match-slash './usr/lib/python3.*/os.py' |
    cut -d/ -f4)"
  host_files "$scratch/top"
  install_standin "$scratch/top/usr/local/lib/$python/dist-packages"
  cp "$archive" "$scratch/image.tar"
  # Files alone: a folder that is there already must not come twice.
  (cd "$scratch/top" && find . -type f | sort) >"$scratch/files"
  tar -C "$scratch/top" --append --file="$scratch/image.tar" --owner=0 --group=0 \
    --numeric-owner --mtime=@0 --mode=u=rwX,go=rX --no-recursion --files-from="$scratch/files"
  local arguments=() change
  for change in "${changes[@]}"; do arguments+=(--change "$change"); done
  "$docker" import --platform linux/amd64 --message "stand-in for SGLang $version" \
    "${arguments[@]}" --change 'CMD ["bash"]' "$scratch/image.tar" "$tag" >/dev/null
}

# --- The other way: Python's public image -------------------------------------------------------

from_public_image() {
  host_files "$scratch/top"
  install_standin "$scratch/top/packages"
  {
    echo "FROM $public_image"
    echo "COPY . /top/"
    # shellcheck disable=SC2016 # the image's shell is to expand it
    echo 'RUN cp -R /top/packages/* "$(python3 -c "import sysconfig as s; print(s.get_path(\"purelib\"))")"' \
      '&& mkdir -p /etc/ssl/certs && cp -R /top/etc/. /etc/ && rm -rf /top'
    printf '%s\n' "${changes[@]}"
  } >"$scratch/Dockerfile"
  "$docker" build --quiet --platform linux/amd64 --tag "$tag" --file "$scratch/Dockerfile" \
    "$scratch/top" >/dev/null
}

reason="$root_is_missing"
if [ -z "$reason" ] && ! command -v debootstrap >/dev/null; then
  reason="debootstrap is not installed (apt-get install debootstrap)"
fi
if [ -n "$reason" ]; then
  echo "base-image: $reason; building on $public_image instead" >&2
fi
if [ -n "$check" ]; then exit; fi
"$docker" version >/dev/null 2>&1 || fail "no docker engine answers to $docker" 2
if [ -n "$reason" ]; then
  from_public_image || fail "neither way to a base image is open: $reason, and $public_image could \
not be built on" 2
else
  from_packages
fi
echo "$tag"
