// The view of transactions: live, each with its rounds, votes, time line, receipt, logs and what it changed.

import { StackedBars } from "../pages/bars.js";
import { find, make, paced, say, serial, set } from "../pages/dom.js";
import { ago, duration, exact } from "../pages/format.js";
import { Rows } from "../pages/table.js";
import { amountParts } from "./amounts.js";
import { explained } from "./failures.js";
import { call } from "./rpc.js";
import { tree } from "./values.js";

const STAGES = ["waiting", "leader", "validators", "settling"];
const VOTES = ["agree", "disagree", "timeout", "deterministic_violation", "idle"];
const OPEN = new Set(["PENDING", "ACTIVATED", "PROPOSING", "COMMITTING", "REVEALING"]);
const APPEALABLE = new Set(["ACCEPTED", "UNDETERMINED", "LEADER_TIMEOUT", "VALIDATORS_TIMEOUT"]);
const SHOWN = 200;
const BARS = 40;
const REFRESH_MS = 250;
/** Characters of an output that are drawn until the rest is asked for. */
const OUTPUT = 20_000;

const words = (text) => text.toLowerCase().replaceAll("_", " ");

export const isOpen = (one) => OPEN.has(one.status);
const hasEffect = (one) => ["ACCEPTED", "FINALIZED"].includes(one.status);
/** Whether it was decided, and not as it was meant. */
export const hasFailed = (one) => !isOpen(one) && (one.failed || !hasEffect(one));
export const outcome = (one) => (one.failed && hasEffect(one) ? `${words(one.status)}, failed` : words(one.status));

function pillClass(one) {
  if (isOpen(one)) return "pill busy";
  if (!hasEffect(one)) return "pill warn";
  return one.failed ? "pill bad" : "pill good";
}

/** What it does, in one line. */
export function title(one) {
  const target = one.contract?.name || one.contract?.address?.slice(0, 10) || "";
  if (one.kind === "deploy" || one.kind === "upgrade") return `${one.kind} ${target}`;
  if (one.kind === "transfer") return `transfer to ${target}`;
  return `${target}.${one.method || "__receive__"}(${one.arguments ?? ""})`;
}

export class Transactions {
  constructor(page) {
    this.page = page;
    this.chosen = null;
    this.shown = null;
    this.checked = new Map();
    /** The cards of the transaction that is shown: what each was made from, and its node. */
    this.cards = new Map();
    this.rows = new Rows(find("transactions"), {
      key: (one) => one.id,
      most: SHOWN,
      home: find("main"),
      create(one) {
        const link = make("a", { href: `#transactions/${one.id}`, "data-transaction": one.id });
        const pill = make("span", {});
        const note = make("small", {});
        const name = make("span", {});
        link.append(name, pill, note);
        const row = make("li", {}, link);
        row.parts = { link, name, pill, note };
        return row;
      },
      update: (row, one) => {
        say(row.parts.name, title(one));
        set(row.parts.pill, "class", pillClass(one));
        say(row.parts.pill, outcome(one));
        const votes = VOTES.filter((vote) => one.votes[vote]).map((vote) => `${one.votes[vote]} ${words(vote)}`);
        say(row.parts.note, [ago(page.now() - one.created_at), `from ${one.from?.name || one.from?.address?.slice(0, 10)}`, votes.join(", "), one.rounds > 1 ? `${one.rounds} rounds` : ""].filter(Boolean).join(" · "));
        set(row.parts.link, "aria-current", one.id === this.chosen ? "true" : null);
      },
    });
    this.stages = new StackedBars(find("stages"), STAGES);
    this.votes = new StackedBars(find("votes"), VOTES);
    legend(find("stages-legend"), STAGES);
    legend(find("votes-legend"), VOTES);
    find("transactions-filter").addEventListener("change", () => this.draw());
    find("transaction-open").addEventListener("submit", (event) => {
      event.preventDefault();
      location.hash = `#transactions/${find("transaction-id").value.trim().toLowerCase()}`;
    });
    this.refresh = paced(serial(() => this.show()), REFRESH_MS);
  }

  fresh() {
    this.shown = null;
  }

  changed(transaction) {
    if (transaction.id === this.chosen) this.refresh();
  }

  choose(id) {
    if (id && id !== this.chosen) {
      this.chosen = id;
      this.shown = null;
      // What is there until the other one has been read is not taken for it.
      find("transaction").inert = true;
    } else this.page.landed(find("transaction-title"));
  }

