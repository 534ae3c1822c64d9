// Selection at a glance: in one update, which kinds of response were made more likely, which less.
// The figure is Price's: share × (mean advantage of the kind - mean advantage of all).
"use strict";

// A push that is told as anything but 0.000.
testbed.SMALLEST = 0.0005;

testbed.KINDS = {
  trait: (store) => store.traits.map((name) => ({ name, has: (row) => store.columns[`trait ${name}`][row] === 1 })),
  together: (store, rows) => {
    const shown = (row) => store.traits.filter((name) => store.columns[`trait ${name}`][row] === 1);
    return testbed.apart(rows, (row) => shown(row).join(" + ") || "none of the traits");
  },
  verdicts: (store, rows) =>
    testbed.apart(rows, (row) => {
      const approved = store.columns.approved[row] ? "approved" : "rejected";
      return `${approved}, ${store.columns.unwanted[row] ? "unwanted" : "fine"}`;
    }),
  response: (store, rows) => testbed.apart(rows, (row) => store.text("response", row)),
};

// Kinds that exclude each other, by a name for each row.
testbed.apart = (rows, name) => {
  const names = new Map(Array.from(rows, (row) => [row, name(row)]));
  return [...new Set(names.values())].map((kind) => ({
    name: kind,
    has: (row) => (names.get(row) ?? name(row)) === kind,
  }));
};

// What one update selected: a line a kind, the strongest push first.
testbed.selectedIn = (store, rows, next, grouping) => {
  const mean = (chosen, name) =>
    chosen.reduce((sum, row) => sum + store.columns[name][row], 0) / chosen.length;
  const all = Array.from(rows);
  const later = Array.from(next);
  const level = mean(all, "advantage");
  const kinds = testbed.KINDS[grouping](store, rows).map(({ name, has }) => {
    const shown = all.filter(has);
    const share = shown.length / all.length;
    return {
      name,
      count: shown.length,
      share,
      score: mean(shown, "score"),
      advantage: mean(shown, "advantage"),
      push: shown.length ? share * (mean(shown, "advantage") - level) : 0,
      change: later.length ? later.filter(has).length / later.length - share : NaN,
    };
  });
  return kinds.sort((a, b) => Math.abs(b.push) - Math.abs(a.push));
};

// The arm with most episodes that were approved though unwanted: where there is most to see.
testbed.armOfMost = (store) => {
  const { run, approved, unwanted } = store.columns;
  const counts = new Map(store.arms.map((arm) => [arm, 0]));
  for (let row = 0; row < store.length; row++) {
    if (approved[row] && unwanted[row]) {
      const { arm } = store.runs[run[row]];
      counts.set(arm, counts.get(arm) + 1);
    }
  }
  return [...counts].reduce((most, one) => (one[1] > most[1] ? one : most))[0];
};

testbed.Glance = class {
  constructor(store) {
    this.store = store;
    this.form = document.getElementById("glance-of");
    this.table = document.getElementById("glance");
    this.sentence = document.getElementById("glance-sentence");
    for (const name of ["arm", "seed"]) {
      const values = name === "arm" ? store.arms : store.seeds;
      this.form.elements[name].append(
        ...values.map((value) => testbed.node("option", { value }, String(value))),
      );
    }
    const { arm, update } = this.form.elements;
    arm.value = testbed.armOfMost(store);
    update.max = store.lastUpdate;
    update.value = Math.max(1, Math.min(5, store.lastUpdate));
    this.form.addEventListener("input", () => this.show());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.show();
  }

  rows(update) {
    const { arm, seed } = Object.fromEntries(new FormData(this.form));
    const any = { which: "training", approved: "", unwanted: "", trait: "", text: "", search: "" };
    return this.store.filter({ ...any, arm, seed, from: update, to: update });
  }

  show() {
    const { update, by } = Object.fromEntries(new FormData(this.form));
    const number = Number(update);
    document.getElementById("glance-update").textContent = update;
    const rows = this.rows(number);
    if (rows.length === 0) {
      this.sentence.textContent = "No episode of that arm, seed and update is here.";
      this.table.tBodies[0].replaceChildren();
      this.fold([]);
      return;
    }
    const kinds = testbed.selectedIn(this.store, rows, this.rows(number + 1), by);
    this.sentence.textContent = this.inWords(kinds, rows.length, number);
    const widest = Math.max(...kinds.map((kind) => Math.abs(kind.push)), 1e-9);
    const pushed = kinds.filter(({ push }) => Math.abs(push) >= testbed.SMALLEST);
    const lines = pushed.slice(0, 30).map((kind) => this.line(kind, widest));
    this.table.tBodies[0].replaceChildren(...lines);
    this.fold(kinds.slice(pushed.length));
  }

  // Kinds that selection did not push, by name; they come last.
  fold(kinds) {
    const rest = document.getElementById("glance-rest");
    rest.hidden = kinds.length === 0;
    const one = kinds.length === 1 ? "kind that was" : "kinds that were";
    const names = kinds.slice(0, 200).map(({ name, count }) =>
      testbed.node("li", {}, testbed.told(name, 120), ` (${count} episodes)`),
    );
    rest.querySelector("summary").textContent = `${kinds.length} ${one} not pushed`;
    rest.querySelector("ul").replaceChildren(...names);
  }

  inWords(kinds, episodes, update) {
    const { number } = testbed;
    const told = (kind) => `“${kind.name.slice(0, 80)}” (${number(kind.push, 3, true)})`;
    const up = kinds.find((kind) => kind.push > 0);
    const down = kinds.find((kind) => kind.push < 0);
    const words = [up && `${told(up)} up most`, down && `${told(down)} down most`];
    const pushed = words.filter(Boolean).join(" and ") || "nothing up or down";
    return `Update ${update}, ${episodes} episodes: selection pushed ${pushed}.`;
  }

  line(kind, widest) {
    const { node, number } = testbed;
    const width = `${(50 * Math.abs(kind.push)) / widest}%`;
    const side = kind.push < 0 ? "less" : "more";
    const bar = node("span", { class: `bar ${side}`, "aria-hidden": "true" });
    bar.style.width = width;
    const likely = kind.push === 0 ? "unchanged" : `${side} likely`;
    return node(
      "tr",
      {},
      node("th", { scope: "row" }, testbed.told(kind.name, 120)),
      node("td", { class: "number" }, String(kind.count)),
      node("td", { class: "number" }, number(kind.share)),
      node("td", { class: "number" }, number(kind.score)),
      node("td", { class: "number" }, number(kind.advantage, 2, true)),
      node("td", { class: "push" }, node("span", { class: "track" }, bar)),
      node("td", { class: "number" }, number(kind.push, 3, true)),
      node("td", { class: "nowrap" }, likely),
      node("td", { class: "number" }, number(kind.change, 2, true)),
    );
  }
};
