// The manager's page: everything on it comes from the stream at /events, and buttons post to the routes that nodes use.

import { find, make, paced, say, set } from "../pages/dom.js";
import { ago, clock, duration, exact } from "../pages/format.js";
import { ask, follow, setToken } from "../pages/live.js";
import { strip } from "../pages/said.js";
import { StackedPlot } from "../pages/plot.js";
import { Rows } from "../pages/table.js";

const OUTCOMES = ["return", "done", "user_error", "vm_error", "internal_error", "crashed", "stopped", "not_started"];
const LEVELS = ["trace", "debug", "info", "warn", "error"];
const MODULES = ["llm", "web"];

// Bounds of what is kept and shown; the server keeps as many.
const RUNS_KEPT = 200;
const ACTIVE_SHOWN = 50;
const ENDED_SHOWN = 50;
const LINES_KEPT = 500;
const RATE_SECONDS = 600;
const REDRAW_MS = 200;

let status = null;
let runs = new Map();
let rates = new Map();
let lines = [];
let clockOffset = 0;
let lastHeard = 0;
let held = null;
const announce = strip();

const now = () => Date.now() + clockOffset;

// --- what comes ---

const events = {
  state(value) {
    clockOffset = value.now - Date.now();
    runs = new Map(value.runs.map((run) => [run.id, run]));
    rates = new Map(value.rates);
    lines = value.log.slice(-LINES_KEPT);
    show(value.status);
    drawLog(true);
  },
  status: show,
  run(run) {
    const before = runs.get(run.id);
    runs.delete(run.id);
    runs.set(run.id, run);
    if (run.state === "ended" && before?.state !== "ended") {
      const second = Math.floor(run.ended_at / 1000);
      const counts = rates.get(second) ?? {};
      counts[run.outcome] = (counts[run.outcome] ?? 0) + 1;
      rates.set(second, counts);
    }
    if (runs.size > RUNS_KEPT) forgetRuns();
    redraw();
  },
  log(line) {
    lines.push(line);
    drawLog();
  },
};

function forgetRuns() {
  for (const [id, run] of runs) {
    if (runs.size <= RUNS_KEPT) return;
    if (run.state === "ended") runs.delete(id);
  }
}

function show(value) {
  status = value;
  redraw();
}

const tryAgain = follow(
  "events",
  (name, value) => {
    lastHeard = Date.now();
    events[name]?.(value);
  },
  (state, detail) => {
    const connected = state === "connected";
    const pill = find("connection");
    pill.className = `pill ${connected ? "good" : state === "connecting" ? "busy" : "bad"}`;
    say(pill, connected ? "live" : state === "connecting" ? "connecting" : "not connected");
    if (state !== "connecting" || lastHeard === 0) {
      find("lost").hidden = state !== "lost";
      document.body.classList.toggle("stale", state === "lost" && lastHeard > 0);
    }
    if (state === "lost") {
      say(find("lost-why"), `${detail[0].toUpperCase()}${detail.slice(1)}; trying again.`);
      say(find("lost-when"), lastHeard ? clock(lastHeard) : "nothing yet");
    }
    if (state === "refused") askForToken(sessionStorage.getItem("token") ? "That token is not the right one." : "");
  },
);
find("again").addEventListener("click", tryAgain);

function askForToken(why) {
  say(find("token-why"), why);
  find("token-text").value = "";
  if (!find("token").open) find("token").showModal();
}

find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(find("token-text").value.trim());
  find("token").close();
  tryAgain();
});
find("token").addEventListener("cancel", (event) => event.preventDefault());

// --- what people do ---

/** Carries out what a control stands for, and says how it went. */
async function act(control, doing, done, work) {
  control.disabled = true;
  announce(doing);
  try {
    announce(done(await work()));
  } catch (error) {
    announce(`${doing} failed: ${error.message}`, true);
  }
  control.disabled = false;
  // A disabled control loses the focus, and that of a run goes away with it.
  if (document.activeElement === document.body) (control.isConnected && !control.hidden ? control : find("runs")).focus();
}

