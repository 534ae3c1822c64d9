// All of the page, for whoever prints it or takes it whole: pictures out of view are drawn once there
// is time, and what is folded is open on paper.
"use strict";

testbed.drawRest = () => {
  const idle = globalThis.requestIdleCallback ?? ((then) => setTimeout(then, 50));
  const next = async () => {
    const [chart] = testbed.undrawn;
    if (!chart) return;
    await testbed.drawOnce(chart);
    idle(next);
  };
  idle(next);
};

testbed.openFolds = () => {
  const folds = [...document.querySelectorAll("details:not([open])")];
  for (const fold of folds) fold.open = true;
  addEventListener("afterprint", () => folds.forEach((fold) => (fold.open = false)), { once: true });
};

// Paper is light, whatever the screen is: pictures that are drawn for a dark one have copies in light
// ink stand in for them. (To draw them anew takes longer than a browser waits.)
testbed.lightInk = () => {
  if (!matchMedia("(prefers-color-scheme: dark)").matches) return;
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
  const light = rules.find((rule) => rule.selectorText === ":root").style; // before what is for the dark
  const dark = getComputedStyle(document.documentElement);
  const both = (name) => [dark, light].map((style) => style.getPropertyValue(name).trim());
  const inks = ["--text", "--quiet", "--line"].map(both);
  const hues = Object.entries(testbed.LIGHTER).map(([on, lighter]) => [lighter, on]);
  const onPaper = new Map([...inks, ...hues]);
  for (const drawn of document.querySelectorAll(".picture svg")) {
    const copy = drawn.cloneNode(true);
    for (const part of copy.querySelectorAll("[fill], [stroke]")) {
      for (const name of ["fill", "stroke"]) {
        const ink = onPaper.get(part.getAttribute(name));
        if (ink) part.setAttribute(name, ink);
      }
    }
    drawn.replaceWith(copy);
    addEventListener("afterprint", () => copy.replaceWith(drawn), { once: true });
  }
};

addEventListener("beforeprint", testbed.openFolds);
addEventListener("beforeprint", testbed.lightInk);
