"""What schemathesis cannot find in the documents: values of the formats that are this project's own."""

import json
import os
import urllib.request

import schemathesis
from hypothesis import strategies as st

LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(lambda label: "--" not in label)
HOST = st.one_of(
    LABEL.map("{}.example".format),
    LABEL.map("*.{}.example".format),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map("[{}]".format),
)
SCHEME = st.sampled_from(["", "http://", "https://", "capacitor://"])
PORT = st.one_of(st.just(""), st.just(":*"), st.integers(0, 65535).map(":{}".format))
# The shortest and the longest among them, which are looked for.
LONGEST = 128
LONG_HOST = ".".join(["a" * 63, "b" * (LONGEST - 64 - len(".example")), "example"])
PATTERN = st.one_of(st.sampled_from(["*", LONG_HOST]), st.builds("{}{}{}".format, SCHEME, HOST, PORT))
LONG_PATH = "/data-prep/".ljust(LONGEST, "x")
PATH = st.one_of(st.sampled_from(["/", LONG_PATH]), st.lists(LABEL, max_size=8).map(lambda labels: "/" + "/".join(labels)))

schemathesis.openapi.format("origin-pattern", PATTERN)
schemathesis.openapi.format("api-path", PATH)
schemathesis.openapi.format("own-context-id", st.just(os.environ["VOICEGAIN_SCHEMA_CONTEXT"]))


@schemathesis.deserializer("text/plain")
def text(_, response):
    """Without it, schemas of plain text are not looked at."""
    return response.text


@schemathesis.hook
def before_call(context, case, kwargs):
    """A web config that is asked for by itself is there: of made-up ids none would be. What comes by a link stays as it
    is, and is what was deleted before, too."""
    parameters, meta = case.path_parameters, case.meta
    if meta is None or meta.generation.mode.is_negative or meta.phase.name.value == "stateful":
        return
    if parameters and "id" in parameters:
        parameters["id"] = web_config()


def web_config():
    body = {"accountId": "schema-account", "contextId": "made-for-one-call", "name": "there"}
    request = urllib.request.Request(
        os.environ["VOICEGAIN_SCHEMA_ADMIN"] + "/api/web-configs",
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + os.environ["VOICEGAIN_SCHEMA_TOKEN"]},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["id"]
