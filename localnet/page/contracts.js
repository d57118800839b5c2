// The view of contracts: deploy by form or drop, call by forms made from the schema, state, source.

import { find, make, say, serial, set } from "../pages/dom.js";
import { Rows } from "../pages/table.js";
import { typeText } from "./arguments.js";
import { explained } from "./failures.js";
import { contractName, labelled, parameters, readAll, sending, unknownParameters } from "./forms.js";
import { grouped } from "./amounts.js";
import { call } from "./rpc.js";
import { tree } from "./values.js";

const FILE_BYTES_MAX = 10_000_000;
const SHOWN = 300;

export class Contracts {
  constructor(page) {
    this.page = page;
    this.chosen = null;
    this.shown = null;
    /** What was read last, so that forms stay while nothing that they depend on has changed. */
    this.read = null;
    this.opened = 0;
    this.stateDue = false;
    // Reading a large state takes longer than the next transaction.
    this.refresh = serial(() => this.refreshState(this.chosen));
    this.rows = new Rows(find("contracts"), {
      key: (one) => one.address,
      most: SHOWN,
      home: find("main"),
      create(one) {
        const link = make("a", { href: `#contracts/${one.address}` });
        const name = make("span", {});
        const count = make("span", { class: "muted number" });
        link.append(name, count, make("small", { class: "mono" }, one.address));
        const row = make("li", {}, link);
        row.parts = { link, name, count };
        return row;
      },
      update: (row, one) => {
        say(row.parts.name, one.name || "contract");
        say(row.parts.count, one.transactions === undefined ? "" : `${one.transactions} tx`);
        set(row.parts.link, "aria-current", one.address === this.chosen ? "true" : null);
      },
    });
    const chooser = find("deploy-file");
    chooser.addEventListener("change", () => chooser.files[0] && this.open(chooser.files[0]));
    // The same file again is a change too: it has been edited.
    chooser.addEventListener("click", () => (chooser.value = ""));
    this.listenForDrops();
  }

  listenForDrops() {
    let depth = 0;
    const over = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    addEventListener("dragenter", (event) => {
      if (!over(event)) return;
      event.preventDefault();
      depth += 1;
      find("dropping").hidden = false;
    });
    addEventListener("dragover", (event) => over(event) && event.preventDefault());
    addEventListener("dragleave", () => {
      depth = Math.max(0, depth - 1);
      if (depth === 0) find("dropping").hidden = true;
    });
    addEventListener("drop", (event) => {
      depth = 0;
      find("dropping").hidden = true;
      const file = event.dataTransfer?.files[0];
      if (!file) return;
      event.preventDefault();
      location.hash = "#contracts";
      this.open(file);
    });
  }

  /** Reads a contract and offers its constructor. */
  async open(file) {
    const turn = ++this.opened;
    const form = find("deploy-form");
    form.replaceChildren(make("p", { class: "muted" }, `Reading ${file.name} …`));
    try {
      if (file.size > FILE_BYTES_MAX) throw new Error(`it has ${file.size} bytes; at most ${FILE_BYTES_MAX} can be deployed`);
      const code = hex(new Uint8Array(await file.arrayBuffer()));
      const described = await call("genvm_describeCode", code);
      if (turn === this.opened) this.offer(file.name, code, described);
    } catch (error) {
      if (turn !== this.opened) return;
      form.replaceChildren(make("p", { class: "answer bad" }, make("strong", {}, `${file.name} cannot be deployed: `), error.message));
      this.page.announce(`${file.name} cannot be deployed: ${error.message}`, true);
    }
  }