  draw() {
    const all = [...this.page.state.transactions.values()].reverse();
    const filter = find("transactions-filter").value;
    const shown = all.filter(
      (one) =>
        filter === "all" ||
        (filter === "open" && isOpen(one)) ||
        (filter === "nondet" && Object.keys(one.votes).length > 0) ||
        (filter === "failed" && hasFailed(one)),
    );
    this.rows.show(shown);
    find("transactions-empty").hidden = shown.length > 0;
    if (this.chosen === null && shown.length) this.chosen = shown[0].id;
    if (this.chosen !== null && this.shown !== this.chosen) {
      this.shown = this.chosen;
      this.show();
    }
    const decided = all.filter((one) => !isOpen(one)).reverse();
    const top = this.stages.draw(decided.map((one) => one.stages ?? {}), BARS);
    say(find("stages-top"), top ? duration(top) : "nothing yet");
    set(this.stages.svg, "aria-label", `Time per stage of the latest ${Math.min(BARS, decided.length)} transactions; the longest took ${duration(top)}`);
    const voted = decided.filter((one) => Object.keys(one.votes).length > 0);
    const most = this.votes.draw(voted.map((one) => one.votes), BARS);
    say(find("votes-top"), most ? `${most} votes` : "nothing yet");
    set(this.votes.svg, "aria-label", `Votes on the latest ${Math.min(BARS, voted.length)} transactions`);
  }

  /** Draws the chosen transaction. Cards of which nothing has changed stay as they are. */
  async show() {
    const id = this.chosen;
    const holder = find("transaction");
    if (id === null) return;
    let one;
    try {
      one = await call("genvm_describeTransaction", id);
    } catch (error) {
      if (this.chosen !== id) return;
      holder.inert = false;
      this.cards.clear();
      const again = make("button", { type: "button" }, "Try again");
      again.addEventListener("click", () => this.show());
      holder.replaceChildren(make("section", { class: "card" }, make("p", { class: "answer bad" }, error.message), again));
      return;
    }
    if (this.chosen !== id) return;
    holder.inert = false;
    const focused = holder.contains(document.activeElement) ? document.activeElement.dataset.does : undefined;
    const { stdout, stderr, log, changes, rounds_detail, events, settlement, ...head } = one;
    const cards = {
      head: [head, () => this.head(one)],
      rounds: [rounds_detail, () => this.rounds(one)],
      changes: [[changes, one.status], () => this.changes(one)],
      events: [events, () => this.events(one)],
      output: [[stdout, stderr, log], () => this.output(one)],
      receipt: [settlement, () => this.receipt(one)],
    };
    const known = this.cards;
    this.cards = new Map();
    for (const [name, [parts, draw]] of Object.entries(cards)) {
      const from = JSON.stringify([id, parts]);
      const old = known.get(name);
      this.cards.set(name, old?.from === from ? old : { from, node: redrawn(old, draw()) });
    }
    const nodes = [...this.cards.values()].map(({ node }) => node).filter(Boolean);
    // What stays is not taken out and put in again: it would lose the focus, and where it is scrolled to.
    for (const node of [...holder.children]) if (!nodes.includes(node)) node.remove();
    nodes.forEach((node, index) => holder.children[index] === node || holder.insertBefore(node, holder.children[index] ?? null));
    if (focused) (holder.querySelector(`[data-does="${focused}"]`) ?? find("transaction-title")).focus({ preventScroll: true });
    this.page.landed(find("transaction-title"));
  }

