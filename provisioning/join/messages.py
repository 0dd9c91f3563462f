"""What node and enrolment server say to each other: JSON over HTTPS, checked field by field on both sides.

===================  ==============================================================================================
``GET /authority``   200, the cell's certificate in PEM: public, and asked for before anything is trusted
``POST /enrol``      ``{"node", "token", "csr"}``, at most `MOST_REQUEST` bytes
200                  `Admission`
202                  `Waiting`: an operator is to decide; ask the same again
400, 408, 413        ``{"refused": "malformed"}``: no request of this protocol, too slow, too long
403                  `Refused`
429, 503             `Refused` with ``busy`` or ``unavailable``, and ``Retry-After``
===================  ==============================================================================================

Only who presents a node's right token learns anything of it: that it has expired, was used with another key, or was
denied. Everybody else hears ``unknown``, whether or not there is such a node or such a token.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_serializer

from becomingone.errors import ProvisioningError

PORT: Final = 8899
"""The enrolment server's TCP port, unless another is given."""

SERVER_NAME: Final = "becomingone-join"
"""The name in every enrolment server's certificate, and the one that nodes ask for: what a node must know is that
this is the enrolment server of its cell, and not under which address it has found it. The broker's certificate, and
those of members, do not have it."""

AUTHORITY_PATH: Final = "/authority"
ENROL_PATH: Final = "/enrol"

MOST_REQUEST: Final = 8 << 10
"""Bytes of a request's body; a CSR for P-256 is half a kilobyte."""

MOST_ANSWER: Final = 1 << 20
"""Bytes of an answer: a node's configuration, and little besides."""

MOST_AUTHORITY: Final = 16 << 10
"""Bytes of the authority's certificate in PEM."""

Refusal = Literal["unknown", "expired", "used", "denied", "malformed", "busy", "unavailable"]

_PEM: Final = r"^-----BEGIN CERTIFICATE( REQUEST)?-----\n"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(_Message):
    """What a node sends.

    Parameters
    ----------
    node : str
        Who it wants to become.
    token : str
        The second part of its join token.
    csr : str
        Its certificate request (PKCS #10, RFC 2986) in PEM, signed with its key.
    """

    node: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    token: Annotated[SecretStr, Field(max_length=100)]
    csr: Annotated[str, Field(max_length=4096, pattern=_PEM)]

    @field_serializer("token", when_used="json")
    def _show(self, token: SecretStr) -> str:
        return token.get_secret_value()


class Admission(_Message):
    """What an admitted node is given.

    Parameters
    ----------
    certificate, authority : str
        Its own and the cell's certificate, PEM.
    node_key : str
        The key that it shares with the hub, 64 hexadecimal digits.
    hub_public_key : str
        Checks what the hub signs, 64 hexadecimal digits; `config` has it, too.
    config : str
        The node's configuration, YAML.
    """

    certificate: Annotated[str, Field(max_length=16_384, pattern=_PEM)]
    authority: Annotated[str, Field(max_length=16_384, pattern=_PEM)]
    node_key: SecretStr
    hub_public_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    config: str

    @field_serializer("node_key", when_used="json")
    def _show(self, key: SecretStr) -> str:
        return key.get_secret_value()


class Waiting(_Message):
    """An operator is to approve the key; ask again after `retry_s` seconds."""

    retry_s: Annotated[float, Field(gt=0, le=3600)]


class Refused(_Message):
    """It is not to be."""

    refused: Refusal


def read_request(body: bytes) -> Request | None:
    """Read what somebody has sent; None where it is no request."""
    try:
        return Request.model_validate_json(body)
    except ValidationError:
        return None


def read_answer(status: int, body: bytes) -> Admission | Waiting | Refused:
    """Read what a server has answered.

    Raises
    ------
    ProvisioningError
        It is not of this protocol.
    """
    kinds: dict[int, type[Admission | Waiting]] = {200: Admission, 202: Waiting}
    try:
        return kinds.get(status, Refused).model_validate_json(body)
    except ValidationError:
        shown = re.sub(r"[^ -~]", "", body[:60].decode("ascii", "replace"))
        known = "an answer of another version, or of another program"
        hint = "" if status == 200 else f": {shown!r}"  # an answer to an admission may hold secrets
        msg = f"the server's answer ({status}) is not one of an enrolment server's ({known}){hint}"
        raise ProvisioningError(msg) from None
