"""The example with a page, in a real browser: each outcome that it shows, and that the long-lived token stays on its server.

    python story.py GATEWAY EXAMPLE [--screenshots FOLDER]

Needs Chromium, and the packages playwright and axe-playwright-python.
"""

import argparse
import atexit
import base64
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "python"))
from gateway import Gateway, expect  # noqa: E402

SIZES = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
OUTCOMES = ["accepted", "origin", "expiry", "websocket"]


class Program:
    """One of the example's two servers, on a free port. What it prints is kept as it comes."""

    def __init__(self, binary, *arguments, token=None):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VOICEGAIN_")}
        if token:
            environment["VOICEGAIN_TOKEN"] = token
        self.process = subprocess.Popen(
            [binary, *arguments, "--listen", "127.0.0.1:0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # Also if an expectation ends this script.
        atexit.register(self.process.kill)
        first = self.process.stdout.readline()
        found = re.search(r" on (http://\S+)", first)
        self.url = found[1] if found else sys.exit(f"{arguments}: it said {first!r}")
        self.printed = [first]
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        self.printed.extend(self.process.stdout)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.reader.join(timeout=20)
        return "".join(self.printed)


class Browser:
    """A browser of its own, and all that it was sent and has sent."""

    def __init__(self, playwright, scheme="light", width=1280):
        self.profile = tempfile.TemporaryDirectory()
        self.context = playwright.chromium.launch_persistent_context(
            self.profile.name,
            executable_path=shutil.which("chromium") or sys.exit("there is no chromium; install it"),
            # Chromium wants no sandbox of its own for root.
            chromium_sandbox=os.geteuid() != 0,
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
        )
        self.page = self.context.pages[0]
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self.said)
        self.network = self.context.new_cdp_session(self.page)
        self.events = []
        for name in ["requestWillBeSent", "requestWillBeSentExtraInfo", "responseReceived"]:
            self.listen(name)
        for name in ["responseReceivedExtraInfo", "webSocketWillSendHandshakeRequest", "webSocketCreated"]:
            self.listen(name)
        for name in ["webSocketHandshakeResponseReceived", "webSocketFrameReceived", "webSocketFrameSent"]:
            self.listen(name)
        self.network.send("Network.enable")
        self.answers = []
        self.page.on("requestfinished", lambda request: self.answers.append(request))

    def listen(self, name):
        self.network.on(f"Network.{name}", lambda event: self.events.append((name, event)))

    def said(self, message):
        # That an answer is a refusal is what half of the page is about.
        if message.type == "error" and "responded with a status of 40" not in message.text:
            self.complaints.append(message.text)

    def of(self, name):
        return [event for kind, event in self.events if kind == name]

    def settled(self):
        """Waits until every call of the page has come to its end, and gives back what is shown."""
        # The button is given free by the page after the last of them.
        self.page.locator("#again:not([disabled])").wait_for(timeout=60_000)
        shown = {}
        for outcome in OUTCOMES:
            place = self.page.locator(f"#{outcome} .outcome")
            rows = place.locator("dl > div").all()
            shown[outcome] = {row.locator("dt").inner_text(): row.locator("dd").inner_text() for row in rows}
            if place.get_attribute("data-state") != "done":
                sys.exit(f"{outcome} has failed: {shown[outcome]}")
        return shown

    def everything(self):
        """All that has come into the browser or gone out of it, as one text, bodies included."""
        bodies = []
        for request in self.answers:
            bodies.append(request.url + str(request.all_headers()))
            response = request.response()
            if response:
                bodies.append(str(response.all_headers()) + response.body().decode())
        kept = self.page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])")
        return "\n".join([*bodies, str(self.events), kept, self.page.content()])

    def close(self):
        self.context.close()
        expect("the page had nothing to complain of", self.complaints, [])


def outcomes(shown):
    """What a person reads there."""
    accepted = shown["accepted"]
    wanted = {"Status": "200", "Account": "acme", "Context": "site", "Kind of token": "short-lived"}
    expect("a call is accepted", accepted, {**wanted, "Token sent to the upstream": "no"})
    origin = shown["origin"]
    expect("one is refused for its origin", (origin["Status"], origin["Reason"]), ("403", "origin_not_allowed"))
    expect("and the page reads why", len(origin["Detail"]) > 20, True)
    expiry = shown["expiry"]
    expect("one is refused for its expiry", (expiry["Status"], expiry["Reason"]), ("401", "token_expired"))
    expect("and the page reads why", len(expiry["Detail"]) > 20, True)
    socket = shown["websocket"]
    expect("a WebSocket echoes", socket["Came back"], socket["Sent"])
    expect("under the subprotocol that is no token", socket["Subprotocol"], "echo")