  head(one) {
    const facts = [
      ["Id", make("span", { class: "mono" }, one.id)],
      ["From", party(one.from)],
      ["To", one.contract ? make("a", { href: `#contracts/${one.contract.address}` }, party(one.contract)) : null],
      ["Value", one.value && String(one.value) !== "0" ? make("span", { class: "number amount" }, ...amountParts(one.value)) : null],
      ["Sent", make("time", { datetime: exact(one.created_at) }, exact(one.created_at))],
      ["Caused by", one.parent ? make("a", { href: `#transactions/${one.parent}`, class: "mono" }, one.parent.slice(0, 18)) : null],
      ["Caused", one.children?.length ? make("span", {}, ...one.children.flatMap((child) => [make("a", { href: `#transactions/${child}`, class: "mono" }, child.slice(0, 18)), " "])) : null],
    ];
    const list = make("dl", { class: "facts" });
    for (const [name, value] of facts) if (value !== null && value !== undefined) list.append(make("dt", {}, name), make("dd", {}, value));
    const buttons = make("div", { class: "tools" });
    if (APPEALABLE.has(one.status)) buttons.append(this.button("appeal", "Appeal", one, "Appealing", "The appeal is under way.", () => call("genvm_appealTransaction", one.id)));
    if (["ACCEPTED", "UNDETERMINED"].includes(one.status)) buttons.append(this.button("finalize", "Finalize now", one, "Finalizing", "It is final.", () => call("genvm_finalizeTransaction", one.id)));
    if (one.status === "PENDING") buttons.append(this.button("cancel", "Cancel", one, "Canceling", "It is canceled.", () => call("sim_cancelTransaction", one.id)));
    const card = make(
      "section",
      { class: "card", "aria-labelledby": "transaction-title" },
      make("header", {}, make("h2", { id: "transaction-title", tabindex: -1, "data-does": "title" }, title(one)), make("span", { class: pillClass(one), id: "transaction-status" }, outcome(one)), buttons),
      list,
      this.timeline(one),
    );
    if (one.error) card.append(make("div", { class: "answer bad" }, ...explained(one.error)));
    else if (one.result !== undefined && !isOpen(one)) card.append(make("div", { class: "answer" }, make("span", { class: "muted" }, "Result "), tree(one.result)));
    return card;
  }

  button(name, label, one, doing, done, work) {
    const button = make("button", { type: "button", "data-does": name }, label);
    const told = (answer) => (answer === false ? "That is not possible any more: it has another status now." : done);
    button.addEventListener("click", () => this.page.act(button, doing, told, work));
    return button;
  }

