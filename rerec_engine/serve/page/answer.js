// An answer as elements. All text of the model goes through textContent: it is untrusted.

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const words = (name) => `${name[0].toUpperCase()}${name.slice(1)}`.replaceAll("_", " ");

export function reasoningBlock() {
  const block = element("details", "thinking");
  block.open = true;
  const summary = element("summary", "waiting", "Thinking");
  const text = element("div", "reasoning");
  block.append(summary, text);
  return {
    block,
    add: (piece) => text.append(piece),
    finish(from, reasoning) {
      summary.className = "";
      summary.textContent = "Reasoning";
      block.open = false;
      if (reasoning !== undefined) text.textContent = reasoning;
      if (from) text.before(element("p", "from", from));
      if (!text.textContent && !from) block.remove();
    },
  };
}

function chip({ relation, value, asked }) {
  const entry = element("li", asked ? "asked" : "");
  entry.append(element("span", "relation", `${words(relation)}: `), element("span", "value", value));
  if (asked) entry.append(element("span", "hidden", " (asked for)"));
  return entry;
}

// The attributes, and what else speaks for the item: its year.
function valuesOf(item) {
  const attributes = item.attributes ?? [];
  const others = (item.evidence ?? []).filter((e) => !attributes.some((a) => a.value === e.value));
  return [...attributes, ...others.map(({ relation, value }) => ({ relation, value, asked: true }))];
}

function card(item, rank) {
  const row = element("li");
  const body = element("div");
  body.append(element("h2", "", item.title));
  const values = element("ul", "values");
  values.append(...valuesOf(item).map(chip));
  if (values.childElementCount) body.append(values);
  for (const missed of item.missed ?? []) body.append(element("p", "missed", `Not met: ${missed}`));
  row.append(element("span", "rank", `${rank}.`), body);
  return row;
}

function list(className, entries) {
  const made = element("ul", className);
  made.append(...entries.map((entry) => element("li", "", entry)));
  return made;
}

export function answerParts(answer) {
  const parts = [];
  const items = answer.items ?? [];
  if (items.length) {
    const cards = element("ol", "items");
    cards.append(...items.map((item, i) => card(item, i + 1)));
    parts.push(cards);
  } else {
    parts.push(element("p", "nothing", "No recommendation came of this."));
  }
  if (items.some((item) => valuesOf(item).some((value) => value.asked))) {
    const legend = element("p", "legend");
    legend.append(element("b", "", "marked"), ": you asked for it");
    parts.push(legend);
  }
  const unmet = (answer.unmet ?? []).map(({ condition, why }) => `Not met: ${condition}: ${why}`);
  if (unmet.length) parts.push(list("notes", unmet));
  const notes = (answer.notes ?? []).map((note) => `Note: ${note}`);
  if (notes.length) parts.push(list("notes", notes));
  return parts;
}

// What was understood, and where the candidates come from.
export function candidatesText(answer) {
  const count = (answer.candidates ?? []).length;
  const asked = (answer.conditions ?? []).join("; ");
  const from = count ? `${count} candidates: ${answer.candidates_from ?? ""}` : "";
  return [asked && `Asked: ${asked}`, from].filter(Boolean).join("\n");
}
