"""The published Python SDK, unchanged, against a gateway: it mints, calls, and is refused after Regenerate, in its own
words.

    python tests/python/sdk_conversation.py path/to/voicegain-gateway
"""

import json
import sys

import voicegain_speech
from voicegain_speech.rest import ApiException

from gateway import Gateway, expect

# Some object to ask for; the SDK wants its id to be 16 to 48 characters long.
OBJECT = "5f0c7a52-9d1e-4b6a"


def client(gateway, jwt):
    configuration = voicegain_speech.Configuration(host=gateway.url + "/v1")
    configuration.access_token = jwt
    return voicegain_speech.ApiClient(configuration)


def refusal(call):
    """What a call was refused with: status and reason."""
    try:
        answer = call()
    except ApiException as error:
        return error.status, json.loads(error.body)["error"]["reason"]
    sys.exit(f"this call should have been refused, and was answered {answer!r}")


def main(binary):
    gateway = Gateway(binary)
    context = "5f2b1c3d-context-01"
    created = gateway.admin(
        "POST", "/api/web-configs", {"accountId": "sdk-account", "contextId": context, "name": "sdk conversation"}
    )
    old = created["jwt"]

    security = voicegain_speech.SecurityApi(client(gateway, old))
    short = security.security_jwt_get(aud="https://app.example.com", exp_in_sec=120, context_id=context)
    expect("the SDK mints a short-lived token", short.count("."), 2)

    data = voicegain_speech.DataApi(client(gateway, old))
    echo = json.loads(data.data_get(OBJECT, _preload_content=False).data)
    expect("the SDK calls with its long-lived token", echo["path"], f"/v1/data/{OBJECT}")
    expect("the upstream learns whose call it is", echo["headers"]["x-voicegain-context-id"], [context])
    expect("the token itself is not passed on", "authorization" in echo["headers"], False)

    page = client(gateway, short)
    page.set_default_header("Origin", "https://app.example.com")
    echo = json.loads(voicegain_speech.DataApi(page).data_get(OBJECT, _preload_content=False).data)
    expect("the short-lived token works for its origin", echo["headers"]["x-voicegain-token-kind"], ["short-lived"])
    page.set_default_header("Origin", "https://evil.example.com")
    expect(
        "and for no other",
        refusal(lambda: voicegain_speech.DataApi(page).data_get(OBJECT)),
        (403, "origin_not_allowed"),
    )
    expect(
        "another context is named as wrong",
        refusal(lambda: security.security_jwt_get(aud="*", context_id="another-context-00")),
        (400, "invalid_parameter"),
    )

    new = gateway.admin("POST", f"/api/web-configs/{created['id']}/regenerate")["jwt"]
    invalid = (401, "invalid_token")
    expect("after Regenerate the old token is refused", refusal(lambda: data.data_get(OBJECT)), invalid)
    expect("it mints no more", refusal(lambda: security.security_jwt_get(aud="*")), invalid)
    page.set_default_header("Origin", "https://app.example.com")
    expect(
        "what it minted is refused too",
        refusal(lambda: voicegain_speech.DataApi(page).data_get(OBJECT)),
        invalid,
    )
    renewed = voicegain_speech.DataApi(client(gateway, new))
    expect("and the new one works at once", renewed.data_get(OBJECT, _preload_content=False).status, 200)

    printed = gateway.stop()
    for secret in (old, short, new, gateway.admin_token):
        for part in secret.split(".")[-2:]:
            if part in printed:
                sys.exit("the gateway printed a token")
    print("ok: nothing it printed holds a token")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
