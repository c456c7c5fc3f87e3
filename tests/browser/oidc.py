"""Signing in to the console by OpenID Connect in a real browser, by way of a small provider, and out again.

    python oidc.py GATEWAY

The gateway has to be built with its feature `oidc`. Needs Chromium, and the packages playwright and cryptography.
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "python"))
from gateway import Gateway, expect  # noqa: E402

CLIENT = "console"
PEOPLE = {"Ann": ("248", "ann@example.com"), "Bob": ("249", "bob@example.com")}


def encoded(content):
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Provider:
    """A provider that signs in whoever says who they are. It is at localhost, which is another site than 127.0.0.1."""

    def __init__(self):
        self.secret = secrets.token_urlsafe(32)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.codes = {}
        self.used = []
        # What it has handed out and nobody else may show or keep.
        self.handed_out = [self.secret]
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                provider.get(self)

            def do_POST(self):
                provider.token(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def answer(request, content, kind="application/json", status=200, location=None):
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        if location:
            request.send_header("Location", location)
        request.end_headers()
        request.wfile.write(body)

    def get(self, request):
        url = urlsplit(request.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/.well-known/openid-configuration":
            metadata = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
            self.answer(request, metadata)
        elif url.path == "/keys":
            numbers = self.key.public_key().public_numbers()
            n, e = encoded(numbers.n.to_bytes(256)), encoded(numbers.e.to_bytes(3))
            self.answer(request, {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": n, "e": e}]})
        elif url.path == "/authorize":
            links = [
                f'<a href="/signed-in?{urlencode({**asked, "who": who})}">I am {who}</a>' for who in [*PEOPLE, "nobody"]
            ]
            self.answer(request, f"<title>Provider</title>{' '.join(links)}", "text/html")
        elif url.path == "/signed-in":
            if asked["who"] == "nobody":
                back = {"error": "access_denied", "error_description": "<b>Not today</b>", "state": asked["state"]}
            else:
                code = secrets.token_urlsafe(32)
                self.codes[code] = asked
                self.handed_out.append(code)
                back = {"code": code, "state": asked["state"]}
            self.answer(request, "", status=302, location=f"{asked['redirect_uri']}?{urlencode(back)}")
        else:
            self.answer(request, "nothing here", status=404)

    def token(self, request):
        form = {
            name: values[0]
            for name, values in parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode()).items()
        }
        asked = self.codes.pop(form["code"])
        self.used.append(form["code"])
        basic = base64.b64encode(f"{CLIENT}:{self.secret}".encode()).decode()
        challenge = encoded(hashlib.sha256(form["code_verifier"].encode()).digest())
        expect("the client is the console", request.headers["Authorization"], f"Basic {basic}")
        expect("it has begun this", challenge, asked["code_challenge"])
        subject, email = PEOPLE[asked["who"]]
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": subject,
            "email": email,
            "email_verified": True,
            "nonce": asked["nonce"],
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
        }
        signed = f"{encoded({'alg': 'RS256', 'kid': 'one'})}.{encoded(claims)}"
        token = f"{signed}.{encoded(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
        access_token = secrets.token_urlsafe(32)
        self.handed_out += [token, access_token, form["code_verifier"]]
        self.answer(request, {"access_token": access_token, "token_type": "Bearer", "id_token": token})


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Visitor:
    """A browser of its own."""

    def __init__(self, playwright, gateway):
        self.console = f"{gateway.admin_url}/console"
        self.profile = tempfile.mkdtemp()
        self.context = playwright.chromium.launch_persistent_context(
            self.profile,
            executable_path=shutil.which("chromium") or sys.exit("there is no chromium; install it"),
            # Chromium wants no sandbox of its own for root.
            chromium_sandbox=os.geteuid() != 0,
        )
        self.page = self.context.pages[0]
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def comes_as(self, who):
        """From the console to the provider, and back."""
        self.page.goto(f"{self.console}/contexts?account=acme")
        self.page.get_by_role("link", name="Sign in with localhost").click()
        self.page.get_by_role("link", name=f"I am {who}").click()

    def is_at(self, title):
        self.page.get_by_role("heading", level=1, name=title, exact=True).wait_for()

    def close(self):
        self.context.close()
        expect("the pages had nothing to complain of", self.complaints, [])


def operator(visitor):
    """Somebody who may."""
    page = visitor.page
    visitor.comes_as("Ann")
    visitor.is_at("Contexts")
    expect("the sign-in leads to the page that was wanted", page.url, f"{visitor.console}/contexts?account=acme")
    expect("the console says who it is", page.locator(".who span").inner_text(), "ann@example.com")
    cookies = {one["name"]: one for one in visitor.context.cookies(f"{visitor.console}/oidc/callback")}
    cookie = cookies.pop("voicegain-console")
    expect("there is one cookie", ([*cookies], cookie["httpOnly"], cookie["sameSite"]), ([], True, "Lax"))

    page.get_by_role("link", name="Why was it refused?").click()
    visitor.is_at("Why was it refused?")
    page.get_by_role("button", name="Sign out").click()
    visitor.is_at("Sign in")
    shown = page.locator("main").inner_text()
    expect("it is said that the provider's session goes on", "At localhost you still are signed in" in shown, True)
    for page_before in ["explain", "contexts"]:
        page.go_back()
        visitor.is_at("Sign in")
        expect(f"Back to {page_before} shows nothing of it", "ann@" in page.content(), False)
    # The cookie of before, as a copy of it would be sent.
    visitor.context.add_cookies([cookie])
    page.goto(f"{visitor.console}/contexts")
    visitor.is_at("Sign in")
    visitor.context.clear_cookies()


def others(visitor):
    """Somebody who may not, and somebody whom the provider does not know."""
    page = visitor.page
    visitor.comes_as("Bob")
    visitor.is_at("Not allowed")
    shown = page.locator("main").inner_text()
    expect("a stranger is told who they are", "signed you in as bob@example.com" in shown, True)
    expect("and what would let them in", "sub:249 or email:bob@example.com" in shown, True)
    page.reload()
    visitor.is_at("Not allowed")
    page.get_by_role("link", name="Sign in").click()
    visitor.is_at("Sign in")
    visitor.comes_as("nobody")
    visitor.is_at("Not signed in")
    shown = page.locator("main").inner_text()
    expect("the provider's words are text", "“<b>Not today</b>”" in shown, True)
    expect("nobody has a cookie", visitor.context.cookies(), [])


def kept_on_disk(profile, texts):
    """Which of these some file that the browser has left holds."""
    contents = [file.read_bytes() for file in pathlib.Path(profile).rglob("*") if file.is_file()]
    return [text for text in texts if any(text.encode() in content for content in contents)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gateway")
    args = parser.parse_args()
    # So that all the log is looked at.
    os.environ["RUST_LOG"] = "trace"
    provider, port = Provider(), free_port()
    with tempfile.NamedTemporaryFile("w") as secret:
        secret.write(f"{provider.secret}\n")
        secret.flush()
        gateway = Gateway(
            args.gateway,
            *("--oidc-issuer", provider.issuer, "--oidc-client-id", CLIENT, "--oidc-client-secret-file", secret.name),
            *("--oidc-redirect-url", f"http://127.0.0.1:{port}/console/oidc/callback"),
            *("--oidc-allow", "email:ann@example.com", "--oidc-allow", "group:ops"),
            admin_listen=f"127.0.0.1:{port}",
        )
        with sync_playwright() as playwright:
            visitor = Visitor(playwright, gateway)
            operator(visitor)
            others(visitor)
            visitor.close()
    expect("codes and tokens were handed out", len(provider.handed_out), 9)
    page = "/console/sign-in"
    expect("what is left on the disk can be read", kept_on_disk(visitor.profile, [page]), [page])
    # A browser keeps the URLs that it was led through; a code in one has been used, and was no good without its verifier.
    kept = kept_on_disk(visitor.profile, provider.handed_out)
    expect("nothing else of the provider's is left there", [text for text in kept if text not in provider.used], [])
    printed = gateway.stop()
    expect("the log says who has signed in", "ann@example.com" in printed, True)
    expect("nothing of the provider's is in the log", [text for text in provider.handed_out if text in printed], [])


main()
