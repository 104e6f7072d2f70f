"""Verifies every DKIM signature of the message on standard input with dkimpy and the keys that a name server publishes.

Arguments: the address of the name server and its port. Records are fetched with kdig. Prints "SELECTOR ALGORITHM pass|fail" a
line a signature.
"""
import re
import subprocess
import sys

import dkim
from dkim.util import parse_tag_value

address, port = sys.argv[1:]
message = sys.stdin.buffer.read()


def lookup(name, timeout=5):
    asked = ["kdig", "@" + address, "-p", port, "+short", "TXT", name.decode()]
    answer = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return "".join(re.findall(r'"([^"]*)"', answer)).encode() or None


signatures = [value for name, value in dkim.DKIM(message).headers if name.lower() == b"dkim-signature"]
for index, value in enumerate(signatures):
    tags = parse_tag_value(value)
    good = dkim.DKIM(message).verify(idx=index, dnsfunc=lookup)
    print(tags[b"s"].decode(), tags[b"a"].decode(), "pass" if good else "fail")
