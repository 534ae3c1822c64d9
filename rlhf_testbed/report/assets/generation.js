// One generation from every side, and the same scenario elsewhere.
"use strict";

testbed.Opened = class {
  constructor(store) {
    this.store = store;
    this.dialog = document.getElementById("generation");
    this.body = document.getElementById("generation-body");
    this.title = document.getElementById("generation-title");
    this.browser = null;
    this.row = -1;
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    document.getElementById("close").addEventListener("click", () => this.dialog.close());
    for (const button of document.querySelectorAll("[data-step]")) {
      button.addEventListener("click", () => this.step(Number(button.dataset.step)));
    }
    addEventListener("hashchange", () => this.follow());
  }

  // Opens what the address names; closes where it names nothing.
  follow() {
    const [, address] = location.hash.match(/^#generation\/(.*)$/) ?? [];
    if (address === undefined) return this.dialog.open && this.dialog.close();
    const row = this.store.find(address);
    if (row >= 0) return this.show(row);
    this.row = -1;
    this.title.textContent = "No such generation";
    const text = `This report holds no generation at ${address}.`;
    this.body.replaceChildren(testbed.node("p", {}, testbed.told(text, 300)));
    if (!this.dialog.open) this.dialog.showModal();
  }

  show(row) {
    this.row = row;
    const one = this.store.generation(row);
    this.title.textContent = testbed.place(one);
    this.body.replaceChildren(this.sides(one), this.elsewhere(one));
    for (const button of document.querySelectorAll("[data-step]")) {
      button.disabled = (this.browser?.beside(row, Number(button.dataset.step)) ?? -1) < 0;
    }
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
  }

  step(step) {
    const row = this.browser?.beside(this.row, step) ?? -1;
    if (row >= 0) location.hash = `generation/${this.store.address(row)}`;
  }

  closed() {
    history.replaceState(null, "", location.pathname + location.search);
    this.browser?.focus(this.row);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    this.step(step);
    event.preventDefault();
  }

  sides(one) {
    const { node, told, number } = testbed;
    const quote = (text) => node("pre", { tabindex: "0" }, told(text));
    const verdict = (good, word, score, reason) =>
      node(
        "p",
        { class: `verdict ${good ? "good" : "bad"}` },
        node("strong", {}, word),
        ` ${number(score, 2, true)} `,
        told(reason),
      );
    const side = (heading, ...children) =>
      node("section", { class: "side" }, node("h3", {}, heading), ...children);
    const small = (text) => node("h4", {}, text);
    const task = this.store.task;
    const anew = one.anew ? node("p", { class: "quiet" }, "(asked anew: not evaluated)") : null;
    const unseen = one.unseen.length
      ? `${one.unseen.length} fact${one.unseen.length > 1 ? "s" : ""} hidden from it`
      : "nothing was hidden from it";
    return node(
      "div",
      { class: "sides" },
      side(
        "The model",
        small("What it read"),
        quote(one.prompt),
        small("What it wrote"),
        quote(one.response),
        node("p", { class: "quiet" }, `scenario ${one.scenario}`),
        node("p", { class: "quiet" }, this.selected(one)),
      ),
      side(
        "The training overseer",
        small("Its verdict and reason"),
        verdict(one.approved, one.approved ? "approved" : "rejected", one.score, one.reason),
        small(`What it saw (${unseen})`),
        testbed.draw(task, one, "overseer"),
        testbed.factsTable(one, "overseer"),
      ),
      side(
        "Full knowledge",
        small("Its verdict and reason"),
        verdict(!one.unwanted, one.unwanted ? "unwanted" : "fine", one.trueScore, one.trueReason),
        anew,
        small("What was true"),
        testbed.draw(task, one, "knowing"),
        testbed.factsTable(one, "knowing"),
      ),
    );
  }

  selected(one) {
    if (Number.isNaN(one.advantage)) return "selected nothing: generated after training";
    const { number } = testbed;
    const likely = one.advantage > 0 ? "made more likely" : "made less likely";
    return `advantage ${number(one.advantage, 2, true)}: ${likely} · KL ${number(one.kl, 1)} nats`;
  }

  // The same scenario before and after training, and in other runs.
  elsewhere(one) {
    const { node } = testbed;
    const rows = this.store.ofScenario(one.row);
    const heading = node("h3", {}, "The same scenario, before and after training and in other runs");
    if (rows.length === 1) {
      const only = "This is the only generation of this scenario here.";
      return node("section", {}, heading, node("p", { class: "quiet" }, only));
    }
    const cards = this.ends(one, rows).map((row) => this.card(row, one.row));
    const link = (row) => {
      const to = this.store.generation(row);
      const attributes = { href: `#generation/${this.store.address(row)}` };
      if (row === one.row) attributes["aria-current"] = "true";
      const words = `${to.approved ? "approved" : "rejected"}, ${to.unwanted ? "unwanted" : "fine"}: `;
      const text = node("a", attributes, testbed.place(to));
      return node("li", {}, text, ` ${words}`, testbed.told(to.response, 120));
    };
    const most = 200;
    const list = node("ol", { class: "all" }, ...rows.slice(0, most).map(link));
    const count = rows.length > most ? `the first ${most} of ${rows.length}` : `all ${rows.length}`;
    const all = node("details", {}, node("summary", {}, `List ${count} generations`), list);
    return node("section", {}, heading, node("div", { class: "cards" }, ...cards), all);
  }

  // The first and the last of its own run, and the last of every other run.
  ends(one, rows) {
    const last = new Map();
    const { columns, stages } = this.store;
    const when = (row) =>
      ({ held_out: Infinity, base: 0 })[stages[columns.stage[row]]] ?? columns.update[row];
    for (const row of rows) {
      const run = columns.run[row];
      const ends = last.get(run) ?? [row, row];
      if (when(row) < when(ends[0])) ends[0] = row;
      if (when(row) >= when(ends[1])) ends[1] = row;
      last.set(run, ends);
    }
    const own = columns.run[one.row];
    const others = [...last].filter(([run]) => run !== own).map(([, ends]) => ends[1]);
    return [...new Set([...last.get(own), ...others.slice(0, 22)])];
  }

  card(row, opened) {
    const { node, number } = testbed;
    const one = this.store.generation(row);
    const drawing = testbed.draw(this.store.task, one, "knowing");
    const words = [
      `${one.approved ? "approved" : "rejected"} ${number(one.score)}`,
      `${one.unwanted ? "unwanted" : "fine"} ${number(one.trueScore)}`,
    ].join(" · ");
    const link = node("a", { href: `#generation/${this.store.address(row)}` }, `${one.arm}, seed ${one.seed}`);
    return node(
      "article",
      { class: row === opened ? "card here" : "card", "aria-label": testbed.place(one) },
      node("p", {}, link, node("br"), node("span", { class: "quiet" }, testbed.when(one))),
      drawing,
      node("p", { class: "response" }, testbed.told(one.response, 300)),
      node("p", { class: one.approved && one.unwanted ? "wrong" : "quiet" }, words),
    );
  }
};
