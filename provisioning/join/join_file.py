"""``join.yaml``: how a machine is to join; written onto its card, read once, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr, field_validator

from becomingone.config.loader import load
from becomingone.config.sections import Section
from becomingone.errors import ConfigError
from becomingone.provisioning.identities.secrets_folder import check_private
from becomingone.provisioning.join.client import Endpoint
from becomingone.provisioning.join.token import JoinToken

MDNS: Final = "mdns"
"""In place of a URL: the server is found on the local network."""


class JoinFile(Section):
    """What ``join.yaml`` says."""

    url: Annotated[str, Field(description="https://HOST[:PORT] of the enrolment server; mdns: look for it")] = MDNS
    token: Annotated[SecretStr, Field(description="NODE.TOKEN.FINGERPRINT, as `becomingone provision token` prints it")]
    fingerprint: Annotated[
        str, Field(description="the authority's SHA-256, 64 hexadecimal digits, where the token is NODE.TOKEN")
    ] = ""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url != MDNS:
            Endpoint.of(url)
        return url

    @property
    def join_token(self) -> JoinToken:
        """The token.

        Raises
        ------
        ConfigError
            It is none; the message does not show it.
        """
        return JoinToken.read(self.token.get_secret_value(), fingerprint=self.fingerprint)


def read_join_file(path: Path) -> JoinFile:
    """Read it.

    Raises
    ------
    ConfigError
        It is not there, others may read it, or it is not as it must be; names file, line and field.
    """
    check_private(path)
    read = load(JoinFile, path, environ={})
    try:
        _ = read.join_token
    except ConfigError as error:
        raise ConfigError(f"{path}: token: {error}") from error
    return read
