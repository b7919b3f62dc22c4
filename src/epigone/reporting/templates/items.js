// The pages of a study's items: filters, paging, keys. Reads items/index.js and chunks items/NNNNN.js by script
// elements, which work from a folder on disk, where fetch does not. Data becomes text nodes, never markup.
"use strict";

const CHUNKS_KEPT = 24, LONG_PROMPT = 600;
const WANTED = [["", "any"], ["1", ""], ["0", ""], ["p", "in part"], ["-", "neither"], [".", "not asked"]];
const SIGNS = { right: "✓", wrong: "✗", mixed: "≈", off_topic: "≠" };
const CHIPS = { 1: "good", 0: "bad", p: "style" };
const chunks = new Map(), waiting = new Map();
let index = null, state = null, found = [], isWhole = true, run = 0, focused = -1;

function epigoneIndex(data) {
  index = data;
  let offset = 0;
  for (const benchmark of index.benchmarks) { benchmark.offset = offset; offset += benchmark.num_items; }
  index.num_items = offset;
  build();
  window.addEventListener("hashchange", () => { readHash(); fillForm(); look(); });
  readHash(); fillForm(); look();
}

function epigoneChunk(number, items) {
  chunks.set(number, items);
  while (chunks.size > CHUNKS_KEPT) chunks.delete(chunks.keys().next().value);
  const asked = waiting.get(number);
  waiting.delete(number);
  if (asked) asked.done(items);
}

function chunk(number) {
  if (chunks.has(number)) return Promise.resolve(chunks.get(number));
  if (waiting.has(number)) return waiting.get(number).promise;
  const asked = {}, script = document.createElement("script");
  asked.promise = new Promise((done, failed) => { asked.done = done; asked.failed = failed; });
  waiting.set(number, asked);
  script.src = `items/${String(number).padStart(5, "0")}.js`;
  script.onload = () => script.remove();
  script.onerror = () => { waiting.delete(number); asked.failed(new Error(`${script.getAttribute("src")} cannot be read`)); };
  document.head.append(script);
  return asked.promise;
}

function make(tag, given, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given || {})) {
    if (name === "text") element.textContent = value; else element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

function benchmarkAt(place) {
  let found = index.benchmarks[0];
  for (const benchmark of index.benchmarks) if (benchmark.num_items && place >= benchmark.offset) found = benchmark;
  return found;
}

// state <-> hash. A link names models by name, so that it says what it shows.
function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  const named = new Map(index.models.map((model, place) => [model.name, place]));
  const shown = given.getAll("show").filter(name => named.has(name)).map(name => named.get(name));
  const benchmark = index.benchmarks.findIndex(b => b.name === given.get("benchmark"));
  const wants = new Map();
  for (const text of given.getAll("is")) {
    const name = text.slice(2);
    if (named.has(name)) wants.set(named.get(name), text[0]);
  }
  const usual = index.lead.filter(name => named.has(name)).map(name => named.get(name));
  state = {
    benchmark, wants, text: given.get("text") || "", size: Number(given.get("size")) || 10,
    shown: new Set(shown.length ? shown : usual.length ? usual : [...index.models.keys()].slice(0, 4)),
    page: Math.max(1, Number(given.get("page")) || 1), item: given.has("item") && benchmark >= 0 ? Number(given.get("item")) : -1,
  };
  if (![10, 25, 50].includes(state.size)) state.size = 10;
}

function hashOf(changes) {
  const wanted = { ...state, ...changes }, told = new URLSearchParams();
  if (wanted.benchmark >= 0) told.set("benchmark", index.benchmarks[wanted.benchmark].name);
  for (const place of [...wanted.shown].sort((a, b) => a - b)) told.append("show", index.models[place].name);
  for (const [place, want] of wanted.wants) told.append("is", `${want}:${index.models[place].name}`);
  if (wanted.text) told.set("text", wanted.text);
  if (wanted.size !== 10) told.set("size", wanted.size);
  if (wanted.page > 1) told.set("page", wanted.page);
  if (wanted.item >= 0) told.set("item", wanted.item);
  return `#${told}`;
}

