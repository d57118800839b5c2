// The page of the local network: everything that moves comes from the stream at /page/events; what people do goes to /api.

import { find, make, paced, say, set } from "../pages/dom.js";
import { duration } from "../pages/format.js";
import { follow } from "../pages/live.js";
import { Rows } from "../pages/table.js";
import { call } from "./rpc.js";
import { Contracts } from "./contracts.js";
import { Transactions } from "./transactions.js";

const VIEWS = ["contracts", "transactions", "accounts", "validators", "network"];
const REDRAW_MS = 150;
const ACCOUNTS_SHOWN = 200;
const TRANSACTIONS_KEPT = 300;

/** What is known: the overview, and the latest transactions by id, oldest first. */
const state = { overview: null, transactions: new Map(), clockOffset: 0 };
let silence = 0;
let heard = false;

const page = {
  state,
  now: () => Date.now() + state.clockOffset,
  announce,
  act,
  accountNames: () => (state.overview?.accounts ?? []).filter((one) => !one.is_contract).map((one) => one.name || one.address),
};
const contracts = new Contracts(page);
const transactions = new Transactions(page);

// --- what comes ---

const events = {
  state(value) {
    state.transactions = new Map(value.transactions.map((one) => [one.id, one]));
    overview(value);
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
    redraw();
  },
};

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
    say(pill, connected ? "live" : connection === "connecting" ? "connecting" : "not connected");
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
  if (document.activeElement === document.body && control.isConnected) control.focus();
  return result;
}

function announce(text, bad = false) {
  const said = find("said");
  said.className = bad ? "said bad" : "said";
  say(said, text);
  clearTimeout(silence);
  silence = setTimeout(() => say(said, ""), bad ? 20_000 : 5000);
}

// --- views ---

function showView() {
  const [view, detail] = location.hash.slice(1).split("/");
  const chosen = VIEWS.includes(view) ? view : "contracts";
  for (const name of VIEWS) find(`view-${name}`).hidden = name !== chosen;
  for (const link of find("views").children) set(link, "aria-current", link.getAttribute("href") === `#${chosen}` ? "page" : null);
  if (chosen === "contracts") contracts.choose(detail);
  if (chosen === "transactions") transactions.choose(detail);
  redraw();
}
addEventListener("hashchange", showView);

const redraw = paced(() => {
  const { overview: value } = state;
  if (value === null) return;
  say(find("block"), String(value.block));
  say(find("chain"), String(value.chain_id));
  say(find("clock"), value.datetime.replace("T", " ").slice(0, 19));
  set(find("clock"), "title", value.offset_seconds ? `${value.offset_seconds} s ahead of this machine` : null);
  drawAddresses();
  if (!find("view-contracts").hidden) contracts.draw();
  if (!find("view-transactions").hidden) transactions.draw();
  if (!find("view-accounts").hidden) drawAccounts();
  if (!find("view-validators").hidden) drawValidators();
  if (!find("view-network").hidden) drawNetwork();
}, REDRAW_MS);

let offered = "";

function drawAddresses() {
  const known = [...state.overview.accounts, ...state.overview.contracts].map((one) => one.name || one.address);
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
    const nonce = number("Nonce");
    const row = make("tr", { role: "row" }, cell("Name", one.name || (one.is_contract ? "contract" : "–")), cell("Address", make("span", { class: "mono" }, one.address)), balance, nonce);
    row.parts = { balance, nonce };
    return row;
  },
  update(row, one) {
    say(row.parts.balance, grouped(one.balance));
    say(row.parts.nonce, String(one.nonce));
  },
});

/** Digits in groups of three. */
const grouped = (digits) => String(digits).replace(/\B(?=(\d{3})+$)/g, "\u202f");

function drawAccounts() {
  accountRows.show(state.overview.accounts);
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
    say(row.parts.stake, String(one.stake));
    say(row.parts.provider, one.provider || "–");
    say(row.parts.model, one.model || "–");
  },
});

let modelsOffered = "";

function drawValidators() {
  const { validators, providers } = state.overview;
  validatorRows.show(validators);
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
  say(find("time-now"), value.datetime.replace("T", " ").slice(0, 19));
  say(find("time-offset"), value.offset_seconds ? `${duration(value.offset_seconds * 1000)} ahead of this machine` : "as on this machine");
  say(find("finality-now"), `${value.finality_window} s`);
  snapshotRows.show(value.snapshots);
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
    const button = make("button", { type: "button", "aria-label": `Go back to snapshot ${one.id}` }, "Go back");
    button.addEventListener("click", () => act(button, "Going back", `The network is as in snapshot ${one.id}.`, () => call("sim_restoreSnapshot", one.id)));
    return make("li", { class: "row" }, make("span", {}, `Snapshot ${one.id}`, make("small", { class: "muted" }, ` ${one.created_at ?? ""}`)), button);
  },
  update() {},
});

find("snapshot-new").addEventListener("click", ({ currentTarget }) => act(currentTarget, "Keeping this state", (id) => `This is snapshot ${id}.`, () => call("sim_createSnapshot")));
find("time-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act(event.currentTarget.querySelector("button"), "Going ahead", "The clock has been put ahead.", () => call("sim_increaseTime", Number(find("time-seconds").value)));
});
find("finality-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act(event.currentTarget.querySelector("button"), "Setting the window", "The finality window is set.", () => call("sim_setFinalityWindowTime", Number(find("finality-seconds").value)));
});

showView();
// Durations go on while nothing else happens.
setInterval(redraw, 1000);
