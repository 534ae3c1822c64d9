// The pictures: drawn when they come into view, in the page's colours, as wide as there is room.
"use strict";

testbed.ink = () => {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const text = { labelColor: colour("--text"), titleColor: colour("--text") };
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    aria: false,
    view: { stroke: colour("--line") },
    axis: {
      ...text,
      gridColor: colour("--line"),
      domainColor: colour("--quiet"),
      tickColor: colour("--quiet"),
      labelFontSize: 12,
      titleFontSize: 12,
      titleFontWeight: "normal",
    },
    header: { ...text, labelFontSize: 13, labelFontWeight: "bold" },
    legend: {
      ...text,
      orient: "top",
      labelFontSize: 12,
      symbolOpacity: 1,
      symbolBaseFillColor: colour("--quiet"),
    },
    title: { color: colour("--text"), anchor: "start", fontSize: 13 },
    text: { color: colour("--text") },
  };
};

// Fewer columns, then narrower panels, until a picture fits.
testbed.fitted = (spec, width) => {
  const margin = 78;
  const panels = spec.concat ?? [spec];
  const widest = Math.max(...panels.map((panel) => panel.width ?? 300));
  const whole = panels.reduce((sum, panel) => sum + (panel.width ?? 300) + margin, 0);
  const fits = whole <= width ? panels.length : Math.max(1, Math.floor(width / (widest + margin)));
  const columns = Math.min(spec.columns ?? panels.length, fits);
  const room = Math.max(140, Math.floor(width / columns) - margin);
  for (const panel of panels) panel.width = Math.min(panel.width ?? 300, room);
  if (spec.concat) spec.columns = columns;
  return spec;
};

testbed.drawChart = async (element) => {
  const spec = JSON.parse(element.querySelector("script").textContent);
  const target = element.querySelector(".picture");
  const config = testbed.ink();
  config.legend.columns = Math.max(1, Math.floor(target.clientWidth / 150));
  const options = { actions: false, renderer: "svg", config };
  const wide = testbed.fitted(spec, target.clientWidth);
  await vegaEmbed(target, wide, options);
  target.querySelector("svg").setAttribute("aria-hidden", "true"); // the picture has its words
  target.dataset.drawn = "true";
};

testbed.watchCharts = () => {
  const charts = [...document.querySelectorAll("figure[data-chart]")];
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        testbed.drawChart(target);
      }
    },
    { rootMargin: "600px" },
  );
  const again = () => charts.forEach((chart) => seen.observe(chart));
  again();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let width = innerWidth;
  let timer = 0;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (innerWidth !== width) again();
      width = innerWidth;
    }, 200);
  });
  addEventListener("beforeprint", () => charts.forEach(testbed.drawChart));
};
