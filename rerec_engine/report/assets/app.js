// Puts the page together from its data.
const report = JSON.parse(document.getElementById("data").textContent);
const runs = report.runs;
runs.forEach((run, i) => (run.label = runs.length > 1 && runs[0].name === runs[1].name ? `${run.name} (${i + 1})` : run.name));

const several = runs.length > 1;
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const known = (values) => (values || []).filter((value) => value !== null && value !== undefined);
const percent = (x) => `${(100 * x).toFixed(1)}\u00a0%`;

// A metric of every run, the second one dashed.
function metric(name, label = name, index = 0) {
  return runs.map((run, i) => ({ label: several ? `${label}, ${run.label}` : label, x: run.metrics.step, y: run.metrics[name], dash: i > 0, colour: COLOURS[index % COLOURS.length] }));
}

function evaluations(run, split) {
  return run.evals.filter((line) => line.split === split);
}

function evaluated(run, split, value) {
  const lines = evaluations(run, split);
  return { x: lines.map((line) => line.step), y: lines.map(value) };
}

// Whether the run has done a step; else it has evaluations alone.
const stepped = (run) => run.metrics.step.length > 0;

function level(run, label, value, index) {
  const steps = stepped(run) ? run.metrics.step : run.evals.map((line) => line.step);
  return { label, x: [steps[0], steps[steps.length - 1]], y: [value, value], dash: true, colour: COLOURS[index] };
}

function header() {
  const head = document.getElementById("head");
  head.append(element("h1", { textContent: runs.map((run) => run.label).join(" and ") }));
  for (const run of runs) {
    const environment = run.environment, parts = [environment.started, environment.processor, environment.accelerator, environment.command].filter(Boolean);
    if (parts.length) head.append(element("p", { className: "soft", textContent: (several ? `${run.label}: ` : "") + parts.join(" · ") }));
    head.append(tiles(run));
  }
}

function tiles(run) {
  const metrics = run.metrics, steps = metrics.step, tests = evaluations(run, "test"), before = tests.find((line) => line.moment === "before"), after = tests.find((line) => line.moment === "after");
  const made = [];
  const add = (label, value, note) => made.push(element("div", { className: "tile" }, element("span", { className: "soft", textContent: label }), element("b", { textContent: value }), element("span", { className: "soft", textContent: note || "" })));
  if (before || after) {
    const text = [before, after].filter(Boolean).map((line) => percent(line.accuracy)).join(" → "), last = after || before;
    add("test accuracy", text, `${percent(last.accuracy_low)} to ${percent(last.accuracy_high)}, chance ${percent(last.chance)}`);
  }
  if (!stepped(run)) {
    add("steps", "0", "evaluations alone");
    return element("div", { className: "tiles" }, ...made);
  }
  const rewards = known(metrics.reward), few = Math.max(1, Math.min(10, Math.floor(rewards.length / 3)));
  add("mean reward", `${number(mean(rewards.slice(0, few)))} → ${number(mean(rewards.slice(-few)))}`, `first and last ${few * run.mean_of} steps`);
  add("steps", String(steps[steps.length - 1]), `${number((known(metrics.seconds_total).reduce((sum, x) => sum + x, 0) * run.mean_of) / 60)} minutes`);
  if (metrics.tokens_per_second) add("tokens/s", number([...known(metrics.tokens_per_second)].sort((a, b) => a - b)[Math.floor(steps.length / 2)]), "median, generated and trained");
  if (metrics.curriculum_mastered) add("mastered queries", number(lastOf(metrics.curriculum_mastered)), `of ${number(lastOf(metrics.curriculum_mastered) + lastOf(metrics.curriculum_active))}`);
  return element("div", { className: "tiles" }, ...made);
}

