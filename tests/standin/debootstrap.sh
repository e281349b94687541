# shellcheck shell=bash
# Root file systems made with debootstrap, for base-image.sh and .ci/bare. Each is made once and
# kept as an archive.

# Words that make this root, or the reason why there are none.
as_root=()
root_is_missing=""
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo -n)
  # shellcheck disable=SC2034 # for the scripts that read this one
  sudo -n true 2>/dev/null || root_is_missing="this is not root, and sudo asks for a password"
fi

# Prints a value of this machine's os-release.
machine() {
  # shellcheck disable=SC1091 # a file of the machine
  if [ -r /etc/os-release ]; then (. /etc/os-release && eval "echo \"\${$1:-}\""); fi
}

# Prints the mirror of a distribution that this machine uses, where it uses one.
mirror_of() {
  local file mirror
  for file in /etc/apt/sources.list.d/"$1".sources /etc/apt/sources.list; do
    [ "$(machine ID)" = "$1" ] && [ -f "$file" ] || continue
    # Lists of mirrors and other ways of transport are apt's alone.
    mirror="$(sed -nE 's,^(URIs:|deb( \[[^]]*\])?) +(https?://[^ ]+).*,\3,p' "$file" | head -n 1)"
    if [ -n "$mirror" ]; then echo "$mirror" && return; fi
  done
}

# Prints the archive of a root file system, and makes it where it is not there yet. For `$(…)`: it
# sets traps.
#   root_archive FOLDER SUITE MIRROR COMPONENTS PACKAGES
root_archive() {
  local key archive work
  key="$(printf '%s\n' "${@:2}" | sha256sum | cut -c1-16)"
  archive="$1/$2-$key.tar"
  if [ ! -f "$archive" ]; then
    echo "making $2 with debootstrap, once" >&2
    mkdir -p "$1"
    # Root owns its files, so it is made in a temporary folder, and only the archive is kept.
    work="$(mktemp -d)"
    # shellcheck disable=SC2064 # this folder, and not the last one at the end
    trap "${as_root[*]} rm -rf --one-file-system '$work'" EXIT
    # What `trap EXIT` alone does not see.
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "${as_root[@]}" debootstrap --variant=minbase --include="$5" --components="$4" "$2" \
      "$work/root" ${3:+"$3"} >"$work/log" 2>&1 || {
      tail -n 20 "$work/log" >&2
      echo "debootstrap failed; its last lines are above" >&2
      return 1
    }
    # Certificates come from the host, and a layer of an image holds a path once only.
    "${as_root[@]}" tar -C "$work/root" --sort=name --numeric-owner \
      --exclude='./etc/ssl/certs/ca-certificates.crt' \
      --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./usr/share/doc/*' \
      --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./dev/*' \
      --exclude='./etc/pip.conf' --exclude='./etc/resolv.conf' --exclude='./etc/hostname' \
      --exclude='./var/log/*' -c . >"$work/root.tar"
    mv "$work/root.tar" "$archive.new"
    mv "$archive.new" "$archive"
  fi
  echo "$archive"
}
