"use strict";
// The page of the service. It asks its own service only, keeps nothing, and shows no text as HTML.

const AT_ONCE = 2; // requests on their way
const PER_REQUEST = 8; // images of one request
const SIDE = 168;
const SHOWN = 4; // classes of an exit
const byId = (id) => document.getElementById(id);
const state = { token: "", model: null, rows: [], queue: [], running: 0, asked: 0, done: 0 };

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

const percent = (value) => `${(100 * value).toFixed(1)} %`;
const headers = (more) => ({ ...more, ...(state.token ? { authorization: `Bearer ${state.token}` } : {}) });
const problemText = (problem) => (problem && problem.title ? `${problem.title}. ${problem.remedy || ""}` : "The service gave no answer.");

// Health and model

async function askHealth() {
  let status = "not reached";
  try {
    status = (await (await fetch("/readyz")).json()).status;
  } catch { /* the text says so */ }
  byId("health").className = status === "ready" ? "ready" : "not-ready";
  const words = { ready: "The service is ready.", starting: "The service is starting.", draining: "The service is about to end." };
  byId("health-text").textContent = words[status] || `The service is ${status}.`;
  if (status === "ready") await askModel();
}

async function askModel() {
  if (!state.token && !byId("access").hidden) return; // it has said that it wants one
  const response = await fetch("/v1/model", { headers: headers() });
  byId("access").hidden = response.status !== 401 && response.status !== 403;
  if (!response.ok) return;
  state.model = await response.json();
  showModel(state.model);
}

function showModel(model) {
  const promises = model.promises.length ? model.promises : ["Nothing: its policy was not certified."];
  byId("promises").replaceChildren(...promises.map((text) => make("li", text)));
  const facts = { name: model.name, classes: model.classes.join(", "), exits: model.exits, "decided by": model.decided_by,
    precision: model.precision, weights: model.weights.slice(0, 12), policy: model.policy.slice(0, 12),
    deadline: `${model.limits.deadline_ms} ms`, note: model.note };
  const entries = Object.entries(facts).filter(([, value]) => value !== null);
  byId("facts").replaceChildren(...entries.flatMap(([name, value]) => [make("dt", name), make("dd", String(value))]));
  const today = model.today;
  byId("shift").textContent = today.says || `The last ${today.images} answers, and those at calibration.`;
  byId("shift").className = today.shifted ? "warn" : "quiet";
  for (const name of ["exits", "labels", "confidence"]) showShares(byId(name), today[name], today.images, today.calibrated_images);
}

function showShares(table, found, images, calibrated) {
  table.classList.toggle("shifted", found.shifted);
  table.tBodies[0].replaceChildren(...found.values.map((value, place) => {
    const row = make("tr");
    const head = make("th", value);
    head.scope = "row";
    row.append(head, make("td", images ? percent(found.counts[place] / images) : "–"),
      make("td", found.calibrated ? percent(found.calibrated[place] / calibrated) : "–"));
    return row;
  }));
}

// Images in

function addFiles(files) {
  for (const file of files) {
    const card = byId("card").content.firstElementChild.cloneNode(true);
    const row = { file, name: file.webkitRelativePath || file.name, card, exits: new Map(), result: null, begin: 0 };
    card.querySelector("h3").textContent = "Waiting …";
    card.querySelector(".path").textContent = row.name;
    byId("cards").append(card);
    drawImage(row);
    state.rows.push(row);
    state.queue.push(row);
    state.asked += 1;
  }
  byId("clear").disabled = state.rows.length === 0;
  showProgress();
  pump();
}

async function drawImage(row) {
  const canvas = row.card.querySelector("canvas");
  canvas.setAttribute("aria-label", `Image ${row.name}`);
  try {
    const bitmap = await createImageBitmap(row.file);
    const scale = SIDE / Math.max(bitmap.width, bitmap.height);
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    row.shown = true;
    offerMaps(row); // the answer may have come before
  } catch {
    canvas.setAttribute("aria-label", `The browser cannot show ${row.name}`);
  }
}

async function filesOf(items) {
  const files = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!entries.length) return;
      for (const inner of entries) await walk(inner);
    }
  };
  const entries = [...items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  for (const entry of entries) await walk(entry);
  return files.filter((file) => !file.name.startsWith("."));
}

