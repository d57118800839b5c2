// The view of contracts: deploy by form or drop, call by forms made from the schema, state, source.

import { find, make, say, set } from "../pages/dom.js";
import { Rows } from "../pages/table.js";
import { parameters, sending, typeText } from "./forms.js";
import { call } from "./rpc.js";
import { tree } from "./values.js";

const FILE_BYTES_MAX = 10_000_000;
const SHOWN = 300;

export class Contracts {
  constructor(page) {
    this.page = page;
    this.chosen = null;
    this.shown = null;
    this.file = null;
    this.stateDue = false;
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
    find("deploy-file").addEventListener("change", ({ currentTarget }) => currentTarget.files[0] && this.open(currentTarget.files[0]));
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
    const form = find("deploy-form");
    form.replaceChildren(make("p", { class: "muted" }, `Reading ${file.name} …`));
    try {
      if (file.size > FILE_BYTES_MAX) throw new Error(`it has ${file.size} bytes; at most ${FILE_BYTES_MAX} can be deployed`);
      const code = hex(new Uint8Array(await file.arrayBuffer()));
      const schema = await call("gen_getContractSchemaForCode", code);
      this.offer(file.name, code, schema);
    } catch (error) {
      form.replaceChildren(make("p", { class: "answer bad" }, make("strong", {}, `${file.name} cannot be deployed: `), make("span", {}, error.message)));
      this.page.announce(`${file.name} cannot be deployed`, true);
    }
  }

  offer(fileName, code, schema) {
    const fields = parameters(schema.ctor);
    const sent = sending(this.page.accountNames(), schema.ctor?.payable ?? false);
    const name = make("input", { id: "deploy-name", value: fileName.replace(/\.\w+$/, "").replace(/[^A-Za-z0-9_.-]/g, "-"), autocomplete: "off" });
    const button = make("button", { class: "main" }, "Deploy");
    const form = make(
      "form",
      {},
      make("div", { class: "fields" }, make("div", { class: "field" }, make("label", { for: "deploy-name" }, `Name of ${fileName} on this network`), name)),
      fields.node,
      sent.node,
      button,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const id = await this.page.act(button, `Deploying ${fileName}`, `${fileName} is on its way.`, () =>
        call("genvm_deploy", { code, name: name.value.trim(), ...fields.values(), ...sent.values() }),
      );
      if (id !== null) location.hash = `#transactions/${id}`;
    });
    find("deploy-form").replaceChildren(form);
    (form.querySelector(".fields textarea, .fields input, .fields select") ?? button).focus();
  }

  fresh() {
    this.shown = null;
  }

  changed(transaction) {
    if (transaction.contract?.address === this.chosen && ["ACCEPTED", "FINALIZED"].includes(transaction.status)) this.stateDue = true;
  }

  choose(address) {
    this.chosen = address || this.chosen;
  }

  draw() {
    const { contracts } = this.page.state.overview;
    this.rows.show(contracts);
    find("contracts-empty").hidden = contracts.length > 0;
    if (this.chosen === null && contracts.length) this.chosen = contracts[0].address;
    if (this.chosen !== null && this.shown !== this.chosen) {
      this.shown = this.chosen;
      this.stateDue = false;
      this.show(this.chosen);
    } else if (this.stateDue && this.chosen !== null) {
      this.stateDue = false;
      this.refreshState(this.chosen);
    }
  }

  async show(address) {
    const holder = find("contract");
    holder.replaceChildren(make("section", { class: "card" }, make("p", { class: "muted" }, "Reading the contract …")));
    let contract;
    try {
      contract = await call("genvm_describeContract", address);
    } catch (error) {
      if (this.chosen === address) holder.replaceChildren(make("section", { class: "card" }, make("p", { class: "answer bad" }, error.message)));
      return;
    }
    if (this.chosen !== address) return;
    this.stateHolder = make("div", {});
    holder.replaceChildren(this.methodsCard(contract), this.stateCard(contract), this.sourceCard(contract));
  }

  methodsCard(contract) {
    const { address, name, schema } = contract;
    const card = make(
      "section",
      { class: "card", "aria-labelledby": "methods-title" },
      make("header", {}, make("h2", { id: "methods-title" }, name || "Contract"), make("span", { class: "mono muted" }, address)),
    );
    if (!schema) {
      card.append(make("p", { class: "failure" }, contract.schema_error || "It has no schema."));
      return card;
    }
    const methods = Object.entries(schema.methods).sort(([, a], [, b]) => Number(b.readonly) - Number(a.readonly));
    if (methods.length === 0) card.append(make("p", { class: "empty" }, "It has no public methods."));
    for (const [method, description] of methods) card.append(this.methodForm(address, method, description));
    return card;
  }

  methodForm(address, method, description) {
    const { readonly } = description;
    const fields = parameters(description);
    const sent = sending(this.page.accountNames(), description.payable ?? false);
    const answer = make("div", { class: "answer", role: "status", hidden: true });
    const button = make("button", { class: readonly ? undefined : "main" }, readonly ? "Read" : "Send");
    const form = make("form", {}, fields.node, sent.node, button, answer);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      answer.hidden = true;
      const doing = readonly ? `Reading ${method}` : `Sending ${method}`;
      const result = await this.page.act(button, doing, readonly ? `${method} has answered.` : `${method} is on its way.`, () =>
        call(readonly ? "genvm_read" : "genvm_write", { contract: address, method, ...fields.values(), ...sent.values() }),
      );
      if (result === null) return;
      if (!readonly) {
        location.hash = `#transactions/${result}`;
        return;
      }
      answer.hidden = false;
      answer.classList.toggle("bad", !result.ok);
      answer.replaceChildren(result.ok ? tree(result.result) : make("span", {}, result.error.message));
      if (result.stdout) answer.append(make("pre", { class: "wrap" }, result.stdout));
    });
    const count = (description.params?.length ?? 0) + Object.keys(description.kwparams ?? {}).length;
    return make(
      "details",
      { class: "method", open: readonly && count === 0 },
      make("summary", {}, method, make("small", {}, ` ${readonly ? "view" : description.payable ? "write, payable" : "write"} → ${typeText(description.ret ?? "any")}`)),
      form,
    );
  }

  stateCard(contract) {
    this.drawState(contract.state);
    return make("section", { class: "card", "aria-labelledby": "state-title" }, make("header", {}, make("h2", { id: "state-title" }, "State")), this.stateHolder);
  }

  drawState(state, before = undefined) {
    if (state.fields === null) this.stateHolder.replaceChildren(make("p", { class: "muted" }, state.note), tree(Object.fromEntries(state.slots.map((slot) => [slot.name || slot.slot, slot.data]))));
    else this.stateHolder.replaceChildren(tree(state.fields, before));
    this.fields = state.fields;
  }

  /** Draws the state again, with what has changed since. */
  async refreshState(address) {
    try {
      const { state } = await call("genvm_describeContract", address);
      if (this.chosen === address && this.stateHolder) this.drawState(state, this.fields ?? undefined);
    } catch (error) {
      this.page.announce(error.message, true);
    }
  }

  sourceCard(contract) {
    const code = make("pre", { tabindex: 0, "aria-label": "Source of the contract" });
    for (const [kind, text] of contract.source ?? []) code.append(kind ? make("span", { class: kind }, text) : text);
    return make(
      "section",
      { class: "card", "aria-labelledby": "source-title" },
      make("header", {}, make("h2", { id: "source-title" }, "Source")),
      contract.source ? code : make("p", { class: "muted" }, "Not text."),
    );
  }
}

function hex(bytes) {
  let text = "0x";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
