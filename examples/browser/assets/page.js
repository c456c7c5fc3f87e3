// Calls across origins, with a short-lived token that the page's own server hands out.

const config = await (await fetch("/config.json")).json();

/** The promise of the page's token and when to fetch the next. */
let kept;

/** The page's token: the same one until a fifth of what was left of it is left. Whoever asks meanwhile waits for one fetch. */
async function ownToken() {
  const held = kept ?? fetchOwnToken();
  const { refreshAt } = await held;
  if (kept === held && performance.now() >= refreshAt) {
    fetchOwnToken();
  }
  return (await (kept ?? held)).token;
}

function fetchOwnToken(path = "/token") {
  const asked = performance.now();
  const fetching = newToken(path).then(({ token, remainingMilliseconds }) => ({
    token,
    refreshAt: asked + remainingMilliseconds * 0.8,
  }));
  kept = fetching;
  // The next one to ask tries again.
  fetching.catch(() => {
    kept = kept === fetching ? undefined : kept;
  });
  return fetching;
}

async function newToken(path) {
  const response = await fetch(path, { cache: "no-store" });
  const answer = await response.json();
  if (!response.ok) {
    throw new Error(answer.error.detail);
  }
  return answer;
}

/**
 * A call to the API. The header is one that a browser asks for first: by an OPTIONS request, the preflight. The name only
 * tells the calls apart for whoever looks at them.
 */
async function call(token, name) {
  const response = await fetch(`${config.api}/hello?call=${name}`, { headers: { Authorization: `Bearer ${token}` } });
  return { status: response.status, ...(await response.json()) };
}

/** With the page's own token; once more with a new one if that has ended before its time, as Regenerate makes it. */
async function callAsThisPage(name) {
  const answer = await call(await ownToken(), name);
  if (answer.status !== 401) {
    return answer;
  }
  return call((await fetchOwnToken("/token/new")).token, name);
}

async function accepted() {
  const { status, hello, context, tokenKind, tokenArrived, error } = await callAsThisPage("accepted");
  return error
    ? refusal(status, error)
    : {
        Status: status,
        Account: hello,
        Context: context,
        "Kind of token": tokenKind,
        "Token sent to the upstream": tokenArrived ? "yes" : "no",
      };
}

async function refusedForItsOrigin() {
  const { token } = await newToken("/token/other-origin");
  const { status, error } = await call(token, "origin");
  return refusal(status, error);
}

async function refusedForItsExpiry() {
  const { token } = await newToken("/token/one-second");
  const begin = performance.now();
  // Its life ends with a whole second of the API's clock, which is up to two seconds from now.
  for (let accepted = 0; performance.now() - begin < 10_000; accepted += 1) {
    const { status, error } = await call(token, "expiry");
    if (error) {
      return { "Accepted before": `${accepted} times`, ...refusal(status, error) };
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error("a token of one second is still accepted after ten");
}

function refusal(status, error) {
  return { Status: status, Reason: error?.reason ?? "none", Detail: error?.detail ?? "none" };
}

async function webSocket() {
  try {
    return await echoed(await ownToken());
  } catch {
    // A browser does not tell a page why a WebSocket was not opened. It may be that the token has ended.
    return echoed((await fetchOwnToken("/token/new")).token);
  }
}

async function echoed(token) {
  // The token needs another one beside it: the API answers with that, never with the token.
  const socket = new WebSocket(`${config.webSocket}/echo`, ["echo", `bearer.${token}`]);
  const sent = `hello at ${new Date().toLocaleTimeString()}`;
  return new Promise((resolve, reject) => {
    socket.onopen = () => socket.send(sent);
    socket.onmessage = ({ data }) => {
      resolve({ Subprotocol: socket.protocol, Sent: sent, "Came back": data });
      socket.close();
    };
    // Where the page's own policy forbids it, there is an error alone.
    socket.onclose = socket.onerror = () => reject(new Error("the WebSocket was closed before anything came back"));
  });
}

/** Shows what came of one of them. */
async function show(id, attempt) {
  const outcome = document.querySelector(`#${id} .outcome`);
  outcome.dataset.state = "waiting";
  outcome.textContent = "…";
  let rows;
  let state = "done";
  try {
    rows = await attempt();
  } catch (error) {
    rows = { Problem: error.message };
    state = "failed";
  }
  const list = document.createElement("dl");
  for (const [name, value] of Object.entries(rows)) {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const description = document.createElement("dd");
    term.textContent = name;
    description.textContent = value;
    row.append(term, description);
    list.append(row);
  }
  outcome.replaceChildren(list);
  outcome.dataset.state = state;
}

async function all() {
  again.disabled = true;
  await Promise.all([
    show("accepted", accepted),
    show("origin", refusedForItsOrigin),
    show("expiry", refusedForItsExpiry),
    show("websocket", webSocket),
  ]);
  again.disabled = false;
}

document.querySelector("#page-origin").textContent = location.origin;
document.querySelector("#api").textContent = config.api;
const again = document.querySelector("#again");
again.addEventListener("click", all);
await all();
