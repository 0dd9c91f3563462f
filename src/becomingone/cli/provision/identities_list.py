"""``provision list``: who has a certificate, until when, and what needs to be done about it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from becomingone.cli.exits import Exit
from becomingone.cli.provision.identities_run import everybody
from becomingone.errors import ConfigError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.cell_folder import open_cell
from becomingone.provisioning.identities.ledger import Issued
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.identities.subject import subject_of

_LAST_YEAR: Final = timedelta(days=365)


def show(arguments: argparse.Namespace) -> int:
    """Show who has a certificate."""
    authority = open_cell(arguments.cell_dir)
    members = Members(authority)
    now = authority.time()
    if arguments.all:
        shown = authority.issued()
    else:
        found = (members.current(subject) for subject in everybody(authority))
        shown = [one for one in found if one is not None]
    warnings = list(_warnings(authority, now))
    rows = [_row(one, members, now) for one in shown]
    if arguments.json:
        head = {
            "cell": authority.cell,
            "fingerprint": authority.fingerprint,
            "not_after": authority.not_after.isoformat(),
            "days_left": _days(authority.not_after, now),
        }
        print(json.dumps({"authority": head, "certificates": rows, "warnings": warnings}))
        return Exit.DONE
    print(f"{authority.cell}: authority until {authority.not_after:%Y-%m-%d}, SHA-256 {authority.fingerprint}")
    width = max((len(row["identity"]) for row in rows), default=8)
    if rows:
        print(f"{'identity':{width}}  role      {'serial':40}  until        days  state    key")
    for row in rows:
        print(
            f"{row['identity']:{width}}  {row['role']:8}  {row['serial']}  {row['not_after'][:10]}  "
            f"{row['days_left']:5}  {row['state']:7}  {row['key']}"
        )
    for warning in warnings:
        print(f"warning: {warning}")
    return Exit.DONE


def _row(one: Issued, members: Members, now: datetime) -> dict[str, Any]:
    """Tell of one certificate; ``key`` is where its key is: here, made elsewhere, or here no more."""
    here = members.has(one, subject_of(one.identity))
    return {
        "identity": one.identity,
        "role": one.role,
        "serial": f"{one.serial:040x}",
        "not_before": one.not_before.isoformat(),
        "not_after": one.not_after.isoformat(),
        "days_left": _days(one.not_after, now),
        "state": one.state(now),
        "revoked": one.revoked.isoformat() if one.revoked is not None else None,
        "reason": one.reason or None,
        "sha256": one.sha256,
        "key": "here" if here else "elsewhere" if one.requested else "gone",
    }


def _warnings(authority: Authority, now: datetime) -> Iterable[str]:
    if now >= authority.not_after:
        yield f"the authority ended on {authority.not_after:%Y-%m-%d}: nobody's certificate is taken any more"
    elif authority.not_after - now < _LAST_YEAR:
        yield (
            f"the authority ends in {_days(authority.not_after, now)} days, and everybody's certificate with it: "
            "make a new cell folder, and new certificates for everybody, before that"
        )
    try:
        missing = authority.revocations.missing()
    except ConfigError as error:
        yield str(error)
        return
    for one in missing:
        yield f"{one.identity}: is void and not in the revocation list: becomingone provision crl writes it anew"


def _days(until: datetime, now: datetime) -> int:
    """Count whole days; none are left of what has ended."""
    return max(0, (until - now).days)
