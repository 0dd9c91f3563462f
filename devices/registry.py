"""Finds device modules by name: a drop-in file first, then a built-in, then another package's entry point.

Presence is registration: a file ``<kind>.py`` in the drop-in folder or in this package is a kind. Nothing is
imported before it is asked for.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType

from becomingone.devices._check import defects
from becomingone.devices.contract import Module
from becomingone.errors import DeviceBrokenError, DeviceError, MissingLibraryError

GROUP = "becomingone.devices"
"""The entry point group in which other packages name their device modules."""

_PACKAGE = "becomingone.devices"
_KIND = re.compile(r"[a-z][a-z0-9_]*")
_NOT_KINDS = frozenset({"conftest", "contract", "registry"})
_TEST = "test_"
"""What the names of tests begin with, which may lie beside the modules."""


def load(kind: str, *, drop_in: Path | None = None, patience_s: float | None = None) -> Module:
    """Load a device module and check that it keeps the contract.

    Parameters
    ----------
    kind : str
        Its name, ``[a-z][a-z0-9_]*``.
    drop_in : Path, optional
        A folder of the user's own modules, which win over built-in ones of the same name. It need not exist. A file
        there is read anew every time, so that one that has been mended works from then on.
    patience_s : float, optional
        Seconds that the import of a module that is not built in may take, in a thread of its own, which is left
        behind when it does not return. By default it is imported in this thread, however long it takes.

    Returns
    -------
    Module
        Ready to make devices from.

    Raises
    ------
    DeviceBrokenError
        Its file cannot be imported or breaks the contract; names file and line.
    DeviceError
        No such kind.
    MissingLibraryError
        The module says itself that a library of its own is not installed.
    """
    if not is_kind(kind):
        msg = (
            f"{kind!r} cannot be a kind of device: a kind is lower-case letters, digits and _, and starts with a "
            f"letter, not with {_TEST}"
        )
        raise DeviceError(msg)
    if drop_in is not None and _is_file(file := drop_in / f"{kind}.py"):
        return _checked(kind, _patiently(lambda: _import_file(kind, file), patience_s, str(file)), str(file))
    if kind in _built_in():
        module = _import_name(f"{_PACKAGE}.{kind}")
        return _checked(kind, module, module.__file__ or module.__name__)
    for entry in entry_points(group=GROUP, name=kind):
        where = f"entry point {kind} = {entry.value}"
        return _checked(kind, _patiently(partial(_import_entry, entry), patience_s, where), where)
    raise DeviceError(_unknown(kind, catalogue(drop_in)))


def catalogue(drop_in: Path | None = None) -> list[str]:
    """Name every kind that is present, in alphabetical order, without importing any.

    Parameters
    ----------
    drop_in : Path, optional
        As for `load`.
    """
    own = {file.stem for file in drop_in.glob("*.py")} if drop_in is not None else set[str]()
    others = {entry.name for entry in entry_points(group=GROUP)}
    return sorted(kind for kind in own | _built_in() | others if is_kind(kind))


def import_file(file: Path, patience_s: float) -> object:
    """Import a device file, whatever it holds, in a thread of its own.

    Raises
    ------
    DeviceBrokenError
        It fails, or has not returned after `patience_s`; names file and line.
    MissingLibraryError
        It says itself that a library is not installed.
    """
    return _patiently(lambda: _import_file(file.stem, file), patience_s, str(file))


def is_kind(name: str) -> bool:
    """Tell whether a kind of device may have this name."""
    return _KIND.fullmatch(name) is not None and name not in _NOT_KINDS and not name.startswith(_TEST)


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
        raise DeviceError(msg) from error


def _built_in() -> set[str]:
    return {found.name for found in pkgutil.iter_modules(sys.modules[_PACKAGE].__path__) if is_kind(found.name)}


def _unknown(kind: str, known: list[str]) -> str:
    near = difflib.get_close_matches(kind, known)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"there is no kind of device {kind!r}: {hint}known kinds are {', '.join(known)}"


class _Uncached(SourceFileLoader):
    """Compiles the file as it is now: a cached compilation may be a second stale, and litters the user's folder."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  # the interface of loaders
        return self.source_to_code(self.get_data(self.path), self.path)


def _patiently(work: Callable[[], object], patience_s: float | None, where: str) -> object:
    """Import in a thread of its own and give up waiting; Python has no way to end it."""
    if patience_s is None:
        return work()
    came: list[tuple[object, BaseException | None]] = []

    def run() -> None:
        try:
            came.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            came.append((None, error))

    thread = threading.Thread(target=run, name=f"import of {where}", daemon=True)
    thread.start()
    thread.join(patience_s)
    if not came:
        frames = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented all the same
        stack = traceback.walk_stack(frames.get(thread.ident or 0))
        lines = [line for frame, line in stack if frame.f_code.co_filename == where]
        place = f"{where}, line {lines[0]}" if lines else where
        msg = f"{place}: its import has not returned within {patience_s:g} s"
        raise DeviceBrokenError(msg)
    found, error = came[0]
    if error is not None:
        raise error
    return found


def _import_file(kind: str, file: Path) -> ModuleType:
    digest = hashlib.blake2b(str(file.resolve()).encode(), digest_size=6).hexdigest()
    name = f"_becomingone_drop_in_{digest}_{kind}"
    loader = _Uncached(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader)
    if spec is None:  # pragma: no cover  # only a loader without a file has no spec
        msg = f"{file} cannot be imported"
        raise DeviceError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic resolves the annotations of Options through it
    try:
        loader.exec_module(module)
    except MissingLibraryError:
        del sys.modules[name]
        raise
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise  # the user's own
        raise _broken(error, str(file)) from error
    return module


def _import_name(name: str) -> ModuleType:
    spec = importlib.util.find_spec(name)
    try:
        return importlib.import_module(name)
    except MissingLibraryError:
        raise
    except (Exception, SystemExit) as error:
        raise _broken(error, (spec and spec.origin) or name) from error


def _import_entry(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except MissingLibraryError:
        raise
    except (Exception, SystemExit) as error:
        raise _broken(error, None, f"entry point {entry.name} = {entry.value}") from error


def _broken(error: BaseException, file: str | None, label: str = "") -> DeviceBrokenError:
    """Say in one line where a module failed: in `file`, or where the error came from if no file is known."""
    place: str | None
    line: int | None
    if isinstance(error, SyntaxError) and error.filename is not None and file in {None, error.filename}:
        what, place, line = error.msg, error.filename, error.lineno
    else:
        frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        frames = [frame for frame in frames if file in {None, frame[0]}]
        place, line = frames[-1] if frames else (file, None)
        what = " ".join(str(error).split())
    where = f"{place}, line {line}" if line else f"{place}"
    prefix = f"{label}: " if label else ""
    return DeviceBrokenError(f"{prefix}{where}: {type(error).__name__}: {what}")


def _checked(kind: str, module: object, where: str) -> Module:
    wrong = defects(module)
    if wrong:
        msg = f"{where}: {'; '.join(defect.text for defect in wrong)}"
        raise DeviceBrokenError(msg)
    text = (getattr(module, "__doc__", None) or "").strip()
    return Module(
        kind=kind,
        options=getattr(module, "Options"),  # noqa: B009 - a module that was found by its name has no type
        device=getattr(module, "Device"),  # noqa: B009
        summary=text.splitlines()[0] if text else "",
    )
