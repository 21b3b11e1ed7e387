// Curves and stacked areas on uPlot. Colours are Okabe and Ito's, told apart by the colour-blind; dashes tell runs apart.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#7f7f7f"];
const drawn = [];

function element(tag, options = {}, ...children) {
  const { data, on, ...rest } = options;
  const made = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(data || {})) made.dataset[name] = value;
  for (const [name, action] of Object.entries(on || {})) made.addEventListener(name, action);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function number(x) {
  if (x === null || x === undefined) return "–";
  if (x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e6)) return x.toExponential(3).replace(/\.?0+e/, "e");
  return String(Number(x.toPrecision(4)));
}

function variable(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// spec: title, note, lines [{ label, x, y, dash, points, colour }], stacked, low, high, axis (default: step). Lines without a value are left out.
function chart(parent, spec) {
  const lines = spec.lines.filter((line) => line.y && line.y.some((value) => value !== null && value !== undefined));
  if (!lines.length) return;
  const card = element("div", { className: "chart" }, element("h3", { textContent: spec.title }), element("p", { textContent: spec.note || "" }));
  parent.append(card);
  const table = uPlot.join(lines.map((line) => [line.x, line.y]));
  const [x, ...raw] = table;
  const shown = spec.stacked ? stack(raw) : raw;
  const soft = variable("--soft"), grid = { stroke: variable("--line"), width: 1 };
  const series = lines.map((line, i) => {
    const colour = line.colour || COLOURS[i % COLOURS.length];
    return {
      label: line.label,
      stroke: colour,
      fill: spec.stacked ? colour + "99" : undefined,
      width: spec.stacked ? 1 : 1.6,
      dash: line.dash ? [6, 4] : undefined,
      spanGaps: true,
      points: { show: line.points || x.length === 1, size: 6, fill: colour },
      value: (plot, value, at, index) => number(index === null || index === undefined ? lastOf(raw[i]) : raw[i][index]),
    };
  });
  const bands = spec.stacked ? lines.slice(1).map((line, i) => ({ series: [i + 2, i + 1] })) : [];
  const axis = { stroke: soft, grid, ticks: grid, font: "11px system-ui" };
  const range = (plot, low, high) => {
    let bottom = spec.low ?? low, top = spec.high ?? high;
    if (top <= bottom) [bottom, top] = [bottom - (Math.abs(bottom) * 0.1 || 1), top + (Math.abs(top) * 0.1 || 1)];
    const room = (top - bottom) * 0.05;
    return [spec.low === undefined ? bottom - room : bottom, spec.high === undefined ? top + room : top];
  };
  const options = {
    width: card.clientWidth - 24,
    height: 220,
    scales: { x: { time: false }, y: { range } },
    axes: [{ ...axis, label: spec.axis || "step", labelSize: 16, labelFont: "11px system-ui", size: 30 }, { ...axis, size: 52, values: (plot, ticks) => ticks.map(number) }],
    series: [{ label: spec.axis || "step", value: (plot, value) => String(value ?? lastOf(x)) }, ...series],
    bands,
    legend: { live: true },
    cursor: { drag: { x: true, y: false }, focus: { prox: 24 } },
  };
  const plot = new uPlot(options, [x, ...shown], card);
  const last = lines.map((line, i) => `${line.label} ${number(lastOf(raw[i]))}`).join(", ");
  plot.root.setAttribute("role", "img");
  plot.root.setAttribute("aria-label", `${spec.title}; last: ${last}`);
  drawn.push({ card, plot, title: spec.title });
}

function stack(values) {
  const total = values[0].map(() => 0);
  return values.map((line) => line.map((value, i) => (total[i] += value || 0)));
}

function lastOf(values) {
  for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null && values[i] !== undefined) return values[i];
  return null;
}

new ResizeObserver(() => {
  for (const { card, plot } of drawn) {
    const width = card.clientWidth - 24;
    if (width > 0 && width !== plot.width) plot.setSize({ width, height: 220 });
  }
}).observe(document.documentElement);