  timeline(one) {
    const stages = STAGES.filter((stage) => one.stages?.[stage] > 0);
    const total = stages.reduce((sum, stage) => sum + one.stages[stage], 0);
    if (!total) return null;
    const svg = make("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
    let x = 0;
    for (const stage of stages) {
      const width = (100 * one.stages[stage]) / total;
      svg.append(make("rect", { x: x.toFixed(2), y: 0, width: width.toFixed(2), height: 10, class: `series-${stage}` }));
      x += width;
    }
    const entries = make("ul", { class: "legend" }, ...stages.map((stage) => make("li", {}, make("span", { class: `swatch series-${stage}` }), `${stage} ${duration(one.stages[stage])}`)));
    const history = make("ol", { class: "facts-list unseen" }, ...(one.history ?? []).map(({ status, at }) => make("li", {}, `${words(status)} at ${exact(at)}`)));
    return make("figure", {}, make("div", { class: "timeline" }, svg), make("figcaption", {}, entries, history));
  }

  rounds(one) {
    if (!one.rounds_detail?.length) return null;
    const card = make("section", { class: "card", "aria-labelledby": "rounds-title" }, make("header", {}, make("h2", { id: "rounds-title" }, "Consensus")));
    one.rounds_detail.forEach((round, index) => {
      const people = make("ul", { class: "people" }, ...round.validators.map((person) => this.person(person, index)));
      card.append(
        make(
          "div",
          { class: "round" },
          make("h3", {}, `Round ${index + 1}: ${words(round.label)}`),
          // In an appeal others judge what the last leader found.
          round.leader && make("div", {}, make("p", {}, make("strong", {}, "Leader "), who(round.leader)), tree(round.leader.outcome)),
          round.leader && outputOf(round.leader, `leader-${index}`),
          people,
        ),
      );
    });
    return card;
  }

  person(person, index) {
    const vote = person.vote ?? "";
    const kind = vote === "agree" ? "good" : vote === "disagree" || vote === "deterministic_violation" ? "bad" : vote ? "warn" : "busy";
    return make(
      "li",
      {},
      make("span", { class: `pill ${kind}` }, vote ? words(vote) : "at work"),
      make("span", {}, who(person), person.seconds ? make("span", { class: "muted" }, ` ${duration(person.seconds * 1000)}`) : null),
      person.why ? make("span", { class: "why" }, person.why) : null,
      outputOf(person, `person-${index}-${person.address}`),
    );
  }

  changes(one) {
    if (!one.changes && !(one.contract && ["ACCEPTED", "FINALIZED"].includes(one.status))) return null;
    // Decoding is a read of the contract, which nobody needs while no page is open.
    const shown = one.changes
      ? tree(one.changes.after ?? {}, one.changes.before ?? {})
      : make("p", { class: "muted" }, "What it changed is read for transactions that run while a page is open. For this one it is not known, or not yet.");
    return make("section", { class: "card", "aria-labelledby": "changes-title" }, make("header", {}, make("h2", { id: "changes-title" }, "State afterwards, changes marked")), shown);
  }

  events(one) {
    if (!one.events?.length) return null;
    const list = make("ol", { class: "events" }, ...one.events.map((event) => make("li", {}, ...event.topics.map((topic) => make("p", { class: "mono" }, topic)), tree(event.data))));
    return make("section", { class: "card", "aria-labelledby": "events-title" }, make("header", {}, make("h2", { id: "events-title" }, "Events")), list);
  }

  output(one) {
    const parts = [["Output", one.stdout], ["Errors and traceback", one.stderr]].filter(([, text]) => text);
    if (parts.length === 0 && !one.log) return null;
    const card = make("section", { class: "card", "aria-labelledby": "output-title" }, make("header", {}, make("h2", { id: "output-title" }, "Output and logs")));
    for (const [name, text] of parts) card.append(make("h3", {}, name), ...printed(text, name));
    if (one.log) card.append(make("details", { class: "more", "data-open": "log" }, make("summary", { "data-does": "log" }, "Log of the executor"), ...printed(one.log, "Log of the executor")));
    return card;
  }

  receipt(one) {
    if (!one.settlement) return null;
    const list = make("ul", { class: "checks", role: "status" });
    const button = make("button", { type: "button", "data-does": "check" }, "Check the receipt");
    const draw = (checks) => list.replaceChildren(...checks.map((check) => make("li", { class: check.holds === null ? undefined : check.holds ? "holds" : "fails" }, check.text)));
    if (this.checked.has(one.id)) draw(this.checked.get(one.id));
    button.addEventListener("click", async () => {
      const answer = await this.page.act(button, "Checking the receipt", (found) => (found.checks.every((check) => check.holds !== false) ? "The receipt holds." : "The receipt does not hold."), () => call("genvm_checkReceipt", one.id));
      if (answer === null) return;
      this.checked.set(one.id, answer.checks);
      draw(answer.checks);
    });
    const facts = make("dl", { class: "facts" });
    for (const [name, value] of Object.entries(one.settlement)) {
      if (typeof value !== "object") facts.append(make("dt", {}, name.replaceAll("_", " ")), make("dd", { class: "mono" }, String(value)));
    }
    return make("section", { class: "card", "aria-labelledby": "receipt-title" }, make("header", {}, make("h2", { id: "receipt-title" }, "Receipt"), make("div", { class: "tools" }, button)), facts, list);
  }
}

function legend(holder, kinds) {
  holder.append(...kinds.map((kind) => make("li", {}, make("span", { class: `swatch series-${kind}` }), words(kind))));
}

const party = (one) => make("span", { class: one?.name ? undefined : "mono", title: one?.address }, one?.name || one?.address || "–");

const who = (person) => make("span", { title: person.address }, [person.name || person.address?.slice(0, 10), person.model ? `(${person.model})` : ""].filter(Boolean).join(" "));

function outputOf(person, key) {
  const text = [person.stdout, person.stderr].filter(Boolean).join("\n");
  if (!text) return null;
  return make("details", { class: "more why", "data-open": key }, make("summary", { "data-does": key }, "output"), ...printed(text, "Output"));
}

/** A text as it was printed; the end of a long one when it is asked for. */
function printed(text, name) {
  const pre = make("pre", { class: "wrap", tabindex: 0, "aria-label": name }, text.slice(0, OUTPUT));
  if (text.length <= OUTPUT) return [pre];
  const button = make("button", { type: "button" }, `… all ${text.length} characters`);
  button.addEventListener("click", () => {
    say(pre, text);
    button.remove();
    pre.focus();
  });
  return [pre, button];
}

/** `node` in the place of an old card: what was open there is open. */
function redrawn(old, node) {
  const open = new Set([...(old?.node?.querySelectorAll("details[open][data-open]") ?? [])].map((one) => one.dataset.open));
  for (const one of node?.querySelectorAll("details[data-open]") ?? []) if (open.has(one.dataset.open)) one.open = true;
  return node;
}
