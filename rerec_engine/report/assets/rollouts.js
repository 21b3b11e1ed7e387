// Groups of responses: filtered, and built when they are opened. Text of models is set as text, never as markup.
const PARTS = ["ndcg", "qas", "pas", "format"];
const KINDS = ["", "penalised", "credited"];
const AT_ONCE = 20;

function advantageColour(value, largest) {
  const share = largest ? Math.min(1, Math.abs(value) / largest) : 0;
  return `rgba(${variable(value < 0 ? "--bad" : "--good")}, ${(share * 0.55).toFixed(3)})`;
}

// Every token in a span of its own, shaded by its advantage.
function shaded(response, largest) {
  const text = element("div", { className: "text" });
  const count = response.advantages.reduce((sum, [tokens]) => sum + tokens, 0);
  const thinking = response.thinking ?? [];
  const inside = (place) => thinking.some(([from, to]) => from <= place && place < to);
  if (response.tokens.length !== count) {
    let at = 0;
    for (const [from, to] of [...thinking, [response.text.length, response.text.length]]) {
      text.append(response.text.slice(at, from), element("span", { textContent: response.text.slice(from, to), className: "thinking" }));
      at = to;
    }
    return text;
  }
  let begin = 0, token = 0;
  for (const [tokens, value, kind] of response.advantages) {
    const colour = advantageColour(value, largest);
    const title = `advantage ${number(value)}${kind ? ", " + KINDS[kind] : ""}`;
    for (let i = 0; i < tokens; i++, token++) {
      const end = begin + response.tokens[token];
      const span = element("span", { textContent: response.text.slice(begin, end), title: `token ${token + 1} of ${count}: ${title}`, className: inside(begin) ? `thinking ${KINDS[kind]}` : KINDS[kind] });
      span.style.backgroundColor = colour;
      text.append(span);
      begin = end;
    }
  }
  return text;
}

function responseView(response, largest) {
  const parts = PARTS.map((name) => `${name} ${number(response[name])}`).join(" · ");
  const head = element("div", { className: "parts" }, element("b", { textContent: `reward ${number(response.reward)}` }), ` ${response.hit > 0 ? "right" : "wrong"} · ${parts} · ${response.tokens.length} tokens, ${response.finish === "length" ? "cut off" : "ended"}`);
  return element("div", { className: `response ${response.hit > 0 ? "right" : "wrong"}` }, head, shaded(response, largest));
}

function groupView(group) {
  const right = group.responses.filter((response) => response.hit > 0).length;
  const first = group.prompt.split("\n")[0];
  const summary = element("summary", {}, element("b", { textContent: `step ${group.step}` }), ` · ${group.category} · ${right} of ${group.responses.length} right · ${first.slice(0, 140)}`);
  const view = element("details", { className: "group" }, summary);
  view.addEventListener("toggle", () => {
    if (!view.open || view.childElementCount > 1) return;
    const largest = Math.max(...group.responses.flatMap((response) => response.advantages.map(([, value]) => Math.abs(value))));
    view.append(element("div", {}, element("div", { className: "text prompt", textContent: group.prompt, tabIndex: 0 }), ...group.responses.map((response) => responseView(response, largest))));
  });
  return view;
}

function matches(group, wanted) {
  const right = group.responses.filter((response) => response.hit > 0).length;
  const penalised = (response) => response.advantages.some(([, , kind]) => kind === 1);
  return (
    (!wanted.step || String(group.step) === wanted.step) &&
    (!wanted.category || group.category === wanted.category) &&
    (!wanted.mixed || (right > 0 && right < group.responses.length)) &&
    (!wanted.penalised || group.responses.some(penalised)) &&
    (!wanted.text || [group.prompt, ...group.responses.map((response) => response.text)].some((text) => text.toLowerCase().includes(wanted.text)))
  );
}

function choice(name, label, values, update) {
  const select = element("select", { name, on: { change: update } }, element("option", { value: "", textContent: "all" }), ...values.map((value) => element("option", { value, textContent: value })));
  return element("label", {}, label, select);
}

function rolloutBrowser(section, runs) {
  const filters = section.querySelector(".filters"), list = section.querySelector(".groups"), count = section.querySelector(".count");
  let limit = AT_ONCE;
  const groups = () => runs[Number(filters.querySelector('[name="run"]')?.value || 0)].groups;
  const update = () => {
    const value = (name) => filters.querySelector(`[name="${name}"]`);
    const wanted = { step: value("step").value, category: value("category").value, text: value("text").value.trim().toLowerCase(), mixed: value("mixed").checked, penalised: value("penalised").checked };
    const found = groups().filter((group) => matches(group, wanted));
    list.replaceChildren(...found.slice(0, limit).map(groupView));
    if (found.length > limit) list.append(element("button", { textContent: `${found.length - limit} more`, on: { click: () => ((limit += AT_ONCE), update()) } }));
    const left = runs[Number(value("run")?.value || 0)].groups_left_out;
    count.textContent = `${found.length} of ${groups().length} groups${left ? `; ${left} more are in the run's rollouts/` : ""}`;
  };
  const anew = () => ((limit = AT_ONCE), update());
  const every = runs.flatMap((run) => run.groups);
  const unique = (name) => [...new Set(every.map((group) => group[name]))];
  if (runs.length > 1) filters.append(element("label", {}, "run", element("select", { name: "run", on: { change: anew } }, ...runs.map((run, i) => element("option", { value: i, textContent: run.label })))));
  filters.append(
    choice("step", "step", unique("step").sort((a, b) => a - b), anew),
    choice("category", "category", unique("category").sort(), anew),
    element("label", {}, "text", element("input", { type: "search", name: "text", placeholder: "in prompt or answers", on: { input: anew } })),
    element("label", { className: "check" }, element("input", { type: "checkbox", name: "mixed", on: { change: anew } }), "right and wrong answers"),
    element("label", { className: "check" }, element("input", { type: "checkbox", name: "penalised", on: { change: anew } }), "penalised segments"),
  );
  const sample = (value, text) => {
    const made = element("span", { className: "sample", textContent: text });
    made.style.backgroundColor = advantageColour(value, 1);
    return made;
  };
  section.querySelector(".key").append("Tokens are shaded by their advantage: ", sample(1, "made likelier"), " ", sample(-1, "made less likely"), "; ", element("span", { className: "penalised", textContent: "penalised segments" }), " argue for a wrong item. Answers are sorted by reward.");
  if (every.some((group) => group.responses.some((response) => response.thinking?.length))) section.querySelector(".key").append(" ", element("span", { className: "thinking", textContent: "Blocks of reasoning" }), " hold no answer.");
  update();
}
