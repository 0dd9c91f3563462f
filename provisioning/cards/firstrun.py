"""The script that Raspberry Pi OS runs once at its first boot, in releases without cloud-init.

The kernel's command line has systemd run it (systemd-run-generator(8)), with nothing else started and no network, and
boot again afterwards. Nothing of Raspberry Pi's own helper for that (``imager_custom``) is called: later releases do
not have it.
"""

from __future__ import annotations

from shlex import quote
from typing import Final

from becomingone.provisioning.cards.first_boot import GROUPS, BootFile, FirstBoot

_WORDS: Final = (
    "systemd.run=/boot/firmware/firstrun.sh",
    "systemd.run_success_action=reboot",
    "systemd.unit=kernel-command-line.target",
)

_HEAD: Final = """\
#!/bin/sh
# Made by: becomingone provision flash. Runs once, at the first boot; ROOT is for tests.
set -u
{
boot=$(cd "$(dirname "$0")" && pwd) || exit 1
root=${ROOT:-}
failed=""

fail() {
    echo "becomingone: $1" >&2
    failed="$failed$1
"
}

"""

_USER: Final = """\
# The first user, whom the image calls pi, gets the name; nobody has a password.
first=$(getent passwd 1000 | cut -d: -f1)
if [ -z "$first" ]; then
    useradd -m -u 1000 -s /bin/bash "$user" || fail "the user could not be made"
elif [ -x "$root/usr/lib/userconf-pi/userconf" ]; then
    "$root/usr/lib/userconf-pi/userconf" "$user" '*' || fail "the user could not be named"
elif [ "$first" != "$user" ]; then
    usermod -l "$user" -m -d "/home/$user" "$first" || fail "the user could not be named"
    groupmod -n "$user" "$first" || fail "the user's group could not be named"
fi
usermod -p '*' "$user" || fail "the password could not be taken away"
home=$(getent passwd "$user" | cut -d: -f6)
if [ -n "$home" ]; then
    install -d -m 0700 -o "$user" -g "$user" "$root$home/.ssh" || fail "$home/.ssh"
    install -m 0600 -o "$user" -g "$user" /dev/null "$root$home/.ssh/authorized_keys" || fail "the keys"
    printf '%s\\n' "$keys" >"$root$home/.ssh/authorized_keys" || fail "the keys could not be written"
else
    fail "the user has no home"
fi
for group in $groups; do
    if getent group "$group" >/dev/null; then
        usermod -aG "$group" "$user" || fail "group $group"
    fi
done
"""

_TAIL: Final = """\

# It is gone where a run before this one came to its end.
if [ -e "$boot/becomingone/install.sh" ]; then
    sh "$boot/becomingone/install.sh" || fail "install.sh: $(cat "$boot/becomingone.txt" 2>/dev/null)"
fi

# Only our own words: the image's first boot has changed others since the card was written.
sed -i -e 's| systemd\\.run[^ ]*||g' -e 's| systemd\\.unit=kernel-command-line\\.target||' "$boot/cmdline.txt"
[ -z "$failed" ] || printf 'not done:\\n%s' "$failed" >"$boot/becomingone.txt"
rm -f "$boot/firstrun.sh"
sync
exit 0
}
"""


def firstrun_files(first: FirstBoot) -> list[BootFile]:
    """Write the script; it has no secret in it. The file ``ssh`` has the image start its SSH server."""
    return [BootFile("firstrun.sh", _script(first).encode()), BootFile("ssh", b"")]


def firstrun_words(first: FirstBoot) -> list[str]:
    """Give the words for the kernel's command line."""
    country = [f"cfg80211.ieee80211_regdom={first.wifi.country}"] if first.wifi is not None else []
    return [*country, *_WORDS]


def _script(first: FirstBoot) -> str:
    name = quote(first.hostname)
    lines = [
        f"echo {name} >\"$root/etc/hostname\" || fail 'the name could not be written'",
        f'sed -i "s/^127\\.0\\.1\\.1.*/127.0.1.1\\t"{name}/ "$root/etc/hosts"',
        f'grep -q "^127\\.0\\.1\\.1" "$root/etc/hosts" || printf \'127.0.1.1\\t%s\\n\' {name} >>"$root/etc/hosts"',
        f"hostname {name} || true  # the next boot takes it from the file",
        "",
        f"user={quote(first.user)}",
        f"groups={quote(' '.join(GROUPS))}",
        "keys=" + quote("\n".join(first.ssh_keys)),
        _USER,
    ]
    if first.timezone is not None:
        zone = quote(first.timezone)
        lines += [f'ln -sf /usr/share/zoneinfo/{zone} "$root/etc/localtime" || fail "the time zone"']
        lines += [f'echo {zone} >"$root/etc/timezone"']
    if first.locale is not None:
        lines += [f"raspi-config nonint do_change_locale {quote(first.locale)} || fail 'the locale'"]
    if first.wifi is not None:
        country = quote(first.wifi.country)
        lines += [f"raspi-config nonint do_wifi_country {country} || fail 'the country of the wireless network'"]
        lines += [
            'for switch in "$root"/var/lib/systemd/rfkill/*:wlan; do',
            '    [ ! -e "$switch" ] || echo 0 >"$switch"',
        ]
        lines += ["done"]
    return _HEAD + "\n".join(lines) + _TAIL
