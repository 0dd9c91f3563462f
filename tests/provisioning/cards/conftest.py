from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .images import CLOUD_INIT, FIRSTRUN, make_image, pack

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEy anna@desk"


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    found = {
        "cloud-init": make_image(folder / "trixie.img", CLOUD_INIT),
        "firstrun": make_image(folder / "bookworm.img", FIRSTRUN),
    }
    return found | {f"{name}.xz": pack(path) for name, path in list(found.items())}


@pytest.fixture
def ssh_key(tmp_path: Path) -> Path:
    path = tmp_path / "id_ed25519.pub"
    path.write_text(KEY + "\n")
    return path


@pytest.fixture
def wifi_file(tmp_path: Path) -> Path:
    path = tmp_path / "wifi.yaml"
    path.write_text("ssid: Example Net\npassword: correct horse\ncountry: GB\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def flash(tmp_path: Path, ssh_key: Path, images: dict[str, Path]) -> Any:
    """The command with what every use needs; gives its exit code."""
    from becomingone.cli import main  # noqa: PLC0415

    def call(*words: object, image: Path | None = None, node: str = "kitchen", ssh: bool = True) -> int:
        command = ["provision", "flash", "--image", str(image or images["cloud-init.xz"]), "--node", node]
        command += ["--cell-dir", str(tmp_path)] + (["--ssh-key", str(ssh_key)] if ssh else [])
        return main([*command, *map(str, words)])

    return call