function go(changes) {
  const hash = hashOf({ page: 1, item: -1, ...changes });
  if (hash === location.hash || (hash === "#" && !location.hash)) { readHash(); look(); } else location.hash = hash;
}

function build() {
  const select = document.getElementById("benchmark");
  select.append(make("option", { value: "-1", text: `All (${index.num_items.toLocaleString("en")} items)` }));
  index.benchmarks.forEach((b, place) => select.append(
    make("option", { value: place, text: `${b.label} (${b.num_items.toLocaleString("en")})` })));
  const list = document.getElementById("models");
  index.models.forEach((model, place) => {
    const box = make("input", { type: "checkbox", id: `show-${place}`, "data-model": place });
    const want = make("select", { "aria-label": `${model.label}: what came of its answer`, "data-want": place });
    for (const [value] of WANTED) want.append(make("option", { value }));
    list.append(make("li", {}, box, make("label", { for: `show-${place}`, text: model.label }), want));
  });
  const form = document.getElementById("filters");
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", event => { event.preventDefault(); location.hash = "#"; });
  form.addEventListener("change", event => {
    const of = event.target;
    if (of.id === "benchmark") go({ benchmark: Number(of.value) });
    if (of.id === "size") go({ size: Number(of.value) });
    if (of.dataset.model !== undefined) {
      const shown = new Set(state.shown);
      if (of.checked) shown.add(Number(of.dataset.model)); else shown.delete(Number(of.dataset.model));
      go({ shown, page: state.page, item: state.item });
    }
    if (of.dataset.want !== undefined) {
      const wants = new Map(state.wants);
      if (of.value) wants.set(Number(of.dataset.want), of.value); else wants.delete(Number(of.dataset.want));
      go({ wants });
    }
  });
  let typing = 0;
  document.getElementById("text").addEventListener("input", event => {
    clearTimeout(typing);
    typing = setTimeout(() => go({ text: event.target.value }), 250);
  });
  document.addEventListener("keydown", onKey);
}

function fillForm() {
  document.getElementById("benchmark").value = state.benchmark;
  document.getElementById("size").value = state.size;
  const text = document.getElementById("text");
  if (document.activeElement !== text) text.value = state.text;
  const words = state.benchmark >= 0 ? index.benchmarks[state.benchmark].words : ["right", "wrong"];
  for (const box of document.querySelectorAll("#models input")) box.checked = state.shown.has(Number(box.dataset.model));
  for (const want of document.querySelectorAll("#models select")) {
    [...want.options].forEach((option, place) => {
      option.textContent = option.value === "1" ? words[0] : option.value === "0" ? words[1] : WANTED[place][1];
    });
    want.value = state.wants.get(Number(want.dataset.want)) || "";
  }
}

function candidates() {
  const places = [];
  index.benchmarks.forEach((benchmark, number) => {
    if (state.benchmark >= 0 && state.benchmark !== number) return;
    const wanted = [...state.wants].map(([model, want]) => [benchmark.outcomes[model], want]);
    for (let i = 0; i < benchmark.num_items; i++) {
      if (wanted.every(([column, want]) => column[i] === want)) places.push(benchmark.offset + i);
    }
  });
  return places;
}

function chunkOf(place) {
  const benchmark = benchmarkAt(place);
  return benchmark.first_chunk + Math.floor((place - benchmark.offset) / index.chunk_items);
}

async function itemAt(place) {
  return (await chunk(chunkOf(place)))[(place - benchmarkAt(place).offset) % index.chunk_items];
}

function textOf(item) {
  const parts = [item.id, item.group || "", item.prompt];
  for (const said of item.said) parts.push(said.reply, said.parsed || "", said.prompt || "");
  return parts.join("\n").toLowerCase();
}

