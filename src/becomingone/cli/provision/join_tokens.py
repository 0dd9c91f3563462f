"""``provision token|approve``: who may join, and whose key is taken."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from becomingone.cli.exits import Exit
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.identities.cell_folder import SECRETS, open_cell
from becomingone.provisioning.join.node_files import RenderedNodes
from becomingone.provisioning.join.token import JoinToken, key_code
from becomingone.provisioning.join.token_file import TokenFile, TokenRecord


def make_token(arguments: argparse.Namespace) -> int:
    """Make a token, and print it."""
    folder: Path = arguments.cell_dir
    token = JoinToken.make(arguments.node, open_cell(folder).fingerprint, secrets.token_bytes)
    RenderedNodes(folder / "out", folder / SECRETS / "cell.yaml")(token.node)  # else it could not be given its share
    now = datetime.now(UTC).replace(microsecond=0)
    record = TokenRecord(
        node=token.node,
        digest=token.digest,
        made=now,
        expires=now + timedelta(seconds=arguments.valid),
        approve=arguments.approve,
    )
    with _tokens(folder).locked() as tokens:
        before = tokens.of(token.node)
        tokens.put(record, now=now)
    replaced = before is not None and before.state in ("open", "waiting", "granted") and not before.expired(now)
    if arguments.json:
        content = {"node": token.node, "token": token.text, "expires": record.expires.isoformat()}
        print(json.dumps({**content, "approve": record.approve, "replaced": replaced}))
        return Exit.DONE
    print(token.text)
    approved = " and approval" if record.approve else ""
    print(f"for {token.node}, once, until {record.expires:%Y-%m-%d %H:%M} UTC{approved}", file=sys.stderr)
    if replaced:
        print(f"{token.node}'s earlier token, which was not used, is void", file=sys.stderr)
    return Exit.DONE


def approve(arguments: argparse.Namespace) -> int:
    """Approve, deny or list."""
    file = _tokens(arguments.cell_dir)
    open_cell(arguments.cell_dir)
    if arguments.deny is not None:
        if arguments.node is not None:
            raise ConfigError("--deny NODE: name the node once")
        return _deny(file, arguments.deny, as_json=arguments.json)
    if arguments.node is None or arguments.list:
        return _list(file, as_json=arguments.json)
    return _approve(file, arguments)


def _approve(file: TokenFile, arguments: argparse.Namespace) -> int:
    with file.locked() as tokens:
        shown = _waiting(tokens.of(arguments.node), arguments.node)
    code = key_code(shown.key or "0")
    if arguments.code is not None:
        if "".join(arguments.code.split()) != code.replace(" ", ""):
            msg = f"--code: the key that waits for {shown.node} is {code}; nothing has been approved"
            raise ConfigError(msg)
    elif not arguments.yes:
        if not sys.stdin.isatty():
            raise ConfigError("asks on a terminal, and there is none: give --code DIGITS, as the machine shows them")
        print(f"{shown.node} at {shown.address}: the key {code}")
        if input("Does the machine show the same digits? [y/N] ").strip().lower() not in ("y", "yes"):
            raise ProvisioningError(
                f"nothing has been approved; to void the token: becomingone provision approve --deny {shown.node}"
            )
    with file.locked() as tokens:
        record = _waiting(tokens.of(shown.node), shown.node)
        if (record.key, record.digest) != (shown.key, shown.digest):
            raise ProvisioningError(f"another key waits for {shown.node} by now; look again")
        approved = record.model_copy(update={"state": "granted"})
        tokens.put(approved)
    if arguments.json:
        print(json.dumps(_row(approved)))
    else:
        print(f"{approved.node} is approved: it gets its certificate when it asks again, within half a minute or so")
    return Exit.DONE


def _waiting(record: TokenRecord | None, node: str) -> TokenRecord:
    if record is None:
        raise ProvisioningError(f"{node} has no token: becomingone provision token {node} makes one")
    if record.state != "waiting":
        told = {
            "open": "nobody has come with its token yet",
            "granted": "it needs no approval, or has it",
            "used": "it has its certificate",
            "denied": "its token is denied",
        }
        raise ProvisioningError(f"{node} does not wait: {told[record.state]}")
    if record.expired(datetime.now(UTC)):
        raise ProvisioningError(f"{node}'s token has expired: becomingone provision token {node} makes a new one")
    return record


def _deny(file: TokenFile, node: str, *, as_json: bool) -> int:
    with file.locked() as tokens:
        record = tokens.of(node)
        if record is None:
            raise ProvisioningError(f"{node} has no token; there is nothing to deny")
        if record.state == "used":
            raise ProvisioningError(f"{node} has its certificate already: becomingone provision revoke {node}")
        denied = record.model_copy(update={"state": "denied"})
        tokens.put(denied)
    print(json.dumps(_row(denied)) if as_json else f"{node}'s token is void")
    if record.state == "granted":
        hint = f"it was granted: if it has a certificate (provision list), becomingone provision revoke {node}"
        print(hint, file=sys.stderr)
    return Exit.DONE


def _list(file: TokenFile, *, as_json: bool) -> int:
    with file.locked() as tokens:
        records = tokens.all()
    if as_json:
        print(json.dumps({"tokens": [_row(record) for record in records]}))
        return Exit.DONE
    if not records:
        print("there are no tokens: becomingone provision token NODE makes one")
    now = datetime.now(UTC)
    for record in records:
        state = "expired" if record.expired(now) and record.state != "used" else record.state
        code = f"  key {key_code(record.key)} from {record.address}" if record.key is not None else ""
        print(f"{record.node:16} {state:8} until {record.expires:%Y-%m-%d %H:%M} UTC{code}")
    return Exit.DONE


def _row(record: TokenRecord) -> dict[str, Any]:
    shown = record.model_dump(mode="json", exclude={"digest", "key"})
    return {**shown, "expired": record.expired(datetime.now(UTC)), "code": key_code(record.key) if record.key else None}


def _tokens(folder: Path) -> TokenFile:
    return TokenFile(folder / SECRETS / "tokens.yaml")
