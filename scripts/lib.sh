# shellcheck shell=sh
# What the scripts beside this file share: one environment in .venv, made once and looked over at every start.
# Standard output belongs to the program that is started in the end, so everything here speaks on standard error.

root=$(dirname "$(dirname "$(readlink -f "$0")")")
venv=$root/.venv
stamp=$venv/becomingone.stamp # says what .venv was made for; written last, and empty until then

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# Runs a command and shows what it printed only if it fails.
quietly() {
    if ! output=$("$@" 2>&1); then
        printf '%s\n' "$output" >&2
        return 1
    fi
}

# Makes .venv hold this project and its requirements: `environment base` to run it, `environment dev` to work on it.
# Further words are system packages that are missing.
environment() {
    wanted=$1
    shift
    if [ $# = 0 ] && is_ready; then return; fi
    # The lock ends with the processes that hold it, whatever becomes of them; an orphaned pip keeps it until it is done.
    exec 9<"$root"
    if ! flock -n 9; then
        say "another run is preparing .venv; waiting for it"
        flock 9
    fi
    if [ $# != 0 ]; then install_packages "$@"; fi
    if ! is_ready; then
        choose_python
        if is_32_bit_arm; then install_compiled_packages; fi
        build
    fi
    exec 9<&-
}

is_ready() {
    [ -x "$venv/bin/becomingone" ] || return 1
    is_wanted_python || return 1
    case $(cat "$stamp" 2>/dev/null) in
    "$(fingerprint "$wanted")" | "$(fingerprint dev)") ;; # dev contains base
    *) return 1 ;;
    esac
}

fingerprint() { printf '%s\n' "$1" "$(minor "$venv/bin/python")" "$root" "$(sha256sum <"$root/pyproject.toml")"; }

minor() { # "Python 3.13": a new patch release leaves an environment working
    version=$("$1" -V 2>/dev/null) && printf '%s' "${version%.*}"
}

is_wanted_python() { [ -z "${PYTHON:-}" ] || [ "$(minor "$PYTHON")" = "$(minor "$venv/bin/python")" ]; }

build() {
    if is_sound; then
        case $(cat "$stamp" 2>/dev/null) in dev*) wanted=dev ;; esac # what was once installed stays
        : >"$stamp"
    else
        if [ -e "$venv" ]; then say ".venv was not finished, or was made for another folder or Python: making it anew"; fi
        say "making .venv with $python"
        rm -rf "$venv"
        mkdir "$venv"
        : >"$stamp"
        site=
        if is_32_bit_arm; then site=--system-site-packages; fi
        quietly "$python" -m venv $site "$venv" || fail "$python could not make .venv"
    fi
    what='.[audio]'
    case $wanted in dev) what='.[dev]' ;; *) if is_32_bit_arm; then what='.[hub,audio]'; fi ;; esac
    say "installing the requirements into .venv, which takes a minute or two, once"
    # A wheel of an older version rather than a compiler: a Pi would build for an hour.
    (cd "$root" && quietly "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-input \
        --prefer-binary -e "$what") || fail "the requirements could not be installed; once that is mended, run this again"
    sync # a Pi is often switched off by its plug, and the stamp must not outlive what it vouches for
    fingerprint "$wanted" >"$stamp"
}

# A .venv that can be added to: finished or made by hand, for this folder, with a Python that is still there.
is_sound() {
    [ -s "$stamp" ] || [ ! -e "$stamp" ] || return 1
    is_wanted_python && grep -qsF "$venv" "$venv/bin/activate" &&
        "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

choose_python() {
    if find_python; then return; fi
    case $incomplete in
    "") package=python3-venv ;;
    /usr/bin/*) package=$(minor "$incomplete" | sed 's/^Python /python/')-venv ;; # Debian keeps ensurepip apart
    *) fail "$incomplete has no venv or ensurepip module; choose another Python with PYTHON=/path/to/python3" ;;
    esac
    if [ -n "${PYTHON:-}" ] && [ -z "$incomplete" ]; then fail "PYTHON=$PYTHON is not a Python 3.11 or later"; fi
    install_packages "$package"
    find_python || fail "no Python 3.11 or later was found; choose one with PYTHON=/path/to/python3"
}

# Sets $python, or else $incomplete where one lacks only its modules venv and ensurepip.
find_python() {
    python=
    incomplete=
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    elif is_32_bit_arm; then
        set -- /usr/bin/python3 # the one that apt's compiled packages are made for
    else
        set -- python3.13 python3.12 python3.11 python3.14 python3
    fi
    for candidate; do
        # The interpreter itself rather than a shim, or the activated .venv that is about to be made anew.
        candidate=$("$candidate" -c 'import sys; print(sys._base_executable * (sys.version_info >= (3, 11)))' \
            2>/dev/null) || continue
        if [ -z "$candidate" ]; then continue; fi
        if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            python=$candidate
            return
        fi
        incomplete=${incomplete:-$candidate}
    done
    return 1
}

# Raspberry Pi OS for 32 bit, also where its kernel has 64. The Python index has no wheels of the compiled requirements
# for it, so they come from apt and .venv sees the system's packages. That works from trixie on; bookworm's pydantic is
# too old, and there pip takes one from the index of 32-bit wheels that Raspberry Pi OS is set up with.
is_32_bit_arm() {
    case $(dpkg --print-architecture 2>/dev/null) in arm | armel | armhf) ;; *) return 1 ;; esac
}

install_compiled_packages() {
    set -- python3-cbor2 python3-cffi python3-cryptography python3-numpy python3-psutil python3-pydantic python3-yaml
    if ! quietly dpkg -s "$@" 2>/dev/null; then install_packages "$@"; fi
}

has_portaudio() { PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -q 'libportaudio\.so\.2'; }

# Sets $as_root, or fails where this user cannot install Debian packages.
can_install() {
    command -v apt-get >/dev/null || return 1
    as_root=
    [ "$(id -u)" = 0 ] || { as_root='sudo -n' && sudo -n true 2>/dev/null; }
}

# Installs Debian packages, or says which ones are to be installed.
install_packages() {
    if ! command -v apt-get >/dev/null; then
        fail "please install with your system's package manager what Debian calls: $*"
    elif ! can_install; then
        fail "these system packages are missing; please run: sudo apt-get install $*"
    fi
    say "installing system packages with apt: $*"
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300"
    # A new machine has no package lists, or old ones that name files long gone.
    # What it starts, such as a service, must not inherit the lock.
    # shellcheck disable=SC2086 # $apt is several words
    quietly $apt install --no-install-recommends "$@" 2>/dev/null 9<&- || {
        quietly $apt update && quietly $apt install --no-install-recommends "$@"
    } 9<&- || fail "apt could not install them; please run: sudo apt-get install $*"
}