  offer(fileName, code, { schema, schema_error, written }) {
    const fields = schema ? parameters(schema.ctor, written.__init__, this.page.knows) : unknownParameters(this.page.knows);
    const sent = sending(this.page.senders(), schema ? (schema.ctor?.payable ?? false) : true);
    const name = labelled(`Name of ${fileName} on this network`, make("input", { id: "deploy-name", value: nameFromFile(fileName), autocomplete: "off" }));
    name.read = () => contractName(name.control.value);
    const button = make("button", { class: "main" }, schema ? "Deploy" : "Deploy all the same");
    const form = make("form", { novalidate: true }, make("div", { class: "fields" }, name.node), fields.node, sent.node, button);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      // All of them, so that each tells what is wrong with it; the focus goes to the first.
      const parts = [sent.values(), fields.values(), readAll([name])];
      if (parts.includes(null)) return;
      const here = location.hash;
      const id = await this.page.act(button, `Deploying ${fileName}`, `${fileName} is on its way.`, () =>
        call("genvm_deploy", { code, name: parts[2][0], ...parts[1], ...parts[0] }),
      );
      if (id === null) return;
      this.page.sent(id);
      // Whoever has gone elsewhere meanwhile stays there.
      if (location.hash === here) location.hash = `#transactions/${id}`;
    });
    if (schema) find("deploy-form").replaceChildren(form);
    else {
      const failure = make("div", { class: "answer bad" }, make("p", {}, make("strong", {}, `${fileName} gives no schema: `)), ...explained(schema_error));
      find("deploy-form").replaceChildren(failure, make("details", { class: "more" }, make("summary", {}, "Deploy it all the same"), form));
      this.page.announce(`${fileName} gives no schema: ${schema_error.message}`, true);
      return;
    }
    (form.querySelector(".fields textarea, .fields input, .fields select") ?? button).focus();
  }

  fresh() {
    this.stateDue = true;
  }

  changed(transaction) {
    if (transaction.contract?.address === this.chosen && ["ACCEPTED", "FINALIZED"].includes(transaction.status)) this.stateDue = true;
  }

  choose(address) {
    this.chosen = address || this.chosen;
    // What another one does is not taken for this one's.
    find("contract").inert = this.shown !== null && this.chosen !== this.shown;
    if (this.chosen === this.shown) this.page.landed(find("methods-title"));
  }

  draw() {
    const { contracts } = this.page.state.overview;
    leftOut(find("contracts-more"), this.rows.show(contracts), "older contracts");
    find("contracts-empty").hidden = contracts.length > 0;
    if (this.chosen === null && contracts.length) this.chosen = contracts[0].address;
    if (this.chosen !== null && this.shown !== this.chosen) {
      this.shown = this.chosen;
      this.stateDue = false;
      this.show(this.chosen);
    } else if (this.stateDue && this.chosen !== null) {
      this.stateDue = false;
      this.refresh();
    }
  }

  async show(address) {
    const holder = find("contract");
    this.read = null;
    holder.inert = false;
    holder.replaceChildren(make("section", { class: "card" }, make("p", { class: "muted" }, "Reading the contract …")));
    let contract;
    try {
      contract = await call("genvm_describeContract", address);
    } catch (error) {
      if (this.chosen !== address) return;
      const again = make("button", { type: "button" }, "Try again");
      again.addEventListener("click", () => this.show(address));
      holder.replaceChildren(make("section", { class: "card" }, make("p", { class: "answer bad" }, error.message), again));
      return;
    }
    if (this.chosen !== address) return;
    this.read = JSON.stringify([contract.schema, contract.source]);
    this.balance = make("p", { class: "muted number" });
    this.stateHolder = make("div", {});
    holder.replaceChildren(this.methodsCard(contract), this.stateCard(contract), this.sourceCard(contract));
    this.page.landed(find("methods-title"));
  }

  methodsCard(contract) {
    const { address, name, schema, written } = contract;
    const card = make(
      "section",
      { class: "card", "aria-labelledby": "methods-title" },
      make("header", {}, make("h2", { id: "methods-title", tabindex: -1 }, name || "Contract"), make("span", { class: "mono muted" }, address)),
      this.balance,
    );
    if (!schema) {
      card.append(make("div", { class: "answer bad" }, ...explained(contract.schema_error)));
      card.append(this.unknownMethod(address));
      return card;
    }
    const methods = Object.entries(schema.methods).sort(([, a], [, b]) => Number(b.readonly) - Number(a.readonly));
    if (methods.length === 0) card.append(make("p", { class: "empty" }, "It has no public methods."));
    for (const [method, description] of methods) card.append(this.methodForm(address, method, description, written[method]));
    return card;
  }

  /** A form for a contract that does not say what its methods are. */
  unknownMethod(address) {
    const method = labelled("Method", make("input", { autocomplete: "off", spellcheck: "false" }));
    const fields = unknownParameters(this.page.knows);
    const sent = sending(this.page.senders(), true);
    const answer = make("div", { class: "answer", role: "status", hidden: true });
    const buttons = [make("button", { name: "read" }, "Read"), make("button", { name: "write", class: "main" }, "Send")];
    const form = make("form", { novalidate: true }, make("div", { class: "fields" }, method.node), fields.node, sent.node, make("p", { class: "pair" }, ...buttons), answer);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.carryOut(event.submitter ?? buttons[0], (event.submitter ?? buttons[0]).name === "read", address, method.control.value.trim(), fields, sent, answer);
    });
    return make("details", { class: "method", open: true }, make("summary", {}, "Any method"), form);
  }

  methodForm(address, method, description, written) {
    const { readonly } = description;
    const fields = parameters(description, written, this.page.knows);
    const sent = sending(this.page.senders(), description.payable ?? false);
    const answer = make("div", { class: "answer", role: "status", hidden: true });
    const button = make("button", { class: readonly ? undefined : "main" }, readonly ? "Read" : "Send");
    const form = make("form", { novalidate: true }, fields.node, sent.node, button, answer);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.carryOut(button, readonly, address, method, fields, sent, answer);
    });
    const count = (description.params?.length ?? 0) + Object.keys(description.kwparams ?? {}).length;
    return make(
      "details",
      { class: "method", open: readonly && count === 0 },
      make("summary", {}, method, make("small", {}, ` ${readonly ? "view" : description.payable ? "write, payable" : "write"} → ${typeText(description.ret ?? "any")}`)),
      form,
    );
  }

  /** Reads or sends what is in a form, unless something in it does not fit. */
  async carryOut(button, reads, contract, method, fields, sent, answer) {
    answer.hidden = true;
    const parts = [sent.values(), fields.values()];
    if (parts.includes(null)) return;
    const here = location.hash;
    const shown = method || "__receive__";
    const result = await this.page.act(button, reads ? `Reading ${shown}` : `Sending ${shown}`, reads ? `${shown} has answered.` : `${shown} is on its way.`, () =>
      call(reads ? "genvm_read" : "genvm_write", { contract, method, ...parts[1], ...parts[0] }),
    );
    if (result === null) return;
    if (!reads) {
      this.page.sent(result);
      if (location.hash === here) location.hash = `#transactions/${result}`;
      return;
    }
    answer.hidden = false;
    answer.classList.toggle("bad", !result.ok);
    answer.replaceChildren(...(result.ok ? [tree(result.result)] : explained(result.error)));
    for (const text of [result.stdout, result.ok ? "" : result.stderr]) if (text) answer.append(make("pre", { class: "wrap" }, text));
  }

  stateCard(contract) {
    this.drawState(contract);
    return make("section", { class: "card", "aria-labelledby": "state-title" }, make("header", {}, make("h2", { id: "state-title" }, "State")), this.stateHolder);
  }

  drawState({ state, balance }, before = undefined) {
    say(this.balance, `Balance ${grouped(balance)} wei`);
    const slots = () => tree(Object.fromEntries(state.slots.map((slot) => [slot.name || slot.slot, slot.data])));
    if (state.fields === null) this.stateHolder.replaceChildren(make("p", { class: "muted" }, state.note), slots());
    else this.stateHolder.replaceChildren(tree(state.fields, before));
    this.fields = state.fields;
  }

  /** Draws the state again, with what has changed since; and all of it if it is another contract now. */
  async refreshState(address) {
    let contract = null;
    try {
      contract = this.read && (await call("genvm_describeContract", address));
    } catch {
      // What is wrong is told where the contract stood.
    }
    if (this.chosen !== address) return;
    if (contract === null || this.read !== JSON.stringify([contract.schema, contract.source])) await this.show(address);
    else if (this.fields === null || JSON.stringify(contract.state.fields) !== JSON.stringify(this.fields)) this.drawState(contract, this.fields ?? undefined);
    else say(this.balance, `Balance ${grouped(contract.balance)} wei`);
  }

  sourceCard(contract) {
    const code = make("pre", { tabindex: 0, "aria-label": "Source of the contract" });
    for (const [kind, text] of contract.source ?? []) code.append(make("span", { class: kind || undefined }, text));
    return make(
      "section",
      { class: "card", "aria-labelledby": "source-title" },
      make("header", {}, make("h2", { id: "source-title" }, "Source")),
      contract.source ? code : make("p", { class: "muted" }, "Not text."),
    );
  }
}

/** As `name_from_file` of localnet/names.py has it, but for names of accounts. */
function nameFromFile(file) {
  const name = file.replace(/\.\w+$/, "").replace(/[^A-Za-z0-9_.-]/g, "_").slice(0, 63);
  return /^[A-Za-z_]/.test(name) ? name : `_${name}`;
}

/** Says how many are not shown. */
export function leftOut(node, count, what) {
  node.hidden = count === 0;
  say(node, `${count} ${what} are not shown.`);
}

function hex(bytes) {
  let text = "0x";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