def across_origins(browser, gateway, page_url):
    """That the browser has judged these calls as calls to another origin, and asked before it sent the token."""
    started = browser.of("requestWillBeSent")
    preflights = [event["requestId"] for event in started if event["initiator"]["type"] == "preflight"]
    expect("there was a preflight", len(preflights) > 0, True)
    answered = {event["requestId"]: event["response"]["status"] for event in browser.of("responseReceived")}
    expect("the gateway answered it", {answered.get(one) for one in preflights}, {204})
    sent = {event["requestId"]: event["headers"] for event in browser.of("requestWillBeSentExtraInfo")}
    asked = [{name.lower(): value for name, value in sent[one].items()} for one in preflights if one in sent]
    expect(
        "for the header that holds the token, without one",
        {(it.get("access-control-request-headers"), it.get("origin"), "authorization" in it) for it in asked},
        {("authorization", page_url, False)},
    )
    calls = [
        {name.lower(): value for name, value in sent[event["requestId"]].items()}
        for event in started
        if event["request"]["url"].startswith(f"{gateway.url}/v1/hello?") and event.get("type") == "Fetch"
    ]
    expect("calls of the page's own origin", {call.get("origin") for call in calls}, {page_url})
    expect("each with a token", all(call["authorization"].startswith("Bearer ey") for call in calls), True)
    expect("across origins", {call.get("sec-fetch-mode") for call in calls}, {"cors"})
    handshakes = browser.of("webSocketWillSendHandshakeRequest")
    offered = [event["request"]["headers"]["Sec-WebSocket-Protocol"] for event in handshakes]
    expect("the WebSocket's token is a subprotocol", {it.startswith("echo, bearer.ey") for it in offered}, {True})
    answers = browser.of("webSocketHandshakeResponseReceived")
    expect("it is opened", answers[-1]["response"]["status"], 101)
    frames = [event["response"]["payloadData"] for event in browser.of("webSocketFrameReceived")]
    expect("and has brought one message", len([frame for frame in frames if frame.startswith("hello at")]), 1)


def elsewhere(playwright, gateway, page):
    """A page of another origin gets no token from this one's server, and none is minted for it."""
    browser = Browser(playwright)
    browser.page.goto(f"{gateway.url}/v1/hello")
    outcomes = browser.page.evaluate(
        """async url => Promise.all(["cors", "no-cors"].map(
            mode => fetch(url, { mode, cache: "no-store" }).then(() => "answered", error => error.name)))""",
        f"{page.url}/token",
    )
    expect("another page reads no token", outcomes, ["TypeError", "TypeError"])
    asked = [it["requestId"] for it in browser.of("requestWillBeSent") if it["request"]["url"] == f"{page.url}/token"]
    statuses = {it["requestId"]: it["statusCode"] for it in browser.of("responseReceivedExtraInfo")}
    expect("and none is minted for it", [statuses.get(one) for one in asked], [403, 403])
    browser.context.close()


def story(playwright, gateway, binary, token):
    page = Program(binary, "page", "--api", f"{gateway.url}/v1", token=token)
    browser = Browser(playwright)
    browser.page.goto(page.url)
    outcomes(browser.settled())
    across_origins(browser, gateway, page.url)

    got = browser.everything()
    expect("the long-lived token is nowhere in the browser", token in got, False)
    expect("nor its signature", token.rsplit(".", 1)[1] in got, False)
    short = set(re.findall(r"ey[\w-]+\.ey[\w-]+\.[\w-]+", got))
    expect("the browser has short-lived tokens", len(short) >= 3, True)
    expect("each with an end", all('"exp"' in claims(one) for one in short), True)
    expect("none is in a URL", len(re.findall(r"\w+://[^\s'\"]+\.ey", got)), 0)

    browser.page.get_by_role("button", name="Make the calls again").click()
    outcomes(browser.settled())
    browser.close()
    elsewhere(playwright, gateway, page)
    expect("no token is left in what the page's server says", re.search(r"ey[\w-]+\.ey", page.stop()), None)


