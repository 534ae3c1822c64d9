// Starts what the page holds: drawings, pictures, and the generations where there are any.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const charts = typeof vegaEmbed === "function";
  testbed.drawExamples();
  if (charts) testbed.watchCharts();
  await testbed.start();
  if (charts) testbed.drawRest();
});

testbed.start = async () => {
  const packed = document.getElementById("packed");
  if (!packed) return;
  const store = await testbed.unpack(packed.textContent);
  packed.remove();
  document.getElementById("unpacking").remove();
  const opened = new testbed.Opened(store);
  testbed.opened = opened;
  testbed.browser = new testbed.Browser(store);
  opened.browser = testbed.browser;
  testbed.glance = new testbed.Glance(store);
  document.documentElement.dataset.ready = "true";
  opened.follow();
};