find("permits-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const number = Number(find("permits-new").value);
  const button = event.currentTarget.querySelector("button");
  act(button, "Setting the permits", (answer) => `There are ${answer.permits} permits.`, async () => {
    const answer = await ask("POST", "permits", { permits: number });
    find("permits-new").value = "";
    return answer;
  });
});

const tiles = new Map(
  MODULES.map((name) => {
    const tile = document.querySelector(`[data-module=${name}]`);
    return [name, Object.fromEntries([...tile.querySelectorAll("[data-part]")].map((node) => [node.dataset.part, node]))];
  }),
);

for (const [name, tile] of tiles) {
  const title = name === "llm" ? "LLM" : "web";
  for (const action of ["start", "stop"]) {
    tile[action].setAttribute("aria-label", `${action === "start" ? "Start" : "Stop"} the ${title} module`);
    tile[action].addEventListener("click", async () => {
      const other = action === "start" ? tile.stop : tile.start;
      await act(
        tile[action],
        `${action === "start" ? "Starting" : "Stopping"} the ${title} module`,
        () => `The ${title} module ${action === "start" ? "listens" : "has stopped"}.`,
        () => ask("POST", `module/${action}`, action === "start" ? { module_type: name, config: null } : { module_type: name }),
      );
      // The one takes the place of the other.
      if (tile[action].hidden && !other.hidden && [document.body, find("runs")].includes(document.activeElement)) other.focus();
    });
  }
}

/** A run is stopped by the second press: what its node gets is a failure. */
function stopRun(button, id) {
  if (button.dataset.armed === undefined) {
    button.dataset.armed = "";
    say(button, "Really stop");
    button.classList.add("danger");
    setTimeout(() => disarm(button), 4000);
    return;
  }
  disarm(button);
  act(button, `Stopping run ${id}`, (answer) => (answer.result ? `Run ${id} has been stopped.` : answer.error), () =>
    ask("DELETE", `genvm/${id}?wait_timeout_ms=5000`),
  );
}

function disarm(button) {
  delete button.dataset.armed;
  button.classList.remove("danger");
  say(button, "Stop");
}

// --- what is shown ---