def claims(token):
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def refreshed(playwright, gateway, binary, token):
    """With tokens that live for five seconds, the page has the next one before the first has ended."""
    page = Program(binary, "page", "--api", f"{gateway.url}/v1", "--lifetime", "5", token=token)
    browser = Browser(playwright)
    handed = []

    def keep(request):
        if request.url == f"{page.url}/token":
            handed.append(request.response().json()["token"])

    browser.page.on("requestfinished", keep)
    browser.page.goto(page.url)
    # More tokens than one, after as many rounds as it takes.
    for _ in range(20):
        expect("accepted", browser.settled()["accepted"]["Status"], "200")
        if len(set(handed)) > 2:
            break
        browser.page.get_by_role("button", name="Make the calls again").click()
    expect("three tokens in turn, none of them because the last was refused", len(set(handed)) > 2, True)
    # What it complains of is not asked: on a machine that is busy, a token this short may end on its way.
    browser.context.close()
    page.stop()


def regenerated(playwright, gateway, binary, record):
    """Regenerate ends what the page has, and the page says so."""
    page = Program(binary, "page", "--api", f"{gateway.url}/v1", token=record["jwt"])
    browser = Browser(playwright)
    browser.page.goto(page.url)
    browser.settled()
    gateway.admin("POST", f"/api/web-configs/{record['id']}/regenerate")
    failed = browser.page.locator("#accepted [data-state=failed]")
    # Its server mints a new one for a page at most once a second, so that it may take more than one round.
    for _ in range(10):
        browser.page.get_by_role("button", name="Make the calls again").click()
        browser.page.locator("#again:not([disabled])").wait_for(timeout=60_000)
        if failed.count():
            break
    expect("after Regenerate no call is accepted", failed.count(), 1)
    shown = browser.page.locator("#accepted .outcome").inner_text()
    expect("the page says that there is no token", "its terminal says why" in shown, True)
    browser.context.close()
    expect("and the terminal why", "invalid_token" in page.stop(), True)


def appearance(playwright, gateway, binary, token, folder):
    """Wide and narrow, light and dark: axe finds nothing, nothing hangs over the edge."""
    page = Program(binary, "page", "--api", f"{gateway.url}/v1", token=token)
    for scheme, width in SIZES:
        browser = Browser(playwright, scheme, width)
        browser.page.goto(page.url)
        browser.settled()
        results = Axe().run(browser.page)
        found = [f"{it['id']}: {it['nodes'][0]['html']}" for it in results.response["violations"]]
        expect(f"{scheme}, {width}: axe finds nothing", found, [])
        over = browser.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        expect(f"{scheme}, {width}: nothing hangs over", over, 0)
        if folder:
            browser.page.screenshot(path=pathlib.Path(folder) / f"story-{scheme}-{width}.png", full_page=True)
        browser.close()
    page.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gateway")
    parser.add_argument("example")
    parser.add_argument("--screenshots", metavar="FOLDER")
    args = parser.parse_args()
    upstream = Program(args.example, "upstream")
    gateway = Gateway(args.gateway, "--upstream", upstream.url, "--token-sources", "header,protocol")
    atexit.register(gateway.process.kill)
    record = gateway.admin("POST", "/api/web-configs", {"accountId": "acme", "contextId": "site", "name": "page"})
    with sync_playwright() as playwright:
        story(playwright, gateway, args.example, record["jwt"])
        refreshed(playwright, gateway, args.example, record["jwt"])
        appearance(playwright, gateway, args.example, record["jwt"], args.screenshots)
        regenerated(playwright, gateway, args.example, record)
    arrived = upstream.stop()
    expect("calls and WebSockets have reached the upstream", "GET /v1/hello" in arrived and "GET /v1/echo" in arrived, True)
    expect("no preflight and no token has", re.search(r'OPTIONS|ey[\w-]+\.ey|bearer|authorization: "."', arrived), None)
    printed = gateway.stop()
    expect("no token is in the gateway's log", re.search(r"ey[\w-]+\.ey", printed), None)


main()
