"""What is believed of an image: its size, its checksum, its partition table."""

from __future__ import annotations

import hashlib
import lzma
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import BecomingOneError, ConfigError, ProvisioningError
from becomingone.provisioning.cards.checksum import published
from becomingone.provisioning.cards.partitions import boot_partition, partitions
from becomingone.provisioning.cards.source import CHUNK, Stream, look_at, verify
from becomingone.provisioning.cards.xz import unpacked_size

from .images import BOOT_SIZE, BOOT_START, FIRSTRUN, MIB, ROOT_SIZE, ROOT_START, make_image

CONTENT = random.Random(1).randbytes(300_000) + bytes(3 * MIB) + b"end".ljust(512, b".")
CONTENT = CONTENT.ljust(-(-len(CONTENT) // 512) * 512, b"\0")


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "packed",
    [
        lzma.compress(CONTENT, preset=0),
        lzma.compress(CONTENT, preset=0, check=lzma.CHECK_SHA256),
        lzma.compress(CONTENT[:1000], preset=0) + bytes(8) + lzma.compress(CONTENT[1000:], preset=1) + bytes(4),
        lzma.compress(b"", preset=0) + lzma.compress(CONTENT, preset=0),
    ],
    ids=["one stream", "SHA-256", "two streams with padding", "an empty stream first"],
)
def test_the_size_is_that_of_what_comes_out(tmp_path: Path, packed: bytes) -> None:
    source = look_at(_write(tmp_path / "a.img.xz", packed))
    assert (source.packed, source.size) == (True, len(CONTENT))
    stream = Stream(source)
    chunks = list(stream.chunks())
    assert b"".join(chunks) == CONTENT
    assert {len(chunk) for chunk in chunks[:-1]} == {CHUNK}
    assert stream.sha256 == hashlib.sha256(packed).hexdigest()
    assert stream.read == len(packed)


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, 1000))
def test_a_cut_xz_is_refused_before_anything_is_unpacked(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    packed = lzma.compress(CONTENT[:20_000], preset=0)
    path = _write(tmp_path_factory.mktemp("cut") / "a.img.xz", packed[: 6 + (len(packed) - 7) * cut // 1000])
    with pytest.raises(ProvisioningError, match=r"a\.img\.xz: not a whole \.xz file"):
        look_at(path)


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 10_000), value=st.integers(1, 255))
def test_a_changed_byte_never_passes_for_the_whole(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    packed = bytearray(lzma.compress(CONTENT[: 20 * 512], preset=0))
    packed[at % len(packed)] ^= value
    path = _write(tmp_path_factory.mktemp("changed") / "a.img.xz", bytes(packed))
    with pytest.raises(BecomingOneError, match=r"a\.img\.xz: "):
        verify(look_at(path), None)


def test_an_index_that_lies_does_not_get_more_out(tmp_path: Path) -> None:
    packed = lzma.compress(CONTENT[:512], preset=0)
    source = look_at(_write(tmp_path / "a.img.xz", packed))
    _write(tmp_path / "a.img.xz", lzma.compress(CONTENT, preset=0))
    with pytest.raises(ProvisioningError, match="unpacks to other than the 512 bytes"):
        list(Stream(source).chunks())


def test_the_size_of_nothing(tmp_path: Path) -> None:
    with _write(tmp_path / "a", b"").open("rb") as file:
        assert unpacked_size(tmp_path / "a", file) == 0
    with pytest.raises(ConfigError, match="0 bytes are not an image of a disk"):
        look_at(tmp_path / "a")


def test_other_archives_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.zip: a \.zip file: unpack it first"):
        look_at(_write(tmp_path / "a.zip", b"PK\x03\x04".ljust(512)))
    with pytest.raises(ConfigError, match="No such file"):
        look_at(tmp_path / "none")


def test_checksums(tmp_path: Path) -> None:
    image = _write(tmp_path / "a.img.xz", b"x")
    digest, other = "ab" * 32, "cd" * 32
    assert published(digest.upper(), image) == digest
    with pytest.raises(ConfigError, match=r"there is no a\.img\.xz\.sha256 beside it: fetch it .*--sha256 HEX"):
        published(None, image)
    _write(tmp_path / "a.img.xz.sha256", f"{digest}  a.img.xz\n".encode())
    assert published(None, image) == digest
    sums = _write(tmp_path / "SHA256SUMS", f"{other}  b.img.xz\n{digest} *./a.img.xz\n".encode())
    assert published(str(sums), image) == digest
    with pytest.raises(ConfigError, match=r"says nothing about c\.img"):
        published(str(sums), tmp_path / "c.img")
    with pytest.raises(ConfigError, match="must be 64 hexadecimal digits, or a file"):
        published("ab" * 31, image)
    with pytest.raises(ConfigError, match="there is no such file"):
        published("./none", image)
    _write(sums, b"<html>\n")
    with pytest.raises(ConfigError, match="SHA256SUMS:1: must be 64 hexadecimal digits"):
        published(str(sums), image)


def test_verify(tmp_path: Path) -> None:
    packed = lzma.compress(CONTENT, preset=0)
    source = look_at(_write(tmp_path / "a.img.xz", packed))
    right, inner = hashlib.sha256(packed).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    seen: list[int] = []
    assert verify(source, right, progress=lambda _what, done, _of: seen.append(done)) == right
    assert seen[-1] == len(packed)
    assert verify(source, right, unpacked_sha256=inner) == right
    with pytest.raises(ProvisioningError, match=f"its SHA-256 is {right}, and not {inner}"):
        verify(source, inner)
    with pytest.raises(ProvisioningError, match=f"unpacked, its SHA-256 is {inner}, and not {right}"):
        verify(source, right, unpacked_sha256=right)
    plain = look_at(_write(tmp_path / "a.img", CONTENT))
    assert verify(plain, None, unpacked_sha256=inner) == inner
    with pytest.raises(ProvisioningError, match="and not"):
        verify(plain, None, unpacked_sha256=right)


@pytest.mark.parametrize("gpt", [False, True])
def test_the_boot_partition_is_found(tmp_path: Path, gpt: bool) -> None:
    image = make_image(tmp_path / "a.img", FIRSTRUN, gpt=gpt)
    head = image.read_bytes()[:MIB]
    found = partitions(head, image, image.stat().st_size)
    assert [(one.number, one.start, one.size, one.fat) for one in found] == [
        (1, BOOT_START, BOOT_SIZE, True),
        (2, ROOT_START, ROOT_SIZE, False),
    ]
    assert boot_partition(found, image).number == 1
    with pytest.raises(ProvisioningError, match=r"goes beyond the image of 41943040 bytes: it is cut off"):
        partitions(head, image, 40 * MIB)
    if gpt:
        broken = head[: 512 + 80] + b"\xff" + head[512 + 81 :]
        with pytest.raises(ProvisioningError, match=r"partition table \(GPT\) is damaged"):
            partitions(broken, image, image.stat().st_size)


def _table(*entries: tuple[int, int, int]) -> bytes:
    packed = [struct.pack("<4xB3xII", kind, start, size) for kind, start, size in entries]
    return b"".join(packed).ljust(64, b"\0").rjust(510, b"\0") + b"\x55\xaa"


def test_tables_that_are_refused() -> None:
    path, size = Path("a.img"), 1 << 30
    for table, why in [
        (bytes(512), "has no partition table"),
        (b"\x55\xaa", "has no partition table"),
        (_table(), "its partition table is empty"),
        (_table((0x0C, 2048, 4096), (0x83, 4096, 4096)), "partitions 1 and 2 overlap"),
        (_table((0x0C, 0, 4096)), "goes beyond"),
    ]:
        with pytest.raises(ProvisioningError, match=why):
            partitions(table, path, size)
    with pytest.raises(ProvisioningError, match="has no FAT partition"):
        boot_partition(partitions(_table((0x83, 2048, 4096)), path, size), path)


@settings(max_examples=100, deadline=None)
@given(table=st.binary(min_size=66, max_size=66), rest=st.binary(max_size=2048), protective=st.booleans())
def test_no_table_is_read_beyond_the_image(table: bytes, rest: bytes, protective: bool) -> None:
    head = bytearray(bytes(446) + table[:64] + b"\x55\xaa" + rest)
    if protective:
        head[450] = 0xEE
        head[512:520] = b"EFI PART"
    try:
        found = partitions(bytes(head), Path("a.img"), 1 << 24)
    except ProvisioningError:
        return
    assert all(0 < one.start < one.end <= 1 << 24 for one in found)
