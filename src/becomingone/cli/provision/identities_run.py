"""``provision ca|node|hub|broker|operator|observer|witness|relay|renew|revoke|crl``: who is who in a cell."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509

from becomingone.cli.exits import Exit
from becomingone.cli.provision.passphrase import new_passphrase, passphrase_of
from becomingone.errors import ConfigError
from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.cell_folder import create_cell, open_cell
from becomingone.provisioning.identities.certificates import ends
from becomingone.provisioning.identities.members import Members
from becomingone.provisioning.identities.subject import Server, Subject, member, subject_of
from becomingone.provisioning.inventory.mesh_file import MeshFile, load_mesh

BROKER = Server("broker")


def make_authority(arguments: argparse.Namespace) -> int:
    """Make the cell's secrets."""
    mesh = mesh_of(arguments)
    cell = arguments.cell or (mesh.cell if mesh is not None else "home")
    if mesh is not None and mesh.cell != cell:
        raise ConfigError(f"--cell {cell}: {arguments.cell_dir / 'mesh.yaml'} is of the cell {mesh.cell}")
    authority = create_cell(arguments.cell_dir, cell, passphrase=new_passphrase(arguments), days=arguments.days)
    secrets = authority.folder.path
    if arguments.json:
        told = {"cell": cell, "secrets": str(secrets), "fingerprint": authority.fingerprint}
        print(json.dumps({**told, "not_after": authority.not_after.isoformat()}))
        return Exit.DONE
    print(f"{secrets}: the authority of the cell {cell}, until {authority.not_after:%Y-%m-%d}")
    print(f"its SHA-256: {authority.fingerprint}")
    print("Who has this folder speaks as everybody in the cell: keep it out of repositories, and keep a copy.")
    return Exit.DONE


def make_nodes(arguments: argparse.Namespace) -> int:
    """Make nodes' certificates, or those of everybody in the inventory."""
    if arguments.all == bool(arguments.names):
        raise ConfigError("give the nodes' ids, or --all for everybody in mesh.yaml")
    if arguments.all:
        return _make_missing(arguments)
    return _make(arguments, [member("node", name) for name in arguments.names])


def make_members(arguments: argparse.Namespace) -> int:
    """Make certificates of one of the other roles."""
    return _make(arguments, [member(arguments.role, name) for name in arguments.names])


def make_hub(arguments: argparse.Namespace) -> int:
    """Make the hub's certificate."""
    return _make(arguments, [member("hub", "hub")])


def make_broker(arguments: argparse.Namespace) -> int:
    """Make the broker's certificate."""
    return _make(arguments, [BROKER], _hosts(arguments, mesh_of(arguments)))


def renew(arguments: argparse.Namespace) -> int:
    """Make new keys and certificates for those who have one."""
    if arguments.due == bool(arguments.names):
        raise ConfigError("name who is to have a new certificate, or give --due")
    authority = _authority(arguments)
    members = Members(authority)
    due = _due(members, authority) if arguments.due else list(dict.fromkeys(map(subject_of, arguments.names)))
    subjects = due
    if arguments.hosts and BROKER not in subjects:
        raise ConfigError("--host: only the broker has host names: becomingone provision renew broker --host NAME")
    for subject in subjects:
        members.check_renewable(subject)
    hosts: dict[Subject, tuple[str, ...]] = {}
    if BROKER in subjects and (named := _hosts(arguments, mesh_of(arguments))):
        hosts[BROKER] = named
    if subjects:
        authority.unlock()
    made = [(subject, members.renew(subject, hosts=hosts.get(subject), days=arguments.days)) for subject in subjects]
    _tell_made(arguments, members, made)
    if not arguments.json:
        if made:
            print("The old certificates hold until they end; put the new ones on their machines before that.")
        else:
            print("nobody's certificate is due")
    return Exit.DONE


def revoke(arguments: argparse.Namespace) -> int:
    """Make certificates void, and say how the broker hears of it."""
    if (arguments.serial is None) != bool(arguments.names):
        raise ConfigError("name whose certificates are to be void, or give --serial HEX")
    authority = _authority(arguments)
    members = Members(authority)
    wanted: list[int | Subject] = [subject_of(name) for name in dict.fromkeys(arguments.names)]
    if arguments.serial is not None:
        wanted.append(arguments.serial)
    authority.revocations.check(wanted)
    void = [one for what in wanted for one in authority.revoke(what, arguments.reason)]
    for identity in dict.fromkeys(one.identity for one in void):
        members.remove_void(subject_of(identity))
    if arguments.json:
        told = [{"identity": one.identity, "serial": f"{one.serial:040x}"} for one in void]
        print(json.dumps({"revoked": told, **_crl(authority)}))
        return Exit.DONE
    for one in void:
        print(f"{one.identity}: the certificate {one.serial:040x} is void ({arguments.reason})")
    if not void:
        print("all of that was void already")
    _tell_crl(authority)
    return Exit.DONE


