"""The script that puts a card's files into their places at the first boot, and takes them off the boot partition."""

from __future__ import annotations

from shlex import quote
from typing import Final

from becomingone.provisioning.cards.first_boot import BootFile, FirstBoot, Installed
from becomingone.provisioning.watchdog import MANAGER

FOLDER: Final = "becomingone"
REPORT: Final = "becomingone.txt"

_HEAD: Final = """\
#!/bin/sh
# Made by: becomingone provision flash. Puts what is beside it into place, then takes it off the boot partition.
# Runs again at the next boot when the power fails before its end. ROOT is for tests.
set -u
{
here=$(cd "$(dirname "$0")" && pwd) || exit 1
boot=$(dirname "$here")
root=${ROOT:-}
failed=""

fail() {
    echo "becomingone: $1" >&2
    failed="$failed$1
"
}

# put NAME MODE PLACE: install(1) makes the file for its owner alone before it writes; the rename makes it whole.
# What a run before this one has begun to erase must not be put over what it has placed.
put() {
    [ ! -e "$here/placed" ] || return 0
    if ! install -D -m "$2" "$here/$1" "$root$3.new" || ! mv -f "$root$3.new" "$root$3"; then
        fail "$3 could not be written"
    fi
}

"""

_TAIL: Final = """\

sync
if [ -n "$failed" ]; then
    printf 'not done:\\n%s' "$failed" >"$boot/becomingone.txt"
    sync
    exit 1
fi
touch "$here/placed"
sync
for file in "$here"/*; do
    case $file in
        */placed | */install.sh) ;;
        *) shred -n 0 -z -u "$file" 2>/dev/null || rm -f "$file" ;;
    esac
done
echo 'done' >"$boot/becomingone.txt"
sync
rm -f "$here/install.sh"
rm -rf "$here"
sync
exit 0
}
"""

_FORGET_NETWORK: Final = """\
# The network is in /etc/netplan now, for root alone; here every program of this machine could read its key.
if [ -e "$boot/network-config" ] && grep -qs wifis "$root"/etc/netplan/*.yaml; then
    shred -n 0 -z "$boot/network-config" && echo 'config: disabled' >"$boot/network-config"
fi
"""


def with_own_files(first: FirstBoot) -> tuple[Installed, ...]:
    """Give a card's payload with what every card has besides."""
    rule = f"{first.user} ALL=(ALL) NOPASSWD:ALL\n"
    own = [
        Installed("sudoers", "/etc/sudoers.d/010_becomingone", 0o440, rule.encode()),
        Installed(
            "sshd.conf",
            "/etc/ssh/sshd_config.d/10-becomingone.conf",
            0o644,
            b"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin no\n",
        ),
        Installed(
            "watchdog.conf",
            "/etc/systemd/system.conf.d/becomingone-watchdog.conf",
            0o644,
            MANAGER.encode(),
        ),
    ]
    if first.modules:
        text = "\n".join(first.modules) + "\n"
        own.append(Installed("modules.conf", "/etc/modules-load.d/becomingone.conf", 0o644, text.encode()))
    return (*own, *first.payload)


def install_files(first: FirstBoot, *, forget_network: bool) -> list[BootFile]:
    """Write the folder: every file of the payload, and the script.

    Parameters
    ----------
    first : FirstBoot
        What the machine is to be.
    forget_network : bool
        The network's key is on the boot partition by itself, and is to go from there.
    """
    payload = with_own_files(first)
    files = [BootFile(f"{FOLDER}/{one.name}", one.content, one.secret) for one in payload]
    return [*files, BootFile(f"{FOLDER}/install.sh", _script(first, payload, forget_network).encode())]


def _script(first: FirstBoot, payload: tuple[Installed, ...], forget_network: bool) -> str:
    lines = ['install -d -m 0755 "$root/etc/becomingone" || fail /etc/becomingone']
    lines.append('install -d -m 0700 "$root/etc/credstore" || fail /etc/credstore')
    lines += [f"put {quote(one.name)} {one.mode:04o} {quote(one.place)}" for one in payload]
    # A broken rule would shut everybody out of sudo.
    lines += ['visudo -cqf "$root/etc/sudoers.d/010_becomingone" || {', "    fail 'the rule for sudo is not taken'"]
    lines += ['    rm -f "$root/etc/sudoers.d/010_becomingone"', "}"]
    lines += [
        f"modprobe {quote(module)} 2>/dev/null || true  # it is there at the next boot" for module in first.modules
    ]
    # --no-block: this may run before the network, for which these wait.
    lines += ["systemctl enable ssh >/dev/null 2>&1 || fail 'ssh could not be switched on'"]
    lines += ["systemctl start --no-block ssh >/dev/null 2>&1 || true  # the next boot starts it"]
    lines += ["systemctl enable avahi-daemon >/dev/null 2>&1 || true  # a desktop may do without"]
    if first.wifi is not None:
        lines += ["rfkill unblock wifi 2>/dev/null || true  # there may be no radio in this board"]
    if first.software is not None:
        unit = quote(first.software)
        lines += ["systemctl daemon-reload || true", f"systemctl enable {unit} || fail {unit}"]
        lines += [f"systemctl start --no-block {unit} || true"]
    text = "\n".join(lines) + "\n"
    return _HEAD + text + (_FORGET_NETWORK if forget_network else "") + _TAIL