function learning(parent) {
  const note = runs.some((run) => run.mean_of > 1) ? `each point a mean of ${Math.max(...runs.map((run) => run.mean_of))} steps` : "";
  chart(parent, { title: "Reward and its parts", note, lines: [...metric("reward", "reward", 0), ...metric("reward_ndcg", "NDCG", 1), ...metric("reward_format", "format", 2), ...metric("reward_qas", "QAS", 3), ...metric("reward_pas", "PAS", 4)] });
  const accuracy = metric("accuracy", "drawn responses", 5);
  runs.forEach((run, i) => {
    const of = several ? `, ${run.label}` : "";
    for (const [split, index] of [["val", 0], ["test", 1]]) accuracy.push({ label: split + of, ...evaluated(run, split, (line) => line.accuracy), points: true, dash: i > 0, colour: COLOURS[index] });
    const start = run.evals.find((line) => line.moment === "before");
    if (start && i === 0) accuracy.push(level(run, "start", start.accuracy, 7), level(run, "chance", start.chance, 6));
  });
  chart(parent, { title: "Accuracy", note: "evaluations are greedy", lines: accuracy, low: 0, high: 1 });
  const reasons = metric("true_reasons", "drawn responses", 5);
  runs.forEach((run, i) => {
    for (const [split, index] of [["val", 0], ["test", 1]]) reasons.push({ label: several ? `${split}, ${run.label}` : split, ...evaluated(run, split, (line) => line.true_reasons ?? null), points: true, dash: i > 0, colour: COLOURS[index] });
  });
  if (runs.some((run) => known(run.metrics.true_reasons).length)) {
    chart(parent, { title: "True reasons", note: "share of the statements before the answer that the attribute graph confirms", lines: reasons.filter((line) => known(line.y).length), low: 0, high: 1 });
    chart(parent, { title: "Statements", note: "a response", lines: metric("statements"), low: 0 });
  }
  const categories = [...new Set(runs.flatMap((run) => run.evals.flatMap((line) => Object.keys(line.by_category || {}))))];
  const longest = (run) => (evaluations(run, "val").length > 1 ? "val" : "test");
  const lines = categories.flatMap((name, index) => runs.map((run, i) => ({ label: several ? `${name}, ${run.label}` : name, ...evaluated(run, longest(run), (line) => line.by_category[name] ?? null), points: true, dash: i > 0, colour: COLOURS[index % COLOURS.length] })));
  const first = runs[0].evals[0];
  if (first) lines.push(level(runs[0], "chance", first.chance, 7));
  chart(parent, { title: "Accuracy by category", note: `split: ${[...new Set(runs.map(longest))].join(", ")}`, lines, low: 0, high: 1 });
  chart(parent, { title: "Entropy", note: "nats a token", lines: metric("entropy") });
  chart(parent, { title: "KL to the reference", note: "nats a token", lines: metric("kl", "KL") });
  chart(parent, { title: "Response length", note: "tokens", lines: metric("response_length", "mean length"), low: 0 });
  chart(parent, { title: "Cut off and without a gradient", note: "shares: of responses; of groups whose rewards are all equal", lines: [...metric("truncated", "cut off", 1), ...metric("zero_variance_groups", "groups of equal rewards", 0)], low: 0, high: 1 });
  chart(parent, { title: "Clipped tokens", note: "share of tokens", lines: metric("clip_fraction", "clipped"), low: 0 });
  chart(parent, { title: "Gradient norm", note: "before clipping", lines: metric("grad_norm", "norm"), low: 0 });
  chart(parent, { title: "Log-probs: engine and trainer", note: "largest difference, nats", lines: metric("logprob_mismatch_max", "difference"), low: 0 });
}

function places(parent) {
  const of = (value) => (name, dash) => runs.filter((run) => run.places.length).map((run, i) => ({ label: several ? `${name}, ${run.label}` : name, x: run.places.map((at) => at.place), y: run.places.map(value), points: true, dash, colour: COLOURS[i] }));
  chart(parent, { title: "Accuracy by the right candidate's place", note: "dashed: share of all answers that name what stands there", axis: "place", lines: [...of((at) => at.accuracy)("accuracy", false), ...of((at) => at.chosen)("answered", true)], low: 0 });
}