// Answers out

function pump() {
  while (state.running < AT_ONCE && state.queue.length) {
    state.running += 1;
    const rows = state.queue.splice(0, PER_REQUEST);
    ask(rows).catch(() => rows.forEach((row) => row.result || fail(row, null))).finally(() => {
      state.running -= 1;
      pump();
      if (!state.running && !state.queue.length) askModel();
    });
  }
}

async function ask(rows) {
  const form = new FormData();
  rows.forEach((row) => {
    row.begin = performance.now();
    form.append("file", row.file, "image"); // the name stays here
  });
  const longest = state.model ? state.model.limits.max_deadline_ms : 10000;
  const response = await fetch(`/v1/predict?exits=all&deadline_ms=${longest}`, { method: "POST", body: form, headers: headers({ accept: "application/x-ndjson" }) });
  if (response.status === 429 || response.status === 503) {
    const seconds = Number(response.headers.get("retry-after") || 2);
    byId("said").textContent = `The service is full; next try in ${seconds} s.`;
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    state.queue.unshift(...rows);
    return;
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => null);
    byId("access").hidden = response.status !== 401 && response.status !== 403;
    rows.forEach((row) => fail(row, problem));
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    lines.filter(Boolean).map(JSON.parse).forEach((line) => take(rows[line.index], line));
  }
  rows.forEach((row) => row.result || fail(row, null));
}

function take(row, line) {
  if (line.status === "failed") return fail(row, line.error);
  row.exits.set(line.exit, line);
  if (line.status === "answered" || line.status === "referred") finish(row, line);
  else row.card.querySelector("h3").textContent = `Exit ${line.exit} says ${line.label}; not sure yet …`;
  showExits(row);
}

const REASONS = { unsure: "The final exit is unsure", unlike: "It looks unlike the images of calibration" };

function finish(row, line) {
  row.result = line;
  row.seconds = (performance.now() - row.begin) / 1000;
  const by = line.exit === line.exits ? "the final exit" : `exit ${line.exit} of ${line.exits}`;
  row.card.querySelector("h3").textContent = line.status === "referred"
    ? `No answer: refer to a human. ${REASONS[line.reason]} (${by})`
    : `${line.label}, ${percent(line.probability)}, answered by ${by}`;
  const time = row.card.querySelector(".time");
  const network = line.ms.stages.reduce((sum, ms) => sum + ms, 0);
  time.textContent = `${network.toFixed(1)} ms in the network, ${line.ms.decode.toFixed(1)} ms to decode, ${line.ms.queue.toFixed(1)} ms waiting.`;
  if (line.deadline === "cut") {
    time.textContent += " Cut by the deadline: no promise holds for this answer.";
    time.className = "time warn";
  }
  offerMaps(row);
  count();
}

function offerMaps(row) {
  const answered = row.result && row.result.ms;
  if (!answered || !row.shown || !state.model || !state.model.attention) return;
  const look = row.card.querySelector(".look");
  look.hidden = false;
  look.onclick = () => showMaps(row, look);
}

function fail(row, problem) {
  row.result = { error: problem };
  row.card.querySelector("h3").textContent = "No answer";
  const time = row.card.querySelector(".time");
  time.textContent = problemText(problem);
  time.className = "time warn";
  count();
}

function count() {
  state.done += 1;
  byId("csv").disabled = false;
  showProgress();
}

function showProgress() {
  byId("said").textContent = state.asked ? `${state.done} of ${state.asked} images answered.` : "";
}

function showExits(row) {
  const blocks = [...row.exits.values()].sort((a, b) => a.exit - b.exit).map((line) => {
    const answers = line.status === "answered";
    const block = make("div", undefined, answers ? "exit answers" : "exit");
    block.append(make("h4", `Exit ${line.exit}${answers ? " answers" : ""}`));
    const most = Object.entries(line.probabilities).sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
    for (const [name, value] of most) {
      const bar = make("meter");
      bar.max = 1;
      bar.value = value;
      bar.setAttribute("aria-label", `${name}: ${percent(value)}`);
      const label = make("span", name, "name");
      label.title = name;
      const entry = make("div", undefined, "row");
      entry.append(label, bar, make("span", percent(value)));
      block.append(entry);
    }
    return block;
  });
  row.card.querySelector(".exits").replaceChildren(...blocks);
}

