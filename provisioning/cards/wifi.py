"""The wireless network that a card is to join: told by the operator's own file, never by the inventory."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from becomingone.config.sections import Section

Security = Literal["wpa2", "wpa2-wpa3", "wpa3", "open"]

_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")


class Wifi(Section):
    """One network, of the band that the board has."""

    ssid: Annotated[str, Field(min_length=1, description="its name, at most 32 bytes")]
    password: Annotated[
        SecretStr | None, Field(description="8 to 63 characters, or the 64 hex digits of a WPA2 key; none: open")
    ] = None
    country: Annotated[
        str, Field(pattern="^[A-Z]{2}$", description="where the card is used, ISO 3166-1: GB; the radio is off without")
    ]
    hidden: Annotated[bool, Field(description="it does not say its name by itself")] = False
    security: Annotated[Security, Field(description="what its access points offer")] = "wpa2"

    @field_validator("ssid")
    @classmethod
    def _fits(cls, ssid: str) -> str:
        if len(ssid.encode()) > 32:
            raise ValueError("must be at most 32 bytes")
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in ssid):
            raise ValueError("must have no control characters")
        return ssid

    @model_validator(mode="after")
    def _password_fits(self) -> Self:
        if self.security == "open":
            if self.password is not None:
                raise ValueError("an open network has no password: say which security it has, or leave the password")
            return self
        if self.password is None:
            raise ValueError("needs a password, or security: open")
        password = self.password.get_secret_value()
        if _HEX_KEY.fullmatch(password):
            if self.security != "wpa2":
                raise ValueError("64 hexadecimal digits are a WPA2 key; WPA3 needs the password itself")
        elif not 8 <= len(password) <= 63 or any(not 32 <= ord(letter) < 127 for letter in password):
            raise ValueError(
                "password must be 8 to 63 characters of ASCII (IEEE 802.11, J.4), or 64 hexadecimal digits"
            )
        return self

    @property
    def key(self) -> str | None:
        """What goes onto the card.

        For WPA2 the key that is derived from password and name (IEEE 802.11, J.4.1: PBKDF2, SHA-1, 4096 rounds, 256
        bits), in 64 hex digits: it opens this network and nothing else, where the password might open more. For WPA3
        the password itself, because SAE starts from it.
        """
        if self.password is None:
            return None
        password = self.password.get_secret_value()
        if self.security != "wpa2" or _HEX_KEY.fullmatch(password):
            return password
        return hashlib.pbkdf2_hmac("sha1", password.encode(), self.ssid.encode(), 4096, 32).hex()


def connection_file(wifi: Wifi, uuid: str) -> str:
    """Write NetworkManager's file of it (nm-settings-keyfile(5)).

    Parameters
    ----------
    wifi : Wifi
        The network.
    uuid : str
        The connection's.
    """
    ssid = ";".join(str(byte) for byte in wifi.ssid.encode()) + ";"  # as bytes: no letter then needs an escape
    lines = ["[connection]", "id=becomingone-wifi", f"uuid={uuid}", "type=wifi", ""]
    lines += ["[wifi]", "mode=infrastructure", f"ssid={ssid}", f"hidden={str(wifi.hidden).lower()}", ""]
    if wifi.key is not None:
        management = "sae" if wifi.security == "wpa3" else "wpa-psk"
        lines += ["[wifi-security]", f"key-mgmt={management}", f"psk={_escaped(wifi.key)}"]
        # Management frame protection: 3 requires it, as WPA3 does, 2 uses it where the access point can.
        lines += [f"pmf={3 if wifi.security == 'wpa3' else 2}", ""] if wifi.security != "wpa2" else [""]
    lines += ["[ipv4]", "method=auto", "", "[ipv6]", "addr-gen-mode=default", "method=auto"]
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    """Write a value as GKeyFile reads it: spaces at its start and backslashes are escaped."""
    text = value.replace("\\", "\\\\")
    blanks = len(text) - len(text.lstrip(" "))
    return "\\s" * blanks + text[blanks:]
