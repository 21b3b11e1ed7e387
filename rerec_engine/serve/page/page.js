import { answerParts, candidatesText, element, reasoningBlock } from "./answer.js";

const at = (id) => document.getElementById(id);
const main = document.querySelector("main"); // scrolls
const messages = at("messages");
const text = at("text");
let conversation = []; // messages as the API takes them
let running = null; // AbortController of the request in flight

async function* events(body) {
  const decoder = new TextDecoder();
  let rest = "";
  for (const reader = body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.replace(/^data: /, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

async function refusal(response) {
  let message = `the server answered ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // no JSON: the status has to do
  }
  if (response.status === 401) {
    at("key-label").hidden = false;
    at("key").focus();
    return "This server asks for an API key: enter it below and send again.";
  }
  if (response.status === 429) {
    const seconds = response.headers.get("Retry-After");
    return `Busy, try again${seconds ? ` in ${seconds} s` : ""}.`;
  }
  if (response.status === 504) return "The answer took too long. Try again, or ask for less.";
  return `No answer: ${message}`;
}

function requestBody() {
  const body = { model: "rerec", stream: true, messages: conversation };
  if (at("user").value.trim()) body.user = at("user").value.trim();
  if (at("top").value) body.top_k = Number(at("top").value);
  return JSON.stringify(body);
}

function nearEnd() {
  return main.scrollHeight - main.scrollTop - main.clientHeight < 120;
}

function follow(change) {
  const stay = nearEnd();
  change();
  if (stay) main.scrollTop = main.scrollHeight;
}

async function ask(words) {
  at("welcome").hidden = true;
  conversation.push({ role: "user", content: words });
  const sent = conversation;
  const said = element("div", "said", words);
  const answer = element("article", "answer");
  answer.setAttribute("aria-label", "Answer");
  answer.setAttribute("aria-busy", "true");
  const reasoning = reasoningBlock();
  answer.append(reasoning.block);
  messages.append(said, answer);
  main.scrollTop = main.scrollHeight;
  const fail = (message) => {
    reasoning.finish();
    answer.append(element("p", "error", message));
  };
  const headers = { "Content-Type": "application/json" };
  if (at("key").value) headers.Authorization = `Bearer ${at("key").value}`;
  running = new AbortController();
  show();
  let content = "";
  let whole = false;
  try {
    const options = { method: "POST", headers, body: requestBody(), signal: running.signal };
    const response = await fetch("/v1/chat/completions", options);
    if (!response.ok) throw new Error(await refusal(response));
    for await (const event of events(response.body)) {
      if (event.error) throw new Error(`The answer broke off: ${event.error.message}`);
      const thought = event.choices[0]?.delta.reasoning_content;
      if (thought) follow(() => reasoning.add(thought));
      const piece = event.choices[0]?.delta.content;
      if (piece) {
        content += piece;
        if (!event.rerec) follow(() => reasoning.add(piece));
      }
      if (event.rerec) {
        whole = true;
        follow(() => {
          const thoughts = [event.rerec.thinking, event.rerec.reasoning].filter(Boolean).join("\n\n");
          reasoning.finish(candidatesText(event.rerec), thoughts);
          answer.append(...answerParts(event.rerec));
        });
      }
    }
    if (!whole) throw new Error("The answer broke off.");
  } catch (error) {
    if (sent !== conversation) return; // a new chat has begun
    if (error.name === "AbortError") fail("Stopped.");
    else follow(() => fail(error instanceof TypeError ? "The server cannot be reached. Is it still running?" : error.message));
  } finally {
    answer.removeAttribute("aria-busy");
    if (sent === conversation) {
      if (whole) conversation.push({ role: "assistant", content });
      else conversation.pop(); // an unanswered request is no context of the next
      running = null;
      show();
      if (document.activeElement === document.body) text.focus();
    }
  }
}

function show() {
  at("send").hidden = running !== null;
  at("stop").hidden = running === null;
  at("send").disabled = !text.value.trim();
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

function newChat() {
  running?.abort();
  running = null;
  conversation = [];
  messages.replaceChildren();
  at("welcome").hidden = false;
  text.value = "";
  show();
  text.focus();
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (!words || running) return;
  text.value = "";
  ask(words);
});
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("form").requestSubmit();
});
text.addEventListener("input", show);
at("stop").addEventListener("click", () => running?.abort());
at("new").addEventListener("click", newChat);

fetch("/health")
  .then((response) => response.json())
  .then((state) => { at("engine").textContent = state.engine === "vllm" ? "on vLLM" : "on the built-in sampler"; })
  .catch(() => {});
show();
text.focus();
