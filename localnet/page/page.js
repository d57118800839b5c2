// The page of the local network: everything that moves comes from the stream at /page/events; what people do goes to /api.

import { find, make, paced, say, set } from "../pages/dom.js";
import { duration, exact } from "../pages/format.js";
import { follow } from "../pages/live.js";
import { strip } from "../pages/said.js";
import { Rows } from "../pages/table.js";
import { amountParts, grouped } from "./amounts.js";
import { Contracts, leftOut } from "./contracts.js";
import { call } from "./rpc.js";
import { hasFailed, isOpen, outcome, title, Transactions } from "./transactions.js";

const VIEWS = ["contracts", "transactions", "accounts", "validators", "network"];
const REDRAW_MS = 150;
const ACCOUNTS_SHOWN = 200;
const TRANSACTIONS_KEPT = 300;
/** Accounts to choose a sender from, and names that are offered where an address is wanted. */
const SENDERS = 50;
const OFFERED = 500;

/** What is known: the overview, and the latest transactions by id, oldest first. */
const state = { overview: null, transactions: new Map(), clockOffset: 0 };
const announce = strip();
let heard = false;
/** Transactions that were sent from here and are not decided. */
const awaited = new Set();
/** Whether the link to a thing was followed just now: what is read of it gets the focus. */
let arriving = false;

const page = {
  state,
  now: () => Date.now() + state.clockOffset,
  announce,
  act,
  senders: () => (state.overview?.accounts ?? []).filter((one) => !one.is_contract).slice(0, SENDERS).map((one) => one.name || one.address),
  /** Whether an account or contract has a name. */
  knows: (name) => [...(state.overview?.accounts ?? []), ...(state.overview?.contracts ?? [])].some((one) => one.name === name),
  landed,
  sent(id) {
    awaited.add(id);
    tellOutcome(state.transactions.get(id));
  },
};
const contracts = new Contracts(page);
const transactions = new Transactions(page);

// --- what comes ---

const events = {
  state(value) {
    state.transactions = new Map(value.transactions.map((one) => [one.id, one]));
    overview(value);
    value.transactions.forEach(tellOutcome);
    transactions.fresh();
    contracts.fresh();
  },
  overview,
  transaction(one) {
    // What changes keeps its place.
    state.transactions.set(one.id, one);
    for (const id of state.transactions.keys()) {
      if (state.transactions.size <= TRANSACTIONS_KEPT) break;
      state.transactions.delete(id);
    }
    transactions.changed(one);
    contracts.changed(one);
    tellOutcome(one);
    redraw();
  },
};

function tellOutcome(one) {
  if (!one || !awaited.has(one.id) || isOpen(one)) return;
  awaited.delete(one.id);
  announce(`${title(one)}: ${outcome(one)}`, hasFailed(one));
}

function overview(value) {
  state.clockOffset = value.now - Date.now();
  state.overview = value;
  redraw();
}

const tryAgain = follow(
  "page/events",
  (name, value) => {
    heard = true;
    events[name]?.(value);
  },
  (connection, detail) => {
    const connected = connection === "connected";
    const pill = find("connection");
    pill.className = `pill ${connected ? "good" : connection === "connecting" ? "busy" : "bad"}`;
    say(pill, connected ? "live" : connection === "connecting" ? "connecting" : "disconnected");
    if (connection !== "connecting" || !heard) {
      find("lost").hidden = connected || connection === "connecting";
      document.body.classList.toggle("stale", !connected && heard);
    }
    if (!connected && connection !== "connecting") say(find("lost-why"), `${detail[0].toUpperCase()}${detail.slice(1)}; trying again.`);
  },
);
find("again").addEventListener("click", tryAgain);

// --- what people do ---

/** Carries out what a control stands for, and says how it went. Gives what `work` gave, or null. */
async function act(control, doing, done, work) {
  control.disabled = true;
  announce(`${doing} …`);
  let result = null;
  try {
    result = await work();
    const text = typeof done === "function" ? done(result) : done;
    announce(text);
  } catch (error) {
    announce(`${doing} failed: ${error.message}`, true);
  }
  control.disabled = false;
  // What was disabled has lost the focus; what has gone leaves it to the heading.
  if (document.activeElement === document.body) (control.isConnected ? control : find("transaction-title"))?.focus({ preventScroll: true });
  return result;
}

// --- views ---

