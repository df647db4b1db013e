"""Content at rest: AES-256-GCM under a named key, bound to the row it was written for.

Stored form: one version byte (1), a 12-byte random nonce, the ciphertext with its 16-byte tag
(NIST SP 800-38D §5.2.1.1) of the content as LZ4 block with its size in front. Mail shrinks to a third, which costs
2 µs and saves more in the database; nobody but the sender chooses what is compressed together, so its length
tells nothing new. The associated data are the key id and the mail's id, so a stored content that
is copied to another row, or relabelled with another key, cannot be read.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from typing import TYPE_CHECKING

import lz4.block
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from atum_schema.errors import ContentUnreadable, SettingsError

if TYPE_CHECKING:
    from uuid import UUID

_VERSION = b"\x01"
_NONCE = 12
HEAD = 1 + _NONCE
"""Bytes in front of what is stored that tell one encryption from another."""
_KEY = 32
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class Keyring:
    """The content keys by id; the first one encrypts, all of them decrypt.

    `text` is `id:base64[,id:base64…]`, each key 32 bytes. Raises `SettingsError` when there is no key, or
    one is malformed; the message never contains key material.
    """

    __slots__ = ("_active_bound", "_active_cipher", "_ciphers", "active")

    def __init__(self, text: str) -> None:
        pairs = [
            _parse(place, item) for place, item in enumerate(filter(None, map(str.strip, text.split(","))))
        ]
        if not pairs:
            raise SettingsError(
                "ATUM_CONTENT_KEYS: no key; content is never stored in clear. "
                "Make one with: atum-mailer keys new"
            )
        self._ciphers = {key_id: AESGCM(key) for key_id, key in pairs}
        if len(self._ciphers) != len(pairs):
            raise SettingsError("ATUM_CONTENT_KEYS: a key id appears twice")
        self.active: str = pairs[0][0]
        self._active_cipher = self._ciphers[self.active]
        self._active_bound = self.active.encode()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the active one first."""
        return tuple(self._ciphers)

    def __repr__(self) -> str:
        return f"Keyring(active={self.active!r}, keys={len(self._ciphers)})"

    def encrypt(self, mail_id: UUID, content: bytes) -> bytes:
        """Encrypt the content of a mail under the active key."""
        nonce = os.urandom(_NONCE)
        bound = self._active_bound + mail_id.bytes
        return _VERSION + nonce + self._active_cipher.encrypt(nonce, lz4.block.compress(content), bound)

    def decrypt(self, mail_id: UUID, key_id: str, stored: bytes) -> bytes:
        """Give the content back. Raises `ContentUnreadable` naming the mail and the key id, nothing else."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise ContentUnreadable(f"content of mail {mail_id}: key {key_id!r} is not in ATUM_CONTENT_KEYS")
        if stored[:1] != _VERSION:
            raise ContentUnreadable(f"content of mail {mail_id}: unknown version byte {stored[:1].hex()!r}")
        try:
            packed = cipher.decrypt(stored[1:HEAD], stored[HEAD:], key_id.encode() + mail_id.bytes)
        except (InvalidTag, ValueError):
            raise ContentUnreadable(
                f"content of mail {mail_id}: altered, moved from another row, or key {key_id!r} changed"
            ) from None
        content: bytes = lz4.block.decompress(packed)
        return content


def new_key(key_id: str) -> str:
    """Make a fresh random key in the form that `ATUM_CONTENT_KEYS` takes. Raises `SettingsError` for a bad id."""
    if not _KEY_ID.fullmatch(key_id):
        raise SettingsError(f"key id {key_id!r}: must be 1 to 32 letters, digits, '_', '.' or '-'")
    return f"{key_id}:{base64.b64encode(os.urandom(_KEY)).decode()}"


def _parse(place: int, item: str) -> tuple[str, bytes]:
    key_id, colon, encoded = item.partition(":")
    where = f"ATUM_CONTENT_KEYS: key {place}"
    if not colon:
        raise SettingsError(f"{where}: has no id; the form is id:base64")
    if not _KEY_ID.fullmatch(key_id):
        raise SettingsError(f"{where}: the id before ':' must be 1 to 32 letters, digits, '_', '.' or '-'")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError(f"{where} ({key_id}): not base64") from None
    if len(key) != _KEY:
        raise SettingsError(f"{where} ({key_id}): {len(key)} bytes long, must be {_KEY}")
    return key_id, key
