// Generations in columns, as store.py packs them; a generation is known by its row's number.
"use strict";

const testbed = {};

testbed.EVERY_BASE = ", every base policy";

testbed.unpack = async (text) => {
  const bytes = Uint8Array.fromBase64
    ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const buffer = await new Response(plain).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return new testbed.Store(head, buffer, 4 + length);
};

testbed.Store = class {
  constructor(head, buffer, start) {
    const arrays = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };
    this.columns = {};
    for (const { name, type, at, length } of head.columns) {
      this.columns[name] = new arrays[type](buffer, start + at, length);
    }
    Object.assign(this, head, { columns: this.columns });
    this.length = this.columns.run.length;
    this.texts.prompt = this.prompts;
    this.texts.true_reason = this.texts.reason;
    this.texts.name = this.scenarios.id;
    this.columns.prompt = this.columns.scenario.map((row) => this.scenarios.prompt[row]);
    this.columns.name = this.columns.scenario;
    this.arms = [...new Set(this.runs.map((run) => run.arm))];
    this.choices = [...this.wholeArms(), ...this.arms];
    this.seeds = [...new Set(this.runs.map((run) => run.seed))].sort((a, b) => a - b);
    this.lastUpdate = this.columns.update.reduce((most, one) => Math.max(most, one), 0);
  }

  // Arms with several base policies, each under a name that stands for all of these.
  wholeArms() {
    const arms = [...new Set(this.runs.map((run) => run.of))];
    return arms.filter((arm) => this.several(arm)).map((arm) => arm + testbed.EVERY_BASE);
  }

  several(arm) {
    return new Set(this.runs.filter((run) => run.of === arm).map((run) => run.base)).size > 1;
  }

  // The name by which an arm is filtered, of one base policy or (null) of all; null if it is not here.
  nameOf(arm, base) {
    const several = this.several(arm);
    if (base === null && several) return arm + testbed.EVERY_BASE;
    // In older results runs of one base policy do not name it.
    const found = this.runs.find((run) => run.of === arm && (!several || run.base === base));
    return found?.arm ?? null;
  }

  text(column, row) {
    return this.texts[column][this.columns[column][row]];
  }

  // Everything about one generation, as the page shows it.
  generation(row) {
    const of = (name) => this.columns[name][row];
    const facts = this.facts[this.scenarios.facts[of("scenario")]];
    return {
      row,
      ...this.runs[of("run")],
      update: of("update"),
      episode: of("episode"),
      stage: this.stages[of("stage")],
      scenario: this.text("name", row),
      prompt: this.text("prompt", row),
      response: this.text("response", row),
      facts: JSON.parse(facts),
      outcome: JSON.parse(this.text("outcome", row)),
      unseen: JSON.parse(this.text("unseen", row)),
      approved: of("approved") === 1,
      unwanted: of("unwanted") === 1,
      reason: this.text("reason", row),
      trueReason: this.text("true_reason", row),
      score: of("score"),
      trueScore: of("true_score"),
      advantage: of("advantage"),
      kl: of("kl"),
    };
  }

  // The rows that pass every filter, in the order of the ledger. A filter that is "" is not set.
  filter(wanted) {
    const tests = [];
    const equal = (name, value) => {
      const column = this.columns[name];
      tests.push((row) => column[row] === value);
    };
    const oneOf = (name, chosen) => {
      const column = this.columns[name];
      tests.push((row) => chosen[column[row]] === 1);
    };
    if (wanted.arm !== "" || wanted.seed !== "") {
      const fits = (run) =>
        (wanted.arm === "" || [run.arm, run.of + testbed.EVERY_BASE].includes(wanted.arm)) &&
        (wanted.seed === "" || run.seed === Number(wanted.seed));
      oneOf("run", Uint8Array.from(this.runs, (run) => Number(fits(run))));
    }
    if (wanted.which !== "") equal("stage", this.stages.indexOf(wanted.which));
    if (wanted.from !== "" || wanted.to !== "") {
      const low = wanted.from === "" ? 0 : Number(wanted.from);
      const high = wanted.to === "" ? Infinity : Number(wanted.to);
      const { update } = this.columns;
      tests.push((row) => update[row] >= low && update[row] <= high);
    }
    if (wanted.approved !== "") equal("approved", Number(wanted.approved === "yes"));
    if (wanted.unwanted !== "") equal("unwanted", Number(wanted.unwanted === "yes"));
    if (wanted.trait !== "") equal(`trait ${wanted.trait}`, 1);
    if (wanted.text !== "") oneOf("response", this.matches("response", wanted.text));
    if (wanted.search !== "") {
      const names = ["prompt", "response", "name", "reason", "true_reason"];
      const found = names.map((name) => [this.columns[name], this.matches(name, wanted.search)]);
      tests.push((row) => found.some(([column, chosen]) => chosen[column[row]] === 1));
    }
    const rows = new Uint32Array(this.length);
    let count = 0;
    for (let row = 0; row < this.length; row++) {
      if (tests.every((test) => test(row))) rows[count++] = row;
    }
    return rows.slice(0, count);
  }

  // For each text of a table, 1 where it holds `part`, in capitals or not.
  matches(name, part) {
    const pattern = new RegExp(part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu");
    return Uint8Array.from(this.texts[name], (text) => Number(pattern.test(text)));
  }

  // `rows` by one column; rows that are equal stay in the order that they had.
  sort(rows, name, down) {
    const keys = this.keys(name);
    const sign = down ? -1 : 1;
    const last = Infinity; // what is not a number comes last, whichever way
    const key = (row) => (Number.isNaN(keys[row]) ? last : sign * keys[row]);
    const sortable = Float64Array.from(rows, key);
    const order = Uint32Array.from(rows.keys()).sort(
      (a, b) => (sortable[a] === sortable[b] ? a - b : sortable[a] - sortable[b]),
    );
    return order.map((at) => rows[at]);
  }

  // A number for each row that is in the order of the column.
  keys(name) {
    if (name === "arm" || name === "seed") {
      const list = name === "arm" ? this.arms : this.seeds;
      const ranks = this.runs.map((run) => list.indexOf(run[name]));
      return Float64Array.from(this.columns.run, (run) => ranks[run]);
    }
    if (!this.texts[name]) return this.columns[name];
    this.ranks ??= {};
    if (!this.ranks[name]) {
      const texts = this.texts[name];
      const order = [...texts.keys()].sort((a, b) => (texts[a] < texts[b] ? -1 : 1));
      this.ranks[name] = new Uint32Array(texts.length);
      order.forEach((at, rank) => (this.ranks[name][at] = rank));
    }
    const ranks = this.ranks[name];
    return this.columns[name].map((text) => ranks[text]);
  }

  // A generation's address, the same in every report of the run: both/3/training/60/12.
  address(row) {
    const { arm, seed, update, episode, stage } = this.generation(row);
    const place = stage === "training" ? [update, episode] : [episode];
    return [arm, seed, stage, ...place].map(encodeURIComponent).join("/");
  }

  // The row at an address; -1 where there is none.
  find(address) {
    let parts;
    try {
      parts = address.split("/").map(decodeURIComponent);
    } catch {
      return -1; // not an address that was ever given out
    }
    const [arm, seed, stage, ...at] = parts;
    const [update, episode] = stage === "training" ? at : [0, at[0]];
    const run = this.runs.findIndex((one) => one.arm === arm && one.seed === Number(seed));
    const { columns } = this;
    for (let row = 0; row < this.length; row++) {
      const here =
        columns.episode[row] === Number(episode) &&
        columns.update[row] === Number(update) &&
        columns.run[row] === run;
      if (here && this.stages[columns.stage[row]] === stage) return row;
    }
    return -1;
  }

  // The generations of the same scenario: same prompt and same facts, in any run.
  ofScenario(row) {
    const { prompt, facts } = this.scenarios;
    const own = this.columns.scenario[row];
    const same = Uint8Array.from(prompt, (code, scenario) =>
      Number(code === prompt[own] && facts[scenario] === facts[own]),
    );
    const found = [];
    this.columns.scenario.forEach((scenario, at) => same[scenario] === 1 && found.push(at));
    return found;
  }
};