const plot = new StackedPlot(find("plot"), OUTCOMES);
const legend = new Map(
  OUTCOMES.map((outcome) => {
    const count = make("span", { class: "number muted" });
    const entry = make("li", { hidden: true }, make("span", { class: `swatch series-${outcome}` }), words(outcome), count);
    find("legend").append(entry);
    return [outcome, { entry, count }];
  }),
);
const meter = (() => {
  const bar = make("rect", { x: 0, y: 0, width: 0, height: 8 });
  find("permits-meter").replaceChildren(make("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, bar));
  return bar;
})();

function words(outcome) {
  return outcome.replaceAll("_", " ");
}

function cell(label, ...content) {
  return make("td", { role: "cell", "data-label": label }, ...content);
}

function timeCell(label) {
  const node = cell(label);
  node.className = "right number";
  return node;
}

/** What both tables begin with, and have in the same order. */
function commonCells(run) {
  const link = make("a", { href: "#log", title: "Lines of the log about this run", class: "number" }, String(run.id));
  link.addEventListener("click", () => filterLog(`#${run.id}`));
  const id = cell("Run", link);
  const executor = cell("Executor", run.executor, run.sync ? make("span", { class: "muted" }, " sync") : null);
  const cookie = cell("Cookie", make("span", { class: "mono" }, run.cookie));
  return { id, executor, cookie };
}

const active = new Rows(find("active"), {
  key: (run) => run.id,
  most: ACTIVE_SHOWN,
  home: find("runs"),
  create(run) {
    const { id, executor, cookie } = commonCells(run);
    const pill = make("span", { class: "pill" });
    const button = make("button", { type: "button", "aria-label": `Stop run ${run.id}` }, "Stop");
    button.addEventListener("click", () => stopRun(button, run.id));
    const action = make("td", { role: "cell", class: "action" }, button);
    const waited = timeCell("Waited");
    const ran = timeCell("Running for");
    const state = cell("State", pill);
    state.className = "wide";
    const row = make("tr", { role: "row", "data-run": run.id }, id, state, executor, cookie, waited, ran, action);
    row.parts = { pill, button, waited, ran };
    return row;
  },
  update(row, run) {
    const { pill, button, waited, ran } = row.parts;
    const running = run.state === "running";
    set(pill, "class", running ? "pill busy" : "pill warn");
    say(pill, running ? (run.stopped ? "stopping" : "running") : "waiting for permits");
    button.hidden = !running;
    say(waited, duration((running ? run.started_at : now()) - run.requested_at));
    say(ran, running ? duration(now() - run.started_at) : "–");
  },
});

const ended = new Rows(find("ended"), {
  key: (run) => run.id,
  most: ENDED_SHOWN,
  home: find("past"),
  create(run) {
    const { id, executor, cookie } = commonCells(run);
    const why = [run.stopped ? { deadline: "its deadline passed", deleted: "a client stopped it", shutdown: "the manager was shut down" }[run.stopped] : "", run.detail]
      .filter(Boolean)
      .join("; ");
    const outcome = cell(
      "Outcome",
      make("span", { class: "outcome" }, make("span", { class: `swatch series-${run.outcome}` }), words(run.outcome)),
      why ? make("span", { class: "detail", title: why }, why) : null,
    );
    outcome.className = "wide";
    const waited = timeCell("Waited");
    say(waited, duration(run.started_at - run.requested_at));
    const ran = timeCell("Ran");
    say(ran, run.outcome === "not_started" ? "–" : duration(run.ended_at - run.started_at));
    const when = timeCell("Ended");
    when.title = exact(run.ended_at);
    const row = make("tr", { role: "row", "data-run": run.id }, id, outcome, executor, cookie, waited, ran, when);
    row.when = when;
    return row;
  },
  update(row, run) {
    say(row.when, ago(now() - run.ended_at));
  },
});

const redraw = paced(() => {
  if (status === null) return;
  drawTiles();
  drawPlot();
  const all = [...runs.values()];
  const open = all.filter((run) => run.state !== "ended").sort((a, b) => a.state.localeCompare(b.state) || a.id - b.id);
  const left = active.show(open);
  const more = Math.max(left, status.running + status.waiting - ACTIVE_SHOWN);
  const empty = find("active-empty");
  empty.hidden = open.length > 0 && more <= 0;
  say(empty, open.length === 0 ? "Nothing runs." : `And ${more} more.`);
  drawEnded(all);
}, REDRAW_MS);

function drawEnded(all) {
  const failed = find("ended-filter").value === "failed";
  const source = held ?? all;
  const shown = source.filter((run) => run.state === "ended" && !(failed && ["return", "done"].includes(run.outcome)));
  ended.show(shown.sort((a, b) => b.ended_at - a.ended_at || b.id - a.id));
  find("ended-empty").hidden = shown.length > 0;
  say(find("ended-empty"), failed ? "None of the latest runs ended without a return." : "No run has ended yet.");
}

find("ended-filter").addEventListener("change", redraw);
find("ended-hold").addEventListener("click", ({ currentTarget }) => {
  held = held === null ? [...runs.values()] : null;
  set(currentTarget, "aria-pressed", held !== null);
  say(currentTarget, held === null ? "Hold" : "Go on");
  redraw();
});

function drawTiles() {
  const { permits, permits_used: used, running, waiting, modules } = status;
  say(find("permits-used"), String(used));
  say(find("permits-total"), String(permits));
  set(find("permits-new"), "placeholder", String(permits));
  const meterNode = find("permits-meter");
  set(meterNode, "aria-valuemax", permits);
  set(meterNode, "aria-valuenow", used);
  set(meterNode, "aria-valuetext", `${used} of ${permits} permits used`);
  meterNode.classList.toggle("full", used >= permits);
  set(meter, "width", Math.min(100, (100 * used) / permits));
  say(find("count-running"), String(running));
  say(find("count-waiting"), String(waiting));
  for (const name of MODULES) {
    const { state, restarts, failure } = modules[name];
    const tile = tiles.get(name);
    const failed = failure !== "";
    set(tile.state, "class", `pill ${state === "running" ? "good" : failed ? "bad" : state === "stopping" ? "warn" : ""}`.trim());
    say(tile.state, failed && state === "stopped" ? "not listening" : state);
    say(tile.restarts, restarts ? `${restarts} ${restarts === 1 ? "restart" : "restarts"}` : "");
    say(tile.failure, failure);
    tile.start.hidden = state !== "stopped" || failed;
    tile.stop.hidden = !tile.start.hidden;
  }
}

function drawPlot() {
  const range = Number(find("plot-range").value);
  // What goes on would look like a dip.
  const last = Math.floor(now() / 1000) - 1;
  for (const second of rates.keys()) {
    if (second < last - RATE_SECONDS) rates.delete(second);
  }
  const width = range / 60 > 5 ? 4 : range / 60 > 1 ? 2 : 1;
  const top = plot.draw(rates, last, range / width, width);
  say(find("plot-top"), `${top}/s`);
  const totals = {};
  let recent = 0;
  for (const [second, counts] of rates) {
    for (const outcome in counts) {
      if (second > last - range) totals[outcome] = (totals[outcome] ?? 0) + counts[outcome];
      if (second > last - 10 && second <= last) recent += counts[outcome];
    }
  }
  for (const [outcome, { entry, count }] of legend) {
    entry.hidden = !totals[outcome];
    say(count, String(totals[outcome] ?? 0));
  }
  const told = OUTCOMES.filter((outcome) => totals[outcome]).map((outcome) => `${totals[outcome]} ${words(outcome)}`);
  set(plot.svg, "aria-label", told.length ? `In this time: ${told.join(", ")}` : "No run ended in this time");
  say(find("count-rate"), (recent / 10).toFixed(1));
}

find("plot-range").addEventListener("change", ({ currentTarget }) => {
  say(find("plot-from"), `${currentTarget.selectedOptions[0].textContent} ago`);
  redraw();
});

// --- the log ---

const lineKeys = new WeakMap();
let lineCount = 0;
let following = true;

const logRows = new Rows(find("lines"), {
  key(line) {
    if (!lineKeys.has(line)) lineKeys.set(line, ++lineCount);
    return lineKeys.get(line);
  },
  most: LINES_KEPT,
  create: (line) =>
    make(
      "li",
      {},
      make("time", { datetime: exact(line.time), title: exact(line.time) }, clock(line.time)),
      make("span", { class: `level-${line.level}` }, line.level),
      make("span", {}, line.message, " ", make("span", { class: "fields" }, line.fields)),
    ),
  update() {},
});

const drawLines = paced(() => {
  if (lines.length > LINES_KEPT) lines = lines.slice(-LINES_KEPT);
  const lowest = LEVELS.indexOf(find("log-level").value);
  const wanted = find("log-text").value.trim().toLowerCase();
  const run = /^#(\d+)$/.exec(wanted)?.[1];
  const shown = lines.filter(
    (line) =>
      LEVELS.indexOf(line.level) >= lowest &&
      (run !== undefined
        ? String(line.id) === run
        : wanted === "" || `${line.message} ${line.fields} ${line.target}`.toLowerCase().includes(wanted)),
  );
  logRows.show(shown);
  find("lines-empty").hidden = shown.length > 0;
  if (following) find("lines").scrollTop = find("lines").scrollHeight;
}, REDRAW_MS);

function drawLog(fresh = false) {
  if (fresh) following = true;
  drawLines();
}

function filterLog(text) {
  find("log-text").value = text;
  drawLog(true);
}

find("lines").addEventListener("scroll", ({ currentTarget: box }) => {
  following = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
});
for (const id of ["log-level", "log-text"]) find(id).addEventListener("input", () => drawLog(true));

// Durations go on while nothing else happens.
setInterval(redraw, 1000);
