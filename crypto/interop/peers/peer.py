"""The gmssl peer: one request a line, fields in hex, one answer a line. "error" is a refusal.

Usage: python3 peer.py FOLDER. Not asked of it: a user id other than the default one, which it has no
place for; refusing a ciphertext whose C3 does not fit, which it does not look at.
"""
import os
import sys

sys.path.insert(0, os.path.join(sys.argv[1], "python"))
from gmssl import func, sm2, sm3, sm4  # noqa: E402

DEFAULT_UID = b"1234567812345678".hex()


def party(d, pub):
    c = sm2.CryptSM2(private_key=d, public_key=pub, mode=1)
    c.public_key = pub[2:]  # the constructor strips every leading 0 and 4, not just the prefix
    return c


def sign(d, pub, uid, msg):
    if uid != DEFAULT_UID:
        return "unable"
    return party(d, pub).sign_with_sm3(bytes.fromhex(msg), func.random_hex(64))


def verify(pub, uid, msg, sig):
    if uid != DEFAULT_UID:
        return "unable"
    return str(bool(party(None, pub).verify_with_sm3(sig, bytes.fromhex(msg)))).lower()


def encrypt(pub, msg):
    return "04" + party(None, pub).encrypt(bytes.fromhex(msg)).hex()


def decrypt(d, c):
    return party(d, "").decrypt(bytes.fromhex(c[2:])).hex()


def cipher(mode, way, key, iv, msg):
    c = sm4.CryptSM4()
    c.set_key(bytes.fromhex(key), sm4.SM4_ENCRYPT if way == "enc" else sm4.SM4_DECRYPT)
    data = bytes.fromhex(msg)
    return (c.crypt_ecb(data) if mode == "ecb" else c.crypt_cbc(bytes.fromhex(iv), data)).hex()


OPS = {
    "sm3": lambda msg: sm3.sm3_hash(list(bytes.fromhex(msg))),
    "sign": sign,
    "verify": verify,
    "encrypt": encrypt,
    "decrypt": decrypt,
    "sm4": cipher,
}

for line in sys.stdin:
    op, *args = ["" if a == "-" else a for a in line.split()]
    try:
        answer = OPS[op](*args)
    except Exception:
        answer = "error"
    print(answer or "-", flush=True)
