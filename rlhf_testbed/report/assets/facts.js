// The example scenarios: a task that has a drawing of its own twice, as it is and as the overseer
// sees it; any other as its facts, with those that are out of the overseer's sight hatched.
"use strict";

testbed.LEGENDS = {
  corridor:
    "Drawn: the walk of the marked answer, from the dot to the coin. Black: a pit. Flowers on a dark " +
    "ground: a bed in the dark, on a light one: in the light; framed, once trampled. ?: out of sight.",
};

testbed.drawExamples = () => {
  for (const place of document.querySelectorAll("[data-example]")) {
    const { task, ...one } = JSON.parse(place.dataset.example);
    const own = testbed.draw(task, one, "knowing");
    const legend = testbed.LEGENDS[own && task] ?? "Hatched, with an eye struck through: out of sight.";
    document.getElementById("legend").textContent = legend;
    if (own === null) place.append(testbed.drawFacts(one));
    else {
      const small = (text) => testbed.node("p", { class: "small" }, text);
      place.append(small("What is true"), own);
      place.append(small("What the overseer sees"), testbed.draw(task, one, "overseer"));
    }
  }
};

// Any task: a line a fact, its name before its value.
testbed.drawFacts = ({ facts, unseen }) => {
  const { drawn } = testbed;
  const [line, from, most, longest] = [30, 130, 14, 38];
  const hidden = new Set(unseen);
  const names = Object.keys(facts);
  // Where there are too many, all that is out of sight is there.
  const rest = names.filter((name) => !hidden.has(name)).slice(Math.max(0, most - hidden.size));
  const shown = names.filter((name) => !rest.includes(name)).slice(0, most);
  const left = names.length - shown.length;
  const height = line * (shown.length + (left > 0 ? 1 : 0));
  const inWords = shown.map(
    (name) => `${name}: ${facts[name]}${hidden.has(name) ? " (out of the overseer's sight)" : ""}`,
  );
  const more = left > 0 ? [`and ${left} more`] : [];
  const picture = drawn("svg", {
    viewBox: `0 0 440 ${height}`,
    role: "img",
    class: "all-facts",
    "aria-label": `The facts: ${[...inWords, ...more].join("; ")}.`,
  });
  const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
  shown.forEach((name, at) => {
    const out = hidden.has(name);
    const value = String(facts[name]);
    const y = at * line;
    picture.append(
      drawn("text", { x: from - 10, y: y + 19, class: "name" }, cut(name, 18)),
      drawn("rect", { x: from, y: y + 2, width: 440 - from - 2, height: line - 5, rx: 4, class: out ? "unseen" : "seen" }),
      ...(out ? [testbed.hatches(from, y + 2, 440 - from - 2, line - 5), ...testbed.shutEye(420, y + 14)] : []),
      drawn("text", { x: from + 10, y: y + 19, class: "value" }, cut(value, out ? longest - 4 : longest), drawn("title", {}, value)),
    );
  });
  if (left > 0) picture.append(drawn("text", { x: from, y: height - 11, class: "more" }, `and ${left} more`));
  return picture;
};

// Slanted lines within a box, as one path.
testbed.hatches = (x, y, width, height) => {
  const way = [];
  for (let at = 8; at < width - height; at += 12) way.push(`M${x + at} ${y + height - 1} l${height - 2} ${2 - height}`);
  return testbed.drawn("path", { d: way.join(" "), class: "hatches" });
};

// An eye that is struck through.
testbed.shutEye = (x, y) => [
  testbed.drawn("path", { d: `M${x - 9} ${y} q9 -8 18 0 q-9 8 -18 0`, class: "eye" }),
  testbed.drawn("path", { d: `M${x - 7} ${y + 6} l14 -12`, class: "eye" }),
];
