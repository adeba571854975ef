# Shared by root.sh and vm.sh (sourced). CACHE is where everything is kept: root-SUITE/ is a Debian tree, image-SUITE.ext4 the
# same as a disk, kernel-SUITE/ an unpacked kernel. Deleting any of them is safe: it is made again.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

[ "$(id -u)" = 0 ] || die "must be root"

# The mirror of this machine's own apt: the first URIs: of a deb822 file, else the first plain deb line.
find_mirror() {
  local mirror
  mirror=$(awk '$1=="URIs:"{print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null)
  [ -n "$mirror" ] || mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n 's/^deb *\(\[[^]]*\] *\)\?\([^ ]*\) .*/\2/p' | head -n 1)
  [ -n "$mirror" ] || die "no Debian mirror in /etc/apt: the matrix needs a Debian machine"
  printf '%s\n' "${mirror%/}"
}

# need COMMAND PACKAGE ...: installs what is missing.
need() {
  local missing=()
  while [ $# -ge 2 ]; do
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} = 0 ] && return 0
  [ -z "${TRACE_NO_INSTALL:-}" ] || die "missing: apt-get install ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    >"$CACHE/apt.log" 2>&1 || { tail -n 5 "$CACHE/apt.log" >&2; die "apt-get install ${missing[*]} failed"; }
}
