// The pictures: drawn when they come into view, in the page's colours, as wide as the page.
"use strict";

// Colours are left to the style sheet: a picture follows the page from light to dark, and to paper.
testbed.ink = () => {
  const text = { labelColor: "var(--text)", titleColor: "var(--text)" };
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    aria: false,
    view: { stroke: "var(--line)" },
    axis: {
      ...text,
      gridColor: "var(--line)",
      domainColor: "var(--quiet)",
      tickColor: "var(--quiet)",
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
      symbolBaseFillColor: "var(--quiet)",
    },
    title: { color: "var(--text)", anchor: "start", fontSize: 13 },
    text: { color: "var(--text)" },
  };
};

// Panels as wide as there is room for, as many side by side as are wide enough to be read.
testbed.fitted = (spec, width) => {
  const spacing = 20;
  const { around, least } = spec.usermeta;
  const panels = spec.concat ?? [spec];
  const fitting = Math.floor((width + spacing) / (least + around + spacing));
  const columns = Math.max(1, Math.min(fitting, spec.columns ?? 1, panels.length));
  const each = (width - spacing * (columns - 1)) / columns - around;
  for (const panel of panels) panel.width = Math.max(60, Math.floor(each));
  if (spec.concat) spec.columns = columns;
  return spec;
};

// What a legend may have to name: the values of every scale of names.
testbed.namesIn = (part) => {
  if (part === null || typeof part !== "object") return [];
  const named = Array.isArray(part.scale?.domain) ? part.scale.domain.filter((one) => typeof one === "string") : [];
  const inner = Object.entries(part).filter(([name]) => name !== "datasets");
  return [...named, ...inner.flatMap(([, value]) => testbed.namesIn(value))];
};

// As wide as a sheet of paper leaves room for: a picture that is made smaller can't be read.
testbed.SHEET = 700;

testbed.drawChart = async (element, most = Infinity) => {
  const spec = JSON.parse(element.querySelector("script").textContent);
  const target = element.querySelector(".picture");
  const config = testbed.ink();
  const longest = Math.max(...testbed.namesIn(spec).map((name) => name.length));
  const width = Math.min(target.clientWidth, most);
  config.legend.columns = Math.max(1, Math.floor(width / (50 + 6.5 * longest)));
  const options = { actions: false, renderer: "svg", config };
  const wide = testbed.fitted(spec, width);
  await vegaEmbed(target, wide, options);
  target.querySelector("svg").setAttribute("aria-hidden", "true"); // the picture has its words
  target.dataset.drawn = "true";
  testbed.openDots(element);
};

// Those that are yet to be drawn, or to be drawn anew.
testbed.undrawn = new Set();

testbed.drawOnce = async (chart) => {
  if (testbed.undrawn.delete(chart)) await testbed.drawChart(chart);
};

testbed.watchCharts = () => {
  const charts = [...document.querySelectorAll("figure[data-chart]")];
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        testbed.drawOnce(target);
      }
    },
    { rootMargin: "600px" },
  );
  const again = () => {
    for (const chart of charts) {
      testbed.undrawn.add(chart);
      seen.observe(chart);
    }
  };
  const anew = () => {
    again();
    testbed.drawRest();
  };
  again();
  let width = innerWidth;
  let timer = 0;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (innerWidth !== width) anew();
      width = innerWidth;
    }, 200);
  });
  addEventListener("beforeprint", () => charts.forEach((chart) => testbed.drawChart(chart, testbed.SHEET)));
  addEventListener("afterprint", anew);
};
