// The generations as a DataTable. It asks for one page at a time, as of a server; the store
// answers: filters and order are found in its columns, and only the page in view is in the document.
"use strict";

testbed.COLUMNS = [
  { name: "arm", title: "arm", of: (one) => one.arm },
  { name: "seed", title: "seed", kind: "number", of: (one) => one.seed },
  { name: "update", title: "update", kind: "number", of: (one) => ({ held_out: "after", base: "before" })[one.stage] ?? one.update },
  { name: "episode", title: "episode", kind: "number minor", of: (one) => one.episode },
  { name: "response", title: "response", of: (one) => testbed.node("a", { href: `#generation/${one.address}` }, testbed.told(one.response, 200)) },
  { name: "approved", title: "overseer", of: (one) => (one.approved ? "approved" : "rejected") },
  { name: "unwanted", title: "full knowledge", of: (one) => (one.unwanted ? "unwanted" : "fine") },
  { name: "score", title: "score", kind: "number", of: (one) => testbed.number(one.score) },
  { name: "true_score", title: "score, knowing", kind: "number minor", of: (one) => testbed.number(one.trueScore) },
  { name: "advantage", title: "advantage", kind: "number minor", of: (one) => testbed.number(one.advantage, 2, true) },
  { name: "kl", title: "KL", kind: "number minor", of: (one) => testbed.number(one.kl, 1) },
];

// A cell is a node: DataTables puts that in as it is, where it would read a string as mark-up.
testbed.cell = (shown) => (shown instanceof Node ? shown : document.createTextNode(shown));

testbed.column = ({ name, title, kind, of }) => ({
  name,
  title,
  data: null, // the whole row
  render: { _: "row", display: (data, type, one) => testbed.cell(of(one)) },
  type: "num", // not guessed from what is shown
  className: kind ? `${kind} of-${name}` : `of-${name}`,
});

testbed.Browser = class {
  constructor(store) {
    this.store = store;
    this.form = document.getElementById("filters");
    this.offer("arm", store.choices);
    this.offer("seed", store.seeds);
    this.offer("trait", store.traits);
    this.order = [];
    this.choose();
    const DataTable = window.itables.default;
    DataTable.ext.errMode = "throw";
    this.table = new DataTable("#generations", {
      serverSide: true,
      ajax: (asked, answer) => answer(this.answer(asked)),
      columns: testbed.COLUMNS.map(testbed.column),
      createdRow: (line, one) => {
        line.dataset.row = one.row;
        line.classList.toggle("wrong", one.approved && one.unwanted);
      },
      order: [],
      orderClasses: false,
      searching: false,
      autoWidth: false,
      pageLength: 50,
      lengthMenu: [20, 50, 100, 200],
      layout: { topStart: "info", topEnd: "pageLength", bottomStart: "paging", bottomEnd: null },
      language: {
        info: "_START_ to _END_ of _TOTAL_ generations",
        infoEmpty: "no generation matches",
        infoFiltered: "(_MAX_ in all)",
        zeroRecords: "No generation passes these filters.",
        lengthMenu: "Rows _MENU_",
        paginate: { first: "First", previous: "Previous", next: "Next", last: "Last" },
      },
    });
    this.listen();
  }

  offer(name, values) {
    const options = values.map((value) => testbed.node("option", { value }, String(value)));
    this.form.elements[name].append(...options);
  }

  update() {
    this.choose();
    this.table.draw();
  }

  // Sets some filters and clears all others, what was just typed, too.
  set(filters) {
    clearTimeout(this.typed);
    for (const field of this.form.elements) if (field.name) field.value = filters[field.name] ?? "";
    this.update();
  }

  // Tells what was chosen elsewhere; nothing once the reader chooses here.
  say(text) {
    document.getElementById("chosen").textContent = text;
  }

  listen() {
    const update = () => {
      this.say("");
      this.update();
    };
    this.form.addEventListener("input", () => {
      clearTimeout(this.typed);
      this.typed = setTimeout(update, 60);
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", () => setTimeout(update));
    this.table.table().body().addEventListener("keydown", (event) => this.key(event));
    const narrow = matchMedia("(max-width: 40rem)");
    const fit = () => this.table.columns(".minor").visible(!narrow.matches);
    narrow.addEventListener("change", fit);
    fit();
  }

  // The rows that pass the filters, in the present order.
  choose() {
    this.filtered = this.store.filter(Object.fromEntries(new FormData(this.form)));
    this.arrange();
  }

  arrange() {
    const sort = (rows, { name, dir }) => this.store.sort(rows, name, dir === "desc");
    this.rows = this.order.toReversed().reduce(sort, this.filtered);
  }

  // A page of rows, in the words in which DataTables asks and is answered.
  answer({ draw, start, length, order }) {
    if (JSON.stringify(order) !== JSON.stringify(this.order)) {
      this.order = order;
      this.arrange();
    }
    const shown = this.rows.slice(start, start + length);
    return {
      draw,
      recordsTotal: this.store.length,
      recordsFiltered: this.rows.length,
      data: Array.from(shown, (row) => ({
        ...this.store.generation(row),
        address: this.store.address(row),
      })),
    };
  }

  // In the table: arrows go up and down, n and p turn the page; Enter opens, being a link's own.
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const links = () => [...this.table.table().body().querySelectorAll("a")];
    const at = links().indexOf(document.activeElement);
    if (at < 0) return;
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    const turn = { n: "next", PageDown: "next", p: "previous", PageUp: "previous" }[event.key];
    if (step) links()[Math.min(Math.max(at + step, 0), links().length - 1)].focus();
    else if (turn) {
      this.table.page(turn).draw("page");
      links()[0].focus();
    } else return;
    event.preventDefault();
  }

  // The row that many places on in the present order; -1 past either end.
  beside(row, step) {
    const at = this.rows.indexOf(row);
    return at < 0 ? -1 : (this.rows[at + step] ?? -1);
  }

  // Turns to the page that holds a row, and puts the focus on it.
  focus(row) {
    const at = this.rows.indexOf(row);
    if (at < 0) return;
    const page = Math.floor(at / this.table.page.len());
    if (page !== this.table.page()) this.table.page(page).draw("page");
    this.table.table().body().querySelector(`tr[data-row="${row}"] a`).focus();
  }
};
