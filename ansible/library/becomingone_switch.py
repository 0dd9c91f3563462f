#!/usr/bin/python
"""Ansible module: puts a release of BecomingONE into force, and the one before back where that does not work."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: becomingone_switch
short_description: Put an installed release of BecomingONE into force
description:
  - Copies the units of the release to systemd's, switches the link C(current) to it, starts the services anew one after
    the other and waits until each is ready.
  - Where one is not ready in time, puts units and link back, starts the services anew, waits for them, and fails.
options:
  root:
    description: Folder with C(releases/), C(current) and C(previous).
    type: path
    default: /opt/becomingone
  units:
    description: Where systemd looks for units.
    type: path
    default: /etc/systemd/system
  release:
    description: Name of the release; C(current) or C(previous) for what these links name.
    type: str
    required: true
  services:
    description: What is started anew, in this order.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the unit.
        type: str
        required: true
      ready:
        description: How it is known to be ready.
        type: str
        choices: [status, http, port, active]
        default: active
      url:
        description: With C(ready=http), what must answer with 200.
        type: str
      port:
        description: With C(ready=port), the port of this machine that must take connections.
        type: int
      deadline_s:
        description: Seconds within which it must be ready.
        type: float
        default: 60
      files:
        description: Files and folders that it reads when it starts; where they differ it is started anew.
        type: list
        elements: path
      reread:
        description: Files that it reads on a reload; where they differ it is reloaded.
        type: list
        elements: path
  settle_s:
    description: Seconds for which each must stay ready.
    type: float
    default: 2
author:
  - The BecomingONE authors
"""

EXAMPLES = r"""
- name: Put the release into force
  becomingone_switch:
    release: 0.2.0-1a2b3c4d
    services:
      - {name: becomingone-kitchen, ready: status}
"""

RETURN = r"""
previous:
  description: The release that was in force before.
  type: str
  returned: always
why:
  description: Why a service was not ready.
  type: str
  returned: when it failed
back:
  description: Whether the release before is in force again and its services are ready.
  type: bool
  returned: when it failed
seconds:
  description: How long it took.
  type: float
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402 - a module's documentation comes first
from ansible.module_utils.becomingone_release import Host, Release, Service, SwitchError, switch  # noqa: E402

_SERVICE = {
    "name": {"type": "str", "required": True},
    "ready": {"type": "str", "choices": ["status", "http", "port", "active"], "default": "active"},
    "url": {"type": "str"},
    "port": {"type": "int"},
    "deadline_s": {"type": "float", "default": 60},
    "files": {"type": "list", "elements": "path"},
    "reread": {"type": "list", "elements": "path"},
}


def main() -> None:
    """Read the arguments and do it."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/opt/becomingone"},
            "units": {"type": "path", "default": "/etc/systemd/system"},
            "release": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "dict", "default": [], "options": _SERVICE},
            "settle_s": {"type": "float", "default": 2},
        },
        supports_check_mode=True,
    )
    given = module.params
    host = Host()
    releases = Release(given["root"], given["units"], host)
    release = given["release"]
    if release in ("current", "previous"):
        path = f"{given['root']}/{release}"
        release = releases.named(release)
        if release is None:
            module.fail_json(msg=f"there is no {path}: no release has been put into force, or none before it")
    if module.check_mode:
        due = [one["name"] for one in given["services"] if Service(one, releases.marks, host).due()]
        differing = [*releases.would_change(release), *due]
        module.exit_json(changed=bool(differing), differed=differing, release=release)
    began = host.monotonic()
    try:
        told = switch(release, given["services"], releases, host, settle_s=given["settle_s"])
    except SwitchError as error:
        module.fail_json(msg=str(error))
    seconds = round(host.monotonic() - began, 1)
    changed = told.pop("changed")
    result = {**told, "changed": bool(changed), "differed": changed, "release": release, "seconds": seconds}
    if told["why"] is None:
        module.exit_json(**result)
    if told["back"] is None:
        end = "there was no release before to go back to"
    elif told["back"]:
        end = f"back to {told['previous']}, which is ready"
    else:
        end = f"back to {told['previous']}, which is NOT ready either: {told['back_why']}"
    module.fail_json(msg=f"{release}: {told['why']}; {end}", **result)


if __name__ == "__main__":
    main()