// What fits the filters, and with a text what holds it: chunk by chunk, the page shown as soon as it is full.
async function look() {
  const mine = ++run, places = candidates(), wanted = state.text.trim().toLowerCase();
  if (!wanted) {
    found = places; isWhole = true;
    if (state.item >= 0) {
      const at = places.indexOf(index.benchmarks[state.benchmark].offset + state.item);
      if (at >= 0) { state.page = Math.floor(at / state.size) + 1; focused = at % state.size; }
    }
    await show(mine);
    return;
  }
  found = []; isWhole = false;
  let shownAt = -1;
  for (let at = 0; at < places.length;) {
    const number = chunkOf(places[at]);
    let items;
    try { items = await chunk(number); } catch (error) { if (mine === run) complain(error); return; }
    if (mine !== run) return;
    for (; at < places.length && chunkOf(places[at]) === number; at++) {
      const item = items[(places[at] - benchmarkAt(places[at]).offset) % index.chunk_items];
      if (textOf(item).includes(wanted)) found.push(places[at]);
    }
    if (shownAt < 0 && found.length >= state.page * state.size) { shownAt = found.length; await show(mine); }
    tell(`${found.length} found, ${at.toLocaleString("en")} of ${places.length.toLocaleString("en")} items searched …`);
  }
  isWhole = true;
  if (mine === run) await show(mine);
}

function tell(text) { document.getElementById("status").textContent = text; }
function complain(error) { tell(`${error.message}: the files under items/ belong beside this page.`); }

async function show(mine) {
  const numPages = Math.max(1, Math.ceil(found.length / state.size));
  const page = Math.min(state.page, numPages), first = (page - 1) * state.size;
  const places = found.slice(first, first + state.size);
  let items;
  try { items = await Promise.all(places.map(itemAt)); } catch (error) { if (mine === run) complain(error); return; }
  if (mine !== run) return;
  document.getElementById("items").replaceChildren(...items.map((item, i) => article(item, places[i])));
  pagers(page, numPages);
  sources(places);
  const last = first + places.length, plus = isWhole ? "" : " or more";
  tell(found.length ? `Items ${(first + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${found.length.toLocaleString("en")}${plus}`
    : "No item fits. Clear a filter.");
  if (state.item >= 0 && focused >= 0) focusOn(focused);
}

function article(item, place) {
  const benchmark = benchmarkAt(place), inside = place - benchmark.offset;
  const number = index.benchmarks.indexOf(benchmark);
  const link = make("a", { href: hashOf({ benchmark: number, item: inside, page: 1, text: "", wants: new Map() }), text: `${benchmark.label} · ${item.id}` });
  const heading = make("h2", {}, link, item.group ? make("small", { text: item.group }) : null);
  const answers = item.said.filter(said => state.shown.has(said.model)).sort((a, b) => a.model - b.model);
  const shown = answers.map(said => answer(said, benchmark));
  const rest = item.said.length - answers.length;
  const away = rest ? make("p", { class: "caption", text: `${rest} more ${rest === 1 ? "model" : "models"} answered; choose them above.` }) : null;
  return make("article", { class: "item", tabindex: "-1" }, heading, ...prompt(item.prompt), make("div", { class: "answers" }, ...shown), away);
}

function prompt(text) {
  if (text.length <= LONG_PROMPT) return [make("p", { class: "turn", text })];
  const whole = make("details", {}, make("summary", { text: `The whole prompt, ${text.length.toLocaleString("en")} characters` }), make("p", { class: "turn", text }));
  return [make("p", { class: "turn", text: `… ${text.slice(-LONG_PROMPT)}` }), whole];
}

