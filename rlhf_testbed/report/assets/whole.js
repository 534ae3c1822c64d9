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

addEventListener("beforeprint", testbed.openFolds);