function showView() {
  const [view, detail] = location.hash.slice(1).split("/");
  const chosen = VIEWS.includes(view) ? view : "contracts";
  const link = [...find("views").children].find((one) => one.getAttribute("href") === `#${chosen}`);
  document.title = `${link.textContent} – Local network`;
  arriving &&= Boolean(detail);
  for (const name of VIEWS) find(`view-${name}`).hidden = name !== chosen;
  for (const link of find("views").children) set(link, "aria-current", link.getAttribute("href") === `#${chosen}` ? "page" : null);
  if (chosen === "contracts") contracts.choose(detail);
  if (chosen === "transactions") transactions.choose(detail);
  redraw();
}
addEventListener("hashchange", () => {
  arriving = true;
  showView();
});

/**
 * What a link led to is there; `title` is its heading. It gets the focus where the link is not seen any more, and is brought
 * into sight where things stand below each other.
 */
function landed(title) {
  if (!arriving || !title?.checkVisibility()) return;
  arriving = false;
  const narrow = matchMedia("(max-width: 860px)").matches;
  const { activeElement } = document;
  if (narrow || activeElement === document.body || !activeElement?.checkVisibility()) title.focus({ preventScroll: true });
  if (narrow) title.closest(".card").scrollIntoView();
}

const redraw = paced(() => {
  const { overview: value } = state;
  if (value === null) return;
  say(find("block"), String(value.block));
  say(find("chain"), String(value.chain_id));
  say(find("clock"), moment(page.now()).replace(" UTC", ""));
  set(find("clock"), "title", value.offset_seconds ? `UTC; ${value.offset_seconds} s ahead of the server's clock` : "UTC");
  drawAddresses();
  if (!find("view-contracts").hidden) contracts.draw();
  if (!find("view-transactions").hidden) transactions.draw();
  if (!find("view-accounts").hidden) drawAccounts();
  if (!find("view-validators").hidden) drawValidators();
  if (!find("view-network").hidden) drawNetwork();
}, REDRAW_MS);

/** A time of the network, to the second. */
const moment = (ms) => `${exact(ms).replace("T", " ").slice(0, 19)} UTC`;

let offered = "";

function drawAddresses() {
  const known = [...state.overview.accounts.filter((one) => !one.is_contract).slice(0, SENDERS), ...state.overview.contracts.slice(0, OFFERED)].map((one) => one.name || one.address);
  if (offered === known.join()) return;
  offered = known.join();
  find("addresses").replaceChildren(...known.map((value) => make("option", { value })));
}

const cell = (label, ...content) => make("td", { role: "cell", "data-label": label }, ...content);
const number = (label) => {
  const node = cell(label);
  node.className = "right number";
  return node;
};

const accountRows = new Rows(find("accounts"), {
  key: (one) => one.address,
  most: ACCOUNTS_SHOWN,
  home: find("main"),
  create(one) {
    const balance = number("Balance");
    balance.classList.add("amount");
    const nonce = number("Nonce");
    const row = make("tr", { role: "row" }, cell("Name", one.name || (one.is_contract ? "contract" : "–")), cell("Address", make("span", { class: "mono" }, one.address)), balance, nonce);
    row.parts = { balance, nonce };
    return row;
  },
  update(row, one) {
    if (row.parts.shown !== one.balance) row.parts.balance.replaceChildren(...amountParts(one.balance));
    row.parts.shown = one.balance;
    say(row.parts.nonce, String(one.nonce));
  },
});

function drawAccounts() {
  leftOut(find("accounts-more"), accountRows.show(state.overview.accounts), "further accounts");
}

find("fund").addEventListener("submit", (event) => {
  event.preventDefault();
  const account = find("fund-account").value.trim();
  act(event.currentTarget.querySelector("button"), "Funding", `${account} has more now.`, () => call("genvm_fund", account, find("fund-amount").value.trim()));
});

const validatorRows = new Rows(find("validators"), {
  key: (one) => one.address,
  most: 200,
  home: find("validator-stake"),
  create(one) {
    const parts = { stake: number("Stake"), provider: cell("Provider"), model: cell("Model") };
    const button = make("button", { type: "button", "aria-label": `Remove the validator ${one.address}` }, "Remove");
    button.addEventListener("click", () => act(button, "Removing the validator", "The validator is removed.", () => call("sim_deleteValidator", one.address)));
    const action = make("td", { role: "cell", class: "right" }, button);
    const row = make("tr", { role: "row" }, cell("Address", make("span", { class: "mono" }, one.address)), parts.stake, parts.provider, parts.model, action);
    row.parts = parts;
    return row;
  },
  update(row, one) {
    say(row.parts.stake, grouped(one.stake));
    say(row.parts.provider, one.provider || "–");
    say(row.parts.model, one.model || "–");
  },
});

