"""The OpenAPI documents of the admin API and of the mint call, held against a running gateway by schemathesis: what it
answers is what they say, what they allow is taken, and what they do not is refused.

    python tests/python/schema.py path/to/voicegain-gateway [path/to/another ...]
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from gateway import Gateway, expect

ROOT = pathlib.Path(__file__).parents[2]
ADMIN = ROOT / "voicegain-auth-console/openapi.json"
MINT = ROOT / "examples/gateway/openapi.json"

CONTEXT = "schema-context"
SEED = 1
# What is asked for in a row goes without the ends: it would take what was ended for lost, since it knows no end but DELETE.
NO_ENDS = """
[[operations]]
include-path-regex = "/end$"
phases.stateful.enabled = false
"""


def conform(what, gateway, document, url, scheme, token, examples, more=""):
    """Every check there is, in every phase, with the same dice each time. A warning fails, too: most of them say that
    something was not really tried."""
    config = f"""
seed = {SEED}
[warnings]
fail-on = true
[generation]
max-examples = {examples}
database = "none"
[auth.openapi.{scheme}]
bearer = "${{VOICEGAIN_SCHEMA_TOKEN}}"
{more}
"""
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "schemathesis.toml").write_text(config)
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml",
                "run", document, "--url", url, "--checks", "all", "--continue-on-failure", "--no-color",
            ],
            cwd=directory,
            env={
                **os.environ,
                "VOICEGAIN_SCHEMA_TOKEN": token,
                "VOICEGAIN_SCHEMA_CONTEXT": CONTEXT,
                "VOICEGAIN_SCHEMA_ADMIN": gateway.admin_url,
                "SCHEMATHESIS_HOOKS": "schema_hooks",
                "PYTHONPATH": str(pathlib.Path(__file__).parent),
            },
            check=False,
        )
    expect(what, done.returncode, 0)


def limits_of_minting(url, token):
    """At each limit and just past it. Schemathesis forgives a wrong parameter as long as another of the query is right."""

    def status(**parameters):
        query = urllib.parse.urlencode({"aud": "*", **parameters})
        request = urllib.request.Request(
            f"{url}/security/jwt?{query}", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    operation = json.loads(MINT.read_text())["paths"]["/security/jwt"]["get"]
    schemas = {parameter["name"]: parameter["schema"] for parameter in operation["parameters"]}
    longest = {
        "aud": lambda length: ".".join(["a" * 63, "b" * (length - 72), "example"]),
        "api": lambda length: "/".ljust(length, "x"),
    }
    lifetime = schemas["expInSec"]
    got = [status(expInSec=lifetime[limit]) for limit in ("minimum", "maximum")]
    got += [status(**{name: value(schemas[name]["maxLength"])}) for name, value in longest.items()]
    expect("the mint call takes what is at a limit", got, [200] * 4)
    got = [status(expInSec=seconds) for seconds in (lifetime["minimum"] - 1, lifetime["maximum"] + 1)]
    got += [status(**{name: value(schemas[name]["maxLength"] + 1)}) for name, value in longest.items()]
    expect("and nothing past it", got, [400] * 4)


def main(binaries):
    versions = {json.loads(document.read_text())["info"]["version"] for document in (ADMIN, MINT)}
    expect("both documents are of one version", len(versions), 1)
    for binary in binaries:
        gateway = Gateway(binary)
        created = gateway.admin(
            "POST", "/api/web-configs", {"accountId": "schema-account", "contextId": CONTEXT, "name": "schema"}
        )
        conform("the mint call", gateway, MINT, gateway.url + "/v1", "longLivedToken", created["jwt"], 50)
        limits_of_minting(gateway.url + "/v1", created["jwt"])
        # The admin API of all of them is the same program.
        if binary == binaries[0]:
            conform("the admin API", gateway, ADMIN, gateway.admin_url, "adminToken", gateway.admin_token, 50, NO_ENDS)
        gateway.stop()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
