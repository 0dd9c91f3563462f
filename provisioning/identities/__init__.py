"""Who is who: the cell's certificate authority, everybody's key and certificate, and the keys of sealed messages."""

from importlib import import_module

from becomingone.errors import MissingLibraryError

try:
    import_module("cryptography")  # said here once, and not in each module
except ImportError as error:
    _msg = "certificates need the package cryptography: pip install cryptography, or apt install python3-cryptography"
    raise MissingLibraryError(_msg) from error
