"""Connection ids that carry a server id (draft-ietf-quic-load-balancers-21 section 5), written from the draft alone."""

import os

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

# Bytes of a block of AES.
BLOCK = 16


def connection_id(config: int, server_id: bytes, nonce_length: int, key: bytes | None) -> bytes:
    """A new one. Its first byte has the config and the length of the rest. Without a key it is in the clear."""
    plain = server_id + os.urandom(nonce_length)
    return bytes([config << 5 | len(plain)]) + (plain if key is None else encrypted(key, plain))


def encrypted(key: bytes, plain: bytes) -> bytes:
    return aes(key, plain) if len(plain) == BLOCK else four_passes(key, plain)


def four_passes(key: bytes, plain: bytes) -> bytes:
    """Section 5.4.2. Each half has as many bits as half of the bytes have, and may end in the middle of a byte."""
    length = len(plain)
    bits = 4 * length
    whole = int.from_bytes(plain, "big")
    left, right = whole >> bits, whole & (1 << bits) - 1
    right ^= mask(key, expanded(left, length, 1, is_left=True), bits, of_left=False)
    left ^= mask(key, expanded(right, length, 2, is_left=False), bits, of_left=True)
    right ^= mask(key, expanded(left, length, 3, is_left=True), bits, of_left=False)
    left ^= mask(key, expanded(right, length, 4, is_left=False), bits, of_left=True)
    return (left << bits | right).to_bytes(length, "big")


def expanded(half: int, length: int, number: int, is_left: bool) -> bytes:
    """A block: the half's bytes (of an odd number of half bytes the missing one is 0), zeros, and in the end length and number of the pass."""
    if length % 2 and is_left:
        half <<= 4
    return half.to_bytes((length + 1) // 2, "big").ljust(BLOCK - 2, b"\0") + bytes([length, number])


def mask(key: bytes, block: bytes, bits: int, of_left: bool) -> int:
    """What is added to the other half: the first bytes of the encrypted block, without the half byte that is not the half's own."""
    first = int.from_bytes(aes(key, block)[: (bits + 7) // 8], "big")
    return first >> bits % 8 if of_left else first & (1 << bits) - 1


def aes(key: bytes, block: bytes) -> bytes:
    # Each block is encrypted by itself: the draft's "AES-ECB".
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)
