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

// Panels somewhat narrower, then fewer columns, then as narrow as need be, until a picture fits.
testbed.fitted = (spec, width) => {
  const margin = 78;
  const panels = spec.concat ?? [spec];
  const wide = panels.map((panel) => panel.width ?? 300);
  const shrinkage = (columns) => {
    const rows = wide.filter((_, at) => at % columns === 0).map((_, at) => wide.slice(at * columns, (at + 1) * columns));
    const widest = Math.max(...rows.map((row) => row.reduce((sum, one) => sum + one, 0)));
    return Math.min(1, (width - margin * Math.min(columns, panels.length)) / widest);
  };
  let columns = Math.min(spec.columns ?? panels.length, panels.length);
  while (columns > 1 && shrinkage(columns) < 0.6) columns--;
  panels.forEach((panel, at) => {
    panel.width = Math.max(60, Math.floor(wide[at] * shrinkage(columns)));
  });
  if (spec.concat) spec.columns = columns;
  return spec;
};

// The same hues, lighter: the palette is made for white paper.
testbed.LIGHTER = { "#0072b2": "#4ba6e0", "#d55e00": "#f08438", "#009e73": "#33c49a", "#7f7f7f": "#a8a8a8" };

testbed.inked = (spec) => {
  if (!matchMedia("(prefers-color-scheme: dark)").matches) return spec;
  return spec.replaceAll(/"(#[0-9a-f]{6})"/g, (whole, colour) => `"${testbed.LIGHTER[colour] ?? colour}"`);
};

// What a legend may have to name: the values of every scale of names.
testbed.namesIn = (part) => {
  if (part === null || typeof part !== "object") return [];
  const named = Array.isArray(part.scale?.domain) ? part.scale.domain.filter((one) => typeof one === "string") : [];
  const inner = Object.entries(part).filter(([name]) => name !== "datasets");
  return [...named, ...inner.flatMap(([, value]) => testbed.namesIn(value))];
};

testbed.drawChart = async (element) => {
  const spec = JSON.parse(testbed.inked(element.querySelector("script").textContent));
  const target = element.querySelector(".picture");
  const config = testbed.ink();
  const longest = Math.max(...testbed.namesIn(spec).map((name) => name.length));
  config.legend.columns = Math.max(1, Math.floor(target.clientWidth / (50 + 6.5 * longest)));
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