def write_crl(arguments: argparse.Namespace) -> int:
    """Write the revocation list anew."""
    authority = _authority(arguments)
    authority.write_crl()
    if arguments.json:
        print(json.dumps(_crl(authority)))
    else:
        _tell_crl(authority)
    return Exit.DONE


def mesh_of(arguments: argparse.Namespace) -> MeshFile | None:
    """Read the cell's inventory, where there is one."""
    path: Path = arguments.cell_dir / "mesh.yaml"
    return load_mesh(path) if path.exists() else None


def everybody(authority: Authority) -> list[Subject]:
    """Give everybody who was ever issued a certificate, each once."""
    return [subject_of(identity) for identity in dict.fromkeys(one.identity for one in authority.issued())]


def _authority(arguments: argparse.Namespace) -> Authority:
    return open_cell(arguments.cell_dir, passphrase=passphrase_of(arguments, os.environ))


def _due(members: Members, authority: Authority) -> list[Subject]:
    now = authority.time()
    found = ((subject, members.current(subject)) for subject in everybody(authority))
    return [subject for subject, one in found if one is not None and one.state(now) in ("due", "expired")]


def _hosts(arguments: argparse.Namespace, mesh: MeshFile | None) -> tuple[str, ...]:
    return tuple(arguments.hosts) or (mesh.broker.names if mesh is not None else ())


def _make(arguments: argparse.Namespace, subjects: Iterable[Subject], hosts: Sequence[str] = ()) -> int:
    authority = _authority(arguments)
    members = Members(authority)
    wanted = list(dict.fromkeys(subjects))
    for subject in wanted:
        members.check_free(subject)
    authority.unlock()
    made = [(subject, members.make(subject, hosts=hosts, days=arguments.days)) for subject in wanted]
    _tell_made(arguments, members, made)
    return Exit.DONE


def _make_missing(arguments: argparse.Namespace) -> int:
    """Make what is missing; who was revoked stays out until somebody names it."""
    mesh = mesh_of(arguments)
    if mesh is None:
        raise ConfigError(f"--all: there is no {arguments.cell_dir / 'mesh.yaml'} to say who there is")
    authority = _authority(arguments)
    if authority.cell != mesh.cell:
        raise ConfigError(f"mesh.yaml is of the cell {mesh.cell}, and the authority of {authority.cell}")
    members = Members(authority)
    subjects: list[Subject] = []
    revoked: list[Subject] = []
    everyone: list[Subject] = [BROKER, *mesh.identities]
    for subject in everyone:
        current = members.current(subject)
        if current is None or not (current.requested or current.revoked or members.has(current, subject)):
            subjects.append(subject)
        elif current.revoked is not None:
            revoked.append(subject)
    if subjects:
        authority.unlock()
    made = [
        (subject, members.make(subject, hosts=mesh.broker.names if subject == BROKER else (), days=arguments.days))
        for subject in subjects
    ]
    _tell_made(arguments, members, made, {"revoked": [subject.id for subject in revoked]})
    if not arguments.json:
        for subject in revoked:
            print(f"{subject.id}: was revoked and stays out; a new one is made only by name")
        if not made:
            print("nobody else is without a certificate")
    return Exit.DONE


def _tell_made(
    arguments: argparse.Namespace,
    members: Members,
    made: Iterable[tuple[Subject, x509.Certificate]],
    more: dict[str, Any] | None = None,
) -> None:
    if arguments.json:
        told = [
            {
                "identity": subject.id,
                "role": subject.role,
                "serial": f"{certificate.serial_number:040x}",
                "not_after": ends(certificate).isoformat(),
                "folder": str(members.folder(subject)),
            }
            for subject, certificate in made
        ]
        print(json.dumps({"made": told, **(more or {})}))
        return
    told_of = list(made)
    width = max((len(subject.id) for subject, _ in told_of), default=0)
    for subject, certificate in told_of:
        print(f"{subject.id:{width}}  {subject.role:8}  until {ends(certificate):%Y-%m-%d}  {members.folder(subject)}")


def _crl(authority: Authority) -> dict[str, Any]:
    record = authority.record()
    return {"crl": str(authority.revocations.path), "crl_number": record.crl, "void": len(record.void)}


def _tell_crl(authority: Authority) -> None:
    record = authority.record()
    print(f"{authority.revocations.path}: list {record.crl}, with {len(record.void)} void")
    print("The broker takes it from the file that tls.revoked in its broker.yaml names. By hand, on its machine:")
    print("  sudo install -m 644 crl.pem /etc/becomingone/tls/crl.pem && sudo systemctl reload becomingone-broker")
    print("A connection that is open stays open: sudo systemctl restart becomingone-broker ends it, and")
    print("everybody else comes back by itself.")