function answer(said, benchmark) {
  const words = { 1: benchmark.words[0], 0: benchmark.words[1], p: "in part" };
  const chip = words[said.outcome] ? make("span", { class: `chip ${CHIPS[said.outcome]}`, text: words[said.outcome] }) : null;
  const box = make("div", { class: "answer" }, make("h3", {}, index.models[said.model].label, " ", chip));
  if (said.prompt) box.append(make("details", {}, make("summary", { text: "Asked in other words" }), make("p", { class: "turn", text: said.prompt })));
  box.append(said.sentences ? marked(said.sentences) : make("p", { class: "answer-text recorded" }, said.reply.trim() ? said.reply : make("em", { text: "an empty answer" })));
  if (said.parsed) box.append(make("p", { class: "read-as" }, "read as ", make("b", { text: said.parsed })));
  const metrics = Object.entries(said.metrics || {});
  if (metrics.length) box.append(make("p", { class: "scores", text: metrics.map(([name, value]) => `${name} ${value}`).join(" · ") }));
  for (const [who, against, wins, ties, losses] of said.votes || []) {
    box.append(make("p", { class: "scores", text: `${who}, against ${against}: better ${wins}, equal ${ties}, worse ${losses}` }));
  }
  return box;
}

function marked(sentences) {
  const text = make("p", { class: "answer-text" });
  sentences.forEach(([words, truth, begins], place) => {
    if (begins && place) text.append(make("br"), ...(begins === "paragraph" ? [make("span", { class: "gap" })] : []));
    if (SIGNS[truth]) {
      const sign = make("span", { class: "sign", role: "img", "aria-label": truth.replace("_", " "), text: SIGNS[truth] });
      text.append(make("span", { class: `truth ${truth}` }, sign, ` ${words.trim()}`));
    } else text.append(make("span", { text: words.trim() }));
    text.append(" ");
  });
  return text;
}

// Ids of artifacts, as links where this page lies under a root of artifacts on the disk.
function sources(places) {
  const root = location.protocol === "file:" ? location.href.split("#")[0].match(/^(.*)\/studies\//) : null;
  const box = document.querySelector("#sources div"), rows = [];
  for (const benchmark of new Set(places.map(benchmarkAt))) {
    const lines = benchmark.sources.filter(source => state.shown.has(source.model)).map(source => {
      const ids = source.artifacts.map(id => root ? make("a", { href: `${root[1]}/${id}/`, text: id }) : make("code", { text: id }));
      const parts = ids.flatMap((id, place) => place ? [", ", id] : [id]);
      const protocol = source.protocol ? make("small", { text: `protocol ${source.protocol}` }) : null;
      return make("li", {}, `${index.models[source.model].label}: `, ...parts, protocol);
    });
    if (lines.length) rows.push(make("p", { class: "sources-of", text: benchmark.label }), make("ul", {}, ...lines));
  }
  box.replaceChildren(...rows);
  document.getElementById("sources").hidden = !rows.length;
}

function pagers(page, numPages) {
  for (const nav of document.querySelectorAll(".pager")) {
    const step = (text, to, able) => {
      const button = make("button", { type: "button", text });
      button.disabled = !able;
      button.addEventListener("click", () => turn(to));
      return button;
    };
    const at = make("input", { type: "number", min: 1, max: numPages, value: page, "aria-label": "Page" });
    at.addEventListener("change", () => turn(Math.min(numPages, Math.max(1, Number(at.value) || 1))));
    nav.replaceChildren(step("First", 1, page > 1), step("Previous", page - 1, page > 1), make("span", {}, "page ", at, ` of ${numPages.toLocaleString("en")}`),
      step("Next", page + 1, page < numPages), step("Last", numPages, page < numPages));
    nav.hidden = numPages === 1;
  }
}

function turn(page) { focused = -1; go({ page }); window.scrollTo({ top: 0 }); }

function focusOn(place) {
  const articles = document.querySelectorAll("article.item");
  if (!articles.length) return;
  focused = Math.max(0, Math.min(articles.length - 1, place));
  articles[focused].focus();
  articles[focused].scrollIntoView({ block: "start" });
}

function onKey(event) {
  const of = event.target;
  if (event.key === "Escape" && of.id === "text") { of.blur(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(of.tagName)) return;
  const numPages = Math.max(1, Math.ceil(found.length / state.size)), page = Math.min(state.page, numPages);
  const keys = {
    j: () => focusOn(focused + 1), k: () => focusOn(focused - 1),
    n: () => page < numPages && turn(page + 1), p: () => page > 1 && turn(page - 1),
    "/": () => document.getElementById("text").focus(),
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
}
