"""Content addresses: the same content gives the same fingerprint on every machine, whatever its order or path."""

import hashlib
import json

DIGEST_BYTES = 16  # 128 bits: collisions stay out of reach for any number of recipes a company writes


def fingerprint(content: object) -> str:
    """Hex digest (32 characters) of the canonical JSON of `content`; NaN and infinities are refused (ValueError)."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return fingerprint_bytes(canonical.encode())


def fingerprint_bytes(content: bytes) -> str:
    """Hex digest (32 characters) of raw bytes."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()