function stacked(parent, run, title, note, names) {
  const lines = names.filter(([name]) => run.metrics[name]).map(([name, label], i) => ({ label, x: run.metrics.step, y: run.metrics[name], colour: COLOURS[i] }));
  chart(parent, { title: several ? `${title}: ${run.label}` : title, note, lines, stacked: true, low: 0 });
}

function curriculum(parent) {
  for (const run of runs) {
    const areas = ["mastered", "easy", "medium", "hard", "unmeasured"].map((name) => [`curriculum_${name}`, name === "unmeasured" ? "not asked yet" : name]);
    const bands = run.metrics.curriculum_easy ? areas : [["curriculum_mastered", "mastered"], ["curriculum_active", "active"]];
    stacked(parent, run, "Queries by difficulty", "when last asked; mastered ones are not asked again, but for probes", bands);
    stacked(parent, run, "Seconds by stage", "", ["rollout", "reward", "logprobs", "advantage", "update", "sync"].map((name) => [`seconds_${name}`, name]));
  }
  chart(parent, { title: "Probed and readmitted queries", note: "of the last refresh", lines: [...metric("curriculum_probed", "probed", 0), ...metric("curriculum_readmitted", "readmitted", 1)], low: 0 });
  chart(parent, { title: "Mean difficulty", note: "of all queries asked so far", lines: metric("curriculum_mean_difficulty", "difficulty"), low: 0 });
  chart(parent, { title: "Tokens/s", note: "generated and trained", lines: metric("tokens_per_second", "tokens/s"), low: 0 });
  chart(parent, { title: "Memory", note: "peak, MB, of the trainer's process", lines: metric("peak_memory_mb", "MB"), low: 0 });
}

function figures(parent) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))].filter((name) => name !== "step");
  const heads = ["first", "last", "lowest", "highest"];
  const columns = runs.flatMap((run) => heads.map((name) => (several ? `${name}, ${run.label}` : name)));
  const row = (name) => runs.flatMap((run) => {
    const values = known(run.metrics[name]);
    return values.length ? [values[0], values[values.length - 1], Math.min(...values), Math.max(...values)].map(number) : ["", "", "", ""];
  });
  const body = names.map((name) => element("tr", { data: { metric: name } }, element("td", { textContent: name }), ...row(name).map((text) => element("td", { textContent: text }))));
  parent.append(element("table", { className: "plain" }, element("thead", {}, element("tr", {}, ...["metric", ...columns].map((text) => element("th", { textContent: text, scope: "col" })))), element("tbody", {}, ...body)));
}

function settings(parent) {
  const flat = (run) => {
    const { versions, ...rest } = run.environment;
    return { ...run.settings, ...Object.fromEntries([...Object.entries(rest), ...Object.entries(versions || {})].map(([name, value]) => [`(machine) ${name}`, String(value ?? "")])) };
  };
  const all = runs.map(flat), names = [...new Set(all.flatMap(Object.keys))];
  const body = names.map((name) => {
    const values = all.map((one) => one[name] ?? "");
    return element("tr", { className: several && values[0] !== values[1] ? "differs" : "" }, element("td", { textContent: name }), ...values.map((text) => element("td", { textContent: text })));
  });
  parent.append(element("table", { className: "plain words" }, element("thead", {}, element("tr", {}, ...["setting", ...runs.map((run) => run.label)].map((text) => element("th", { textContent: text, scope: "col" })))), element("tbody", {}, ...body)));
}

header();
learning(document.querySelector("#learning .charts"));
places(document.querySelector("#learning .charts"));
curriculum(document.querySelector("#curriculum .charts"));
rolloutBrowser(document.getElementById("rollouts"), runs);
figures(document.querySelector("#figures .scroll"));
settings(document.querySelector("#settings .scroll"));
document.documentElement.dataset.ready = "yes";
