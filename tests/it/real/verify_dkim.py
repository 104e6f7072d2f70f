"""Verifies every DKIM signature of the message on standard input with dkimpy.

Arguments: the private key file of each selector, as SELECTOR=FILE. The public half, as it would stand in the DNS, is made
with openssl, so that nothing of karamail judges karamail. Prints "SELECTOR ALGORITHM pass|fail" a line a signature.
"""
import base64
import subprocess
import sys

import dkim
from dkim.util import parse_tag_value


def public_half(path):
    der = subprocess.run(
        ["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True, capture_output=True
    ).stdout
    if len(der) == 44:  # SubjectPublicKeyInfo of Ed25519: 12 bytes of header, 32 of key (RFC 8410, RFC 8463)
        return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(der[12:])
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)


records = dict(argument.split("=", 1) for argument in sys.argv[1:])
message = sys.stdin.buffer.read()


def lookup(name, timeout=5):
    selector = name.decode().split("._domainkey.")[0]
    return public_half(records[selector])


verifier = dkim.DKIM(message)
signatures = [value for name, value in verifier.headers if name.lower() == b"dkim-signature"]
for index, value in enumerate(signatures):
    tags = parse_tag_value(value)
    good = dkim.DKIM(message).verify(idx=index, dnsfunc=lookup)
    print(tags[b"s"].decode(), tags[b"a"].decode(), tags[b"d"].decode(), "pass" if good else "fail")
