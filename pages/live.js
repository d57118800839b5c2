// Requests to the server that the page came from, and a stream of its events. EventSource cannot send a token, so the
// stream is read with fetch.

const KEY = "token";
const SILENCE_MS = 30_000;
const PAUSE_MS = [500, 1000, 2000, 5000];
/** Browsers make six connections to a server, for all tabs: one that nobody looks at gives its own back after that time. */
const HIDDEN_MS = 2000;
const LONG_MS = 3_600_000;

/** A request that the server answered with something else than 200. */
export class Refused extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

/** Remembered until the tab is closed. */
export function setToken(token) {
  sessionStorage.setItem(KEY, token);
}

function request(path, options = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch(path, { ...options, headers, cache: "no-store" });
}

/** The JSON that the server answers. Throws `Refused` with the server's text, or the error of the network. */
export async function ask(method, path, body) {
  const response = await request(path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  return checked(response);
}

async function checked(response) {
  let value = null;
  try {
    value = await response.json();
  } catch {
    throw new Refused(`the server answered ${response.status} and no JSON`, response.status);
  }
  if (response.status !== 200) throw new Refused(value?.error ?? `status ${response.status}`, response.status);
  return value;
}

/**
 * Follows the events at `path` for ever. `onEvent(name, value)` gets each; `onConnection(state, detail)` is told
 * "connecting", "connected", "refused" (the token is missing or wrong; `detail` tries again) or "lost" (`detail` says
 * why). Returns a function that tries again at once.
 */
export function follow(path, onEvent, onConnection) {
  let wake = () => {};
  let abort = new AbortController();
  const pause = (ms) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const again = () => wake();
  addEventListener("online", again);
  let left = false;
  let leaving = 0;
  const looked = () => {
    clearTimeout(leaving);
    if (document.hidden) {
      leaving = setTimeout(() => {
        left = true;
        abort.abort();
      }, HIDDEN_MS);
    } else {
      left = false;
      again();
    }
  };
  document.addEventListener("visibilitychange", looked);
  looked();

  (async () => {
    let failures = 0;
    for (;;) {
      while (left) await pause(LONG_MS);
      abort = new AbortController();
      let why = "the server ended the connection";
      onConnection("connecting", "");
      try {
        await once(path, abort, (name, value) => {
          failures = 0;
          onEvent(name, value);
        }, () => onConnection("connected", ""));
      } catch (error) {
        if (left) continue;
        if (error instanceof Refused && error.status === 401) {
          onConnection("refused", error.message);
          await pause(LONG_MS);
          continue;
        }
        why = error instanceof Refused ? error.message : error.name === "AbortError" ? "the server is silent" : "no server answers";
      }
      onConnection("lost", why);
      await pause(PAUSE_MS[Math.min(failures, PAUSE_MS.length - 1)]);
      failures += 1;
    }
  })();
  return again;
}

async function once(path, abort, onEvent, onOpen) {
  let watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
  try {
    const response = await request(path, { signal: abort.signal });
    if (response.status !== 200) await checked(response);
    onOpen();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const match = /^event: (\w+)\ndata: (.*)$/.exec(event);
        if (match) onEvent(match[1], JSON.parse(match[2]));
      }
    }
  } finally {
    clearTimeout(watchdog);
  }
}