let modelsOffered = "";

function drawValidators() {
  const { validators, providers } = state.overview;
  leftOut(find("validators-more"), validatorRows.show(validators), "further validators");
  find("validators-empty").hidden = validators.length > 0;
  const models = providers.map((one) => JSON.stringify([one.provider, one.model]));
  if (modelsOffered !== models.join()) {
    modelsOffered = models.join();
    find("validator-model").replaceChildren(...providers.map((one, index) => make("option", { value: models[index] }, `${one.provider}: ${one.model}`)));
  }
}

find("validator-new").addEventListener("submit", (event) => {
  event.preventDefault();
  const [provider, model] = JSON.parse(find("validator-model").value || '["", ""]');
  act(event.currentTarget.querySelector("button"), "Adding a validator", "There is one more validator.", () =>
    call("sim_createValidator", find("validator-stake").value.trim(), provider, model),
  );
});

function drawNetwork() {
  const { overview: value } = state;
  say(find("time-now"), moment(page.now()));
  const { offset_seconds: offset } = value;
  say(find("time-offset"), offset ? `${duration(Math.abs(offset) * 1000)} ${offset > 0 ? "ahead of" : "behind"} this machine` : "as on this machine");
  if (!offset && document.activeElement === find("time-back")) find("time-seconds").focus();
  find("time-back").hidden = !offset;
  say(find("finality-now"), `${value.finality_window} s`);
  // What stands there is what is set already, until somebody writes something else.
  const window = String(Math.round(value.finality_window));
  if (find("finality-seconds").defaultValue !== window) find("finality-seconds").defaultValue = window;
  leftOut(find("snapshots-more"), snapshotRows.show([...value.snapshots].reverse()), "older snapshots");
  find("snapshots-empty").hidden = value.snapshots.length > 0;
  const facts = { "JSON-RPC": `${location.origin}/api`, "Chain id": `${value.chain_id} (0x${value.chain_id.toString(16)})`, Currency: "GEN, 18 decimals", "Database": value.database };
  const list = find("connect");
  if (list.childElementCount === 0) {
    for (const [name, text] of Object.entries(facts)) list.append(make("dt", {}, name), make("dd", { class: "mono" }, text));
  }
}

const snapshotRows = new Rows(find("snapshots"), {
  key: (one) => one.id,
  most: 100,
  home: find("snapshot-new"),
  create(one) {
    const button = (label, what) => make("button", { type: "button", "aria-label": `${what} snapshot ${one.id}` }, label);
    const back = button("Go back", "Go back to");
    back.addEventListener("click", () => act(back, "Going back", `The network is as in snapshot ${one.id}.`, () => existing(call("sim_restoreSnapshot", one.id))));
    const away = button("Delete", "Delete");
    away.addEventListener("click", () => act(away, "Deleting", `Snapshot ${one.id} is deleted.`, () => existing(call("genvm_deleteSnapshot", one.id))));
    const made = make("time", { datetime: exact(one.created_at), class: "muted number" }, moment(one.created_at));
    return make("li", { class: "row" }, make("span", {}, `Snapshot ${one.id} `, make("br"), made), make("span", { class: "pair" }, back, away));
  },
  update() {},
});

/** Snapshots can be deleted elsewhere. */
async function existing(answer) {
  if (!(await answer)) throw new Error("there is no such snapshot any more");
}

find("snapshot-new").addEventListener("click", ({ currentTarget }) => act(currentTarget, "Keeping this state", (id) => `This is snapshot ${id}.`, () => call("sim_createSnapshot")));
find("time-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act(event.currentTarget.querySelector("button"), "Going ahead", "The clock has been put ahead.", () => call("sim_increaseTime", Number(find("time-seconds").value)));
});
find("time-back").addEventListener("click", ({ currentTarget }) => act(currentTarget, "Setting the clock", "The clock is that of this machine.", () => call("sim_setTime", null)));
find("finality-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act(event.currentTarget.querySelector("button"), "Setting the window", "The finality window is set.", () => call("sim_setFinalityWindowTime", Number(find("finality-seconds").value)));
});

showView();
// Durations go on while nothing else happens.
setInterval(redraw, 1000);
