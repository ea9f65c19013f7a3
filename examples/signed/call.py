#!/usr/bin/env python3
"""以签名方式调用网关 / one signed call. Python's own library is enough, where its OpenSSL has SM3.

    YIQIAO_KEY=密钥 python3 call.py https://gateway.example his-main POST /api/v1/settlements bill.json
    YIQIAO_KEY=密钥 python3 call.py https://gateway.example his-main GET '/api/v1/settlements/B...'

Certificates to trust, when not the system's: SSL_CERT_FILE=ca.pem.
"""
import hashlib
import hmac
import os
import secrets
import sys
import time
import urllib.error
import urllib.request


def signed_headers(key, system, method, target, body, request_id=""):
    """The headers of a signed call. target is path and query as they are sent; request_id is the
    header Idempotency-Key, when the call has one."""
    path, _, query = target.partition("?")
    digest = hashlib.new("sm3", body).hexdigest()
    stamp, nonce = str(int(time.time())), secrets.token_hex(16)
    text = "\n".join(["yiqiao-call-1", system, method, path, query, stamp, nonce, request_id, digest])
    return {
        "Yiqiao-System": system,
        "Yiqiao-Timestamp": stamp,
        "Yiqiao-Nonce": nonce,
        "Yiqiao-Digest": "sm3=" + digest,
        "Yiqiao-Signature": "hmac-sm3=" + hmac.new(key, text.encode(), "sm3").hexdigest(),
    }


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    base, system, method, target = sys.argv[1:5]
    body = b""
    if len(sys.argv) > 5:
        with open(sys.argv[5], "rb") as f:
            body = f.read()
    headers = signed_headers(os.environ["YIQIAO_KEY"].encode(), system, method, target, body)
    headers["Content-Type"] = "application/json"
    call = urllib.request.Request(base + target, data=body or None, method=method, headers=headers)
    try:
        with urllib.request.urlopen(call, timeout=300) as answer:
            print(answer.read().decode())
    except urllib.error.HTTPError as refused:
        print(refused.read().decode())
        sys.exit(1)


if __name__ == "__main__":
    main()
