// Starts what the page holds: pictures, and the generations where there are any.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  if (typeof vegaEmbed === "function") testbed.watchCharts();
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
});
