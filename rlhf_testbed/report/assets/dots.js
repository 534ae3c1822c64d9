// A dot opens its generations: a click on it, or Enter where it has the focus. The plane is one stop
// of the tab key; arrows go from dot to dot, the arms first.
"use strict";

testbed.OPENING = "threat_plane";

testbed.openDots = (figure) => {
  if (figure.dataset.chart !== testbed.OPENING || !document.getElementById("filters")) return;
  const picture = figure.querySelector(".picture");
  picture.setAttribute("role", "group"); // an image could hold nothing that is operated
  picture.querySelector("svg").removeAttribute("aria-hidden");
  for (const mark of picture.querySelectorAll("svg [role]")) {
    mark.removeAttribute("role"); // what Vega calls a symbol could hold nothing either
    mark.removeAttribute("aria-roledescription");
  }
  for (const text of picture.querySelectorAll("text")) text.setAttribute("aria-hidden", "true");
  const kinds = ["mean", "seed"];
  const dots = [...picture.querySelectorAll(".mark-symbol path")]
    .map((dot) => ({ dot, row: dot.__data__?.datum }))
    .filter(({ row }) => kinds.includes(row?.kind))
    .sort((a, b) => kinds.indexOf(a.row.kind) - kinds.indexOf(b.row.kind));
  dots.forEach(({ dot, row }, at) => {
    dot.setAttribute("tabindex", at === 0 ? "0" : "-1");
    dot.setAttribute("role", "button");
    dot.setAttribute("aria-label", testbed.dotInWords(row));
    dot.addEventListener("click", () => testbed.openRuns(row));
    dot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step) testbed.goTo(dots, (at + step + dots.length) % dots.length);
      else if (event.key === "Enter" || event.key === " ") testbed.openRuns(row);
      else return;
      event.preventDefault();
    });
  });
};

testbed.goTo = (dots, at) => {
  dots.forEach(({ dot }, here) => dot.setAttribute("tabindex", here === at ? "0" : "-1"));
  dots[at].dot.focus();
};

testbed.dotInWords = (row) => {
  const figure = (value, unit) => (value === null || value === undefined ? "none" : `${value.toFixed(2)}${unit}`);
  const which = row.kind === "mean" ? `${row.arm}, all seeds` : testbed.runInWords(row);
  return `${which}: threat 1 ${figure(row.threat_1, "")}, threat 2 ${figure(row.threat_2, " nats")}. Opens its generations`;
};

testbed.runInWords = ({ arm, seed, base }) => {
  const several = testbed.browser?.store.several(arm);
  return `${arm}${several ? `, base policy ${base}` : ""}, seed ${seed}`;
};

// Filters the table by an arm or a run, and goes there.
testbed.openRuns = (row) => {
  const { browser } = testbed;
  if (!browser) return;
  const [base, seed, told] =
    row.kind === "seed" ? [row.base, String(row.seed), testbed.runInWords(row)] : [null, "", row.arm];
  const arm = browser.store.nameOf(row.arm, base);
  if (arm !== null) browser.set({ arm, seed });
  const here = arm !== null && browser.rows.length > 0;
  const where = "are not in this page: of so many runs only some are";
  browser.say(here ? `Chosen in the threat plane: ${told}.` : `The generations of ${told} ${where}.`);
  document.getElementById("browser").scrollIntoView();
  if (here) document.querySelector("#generations tbody a").focus({ preventScroll: true });
};