// What the exits looked at: dark blue where least, yellow where most (viridis)

const HEAT = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

function heat(level) {
  const place = (level / 100) * (HEAT.length - 1);
  const low = Math.min(HEAT.length - 2, Math.floor(place));
  return HEAT[low].map((value, channel) => Math.round(value + (HEAT[low + 1][channel] - value) * (place - low)));
}

async function showMaps(row, look) {
  look.disabled = true;
  const response = await fetch("/v1/attention", { method: "POST", body: row.file, headers: headers({ "content-type": row.file.type || (/\.dcm$/i.test(row.file.name) ? "application/dicom" : "image/tiff") }) });
  const answer = await response.json().catch(() => null);
  const list = row.card.querySelector(".maps");
  list.hidden = false;
  if (!response.ok) {
    list.replaceChildren(make("li", problemText(answer), "warn"));
    look.disabled = false;
    return;
  }
  const items = answer.exits.map((exit) => {
    const item = make("li");
    item.append(overlay(row, exit.map, exit.exit), make("span", `Exit ${exit.exit}, ${exit.kind === "cbam" ? "attention" : "Grad-CAM"}`));
    return item;
  });
  list.replaceChildren(...items);
  look.hidden = true;
}

function overlay(row, map, exit) {
  const photo = row.card.querySelector("canvas");
  const small = make("canvas");
  small.width = map[0].length;
  small.height = map.length;
  const pixels = small.getContext("2d").createImageData(small.width, small.height);
  map.flat().forEach((level, place) => pixels.data.set([...heat(level), 255], 4 * place));
  small.getContext("2d").putImageData(pixels, 0, 0);
  const canvas = make("canvas");
  canvas.width = photo.width;
  canvas.height = photo.height;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `What exit ${exit} looked at in ${row.name}`);
  const context = canvas.getContext("2d");
  context.filter = "grayscale(1)";
  context.drawImage(photo, 0, 0);
  context.filter = "none";
  context.globalAlpha = 0.5;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// CSV

function csvField(value) {
  let text = value === undefined || value === null ? "" : String(value);
  if (/^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text))) text = `'${text}`; // no formula of a spreadsheet
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const classes = state.model ? state.model.classes : [];
  const lines = [["name", "label", "probability", "exit", "exits", "deadline", "network_ms", "weights", "policy", "error", "referred", ...classes]];
  for (const row of state.rows.filter((one) => one.result)) {
    const answer = row.result;
    if (!answer.ms) {
      lines.push([row.name, "", "", "", "", "", "", "", "", problemText(answer.error)]);
      continue;
    }
    const network = answer.ms.stages.reduce((sum, ms) => sum + ms, 0).toFixed(3);
    lines.push([row.name, answer.label, answer.probability, answer.exit, answer.exits, answer.deadline, network, answer.weights,
      state.model ? state.model.policy : "", "", answer.reason, ...classes.map((name) => answer.probabilities[name])]);
  }
  return lines.map((line) => line.map(csvField).join(",")).join("\r\n") + "\r\n";
}

function download() {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "endoexit-answers.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function clear() {
  Object.assign(state, { rows: [], queue: [], asked: 0, done: 0 });
  byId("cards").replaceChildren();
  byId("csv").disabled = byId("clear").disabled = true;
  showProgress();
}

for (const id of ["files", "folder"]) {
  byId(id).addEventListener("change", (event) => {
    addFiles([...event.target.files].filter((file) => !file.name.startsWith(".")));
    event.target.value = "";
  });
}
const drop = byId("drop");
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const loose = [...event.dataTransfer.files];
  const files = await filesOf(event.dataTransfer.items);
  addFiles(files.length ? files : loose);
});
byId("csv").addEventListener("click", download);
byId("clear").addEventListener("click", clear);
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = byId("token").value.trim();
  askModel();
});
askHealth();
setInterval(askHealth, 5000);
