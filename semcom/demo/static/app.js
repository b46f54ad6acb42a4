// The page: settings go to the server, pictures and numbers come back. Text is only ever set as text.
"use strict";
const $ = id => document.getElementById(id);
const SLIDERS = ["snr_db", "key_area", "delay_spread_ns", "speed_kmh", "num_prb", "amount"];
const MOST_BYTES = 20 * 2 ** 20;
let controls, photo = null, picture = null, points = [], painted = null, erased = new Set();
let inFlight = false, dirty = false, sweeping = false, last = null;

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function say(sentence) {
  $("error").textContent = sentence || "";
  $("error").hidden = !sentence;
}

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : {method: "POST", body});
  } catch {
    throw new Error("the program does not answer: is it still running, and is the file not too large?");
  }
  const data = await answer.json();
  if (data.error) throw new Error(data.error);
  return data;
}

function settings() {
  const values = Object.fromEntries(SLIDERS.map(id => [id, Number($(id).value)]));
  return {...values, channel: $("channel").value, unit: $("unit").value, rival: $("rival").value,
    seed: Math.max(0, Number($("seed").value) | 0), points, erased: [...erased],
    painted: painted ? painted.map(row => row.join("")) : []};
}

function showValues() {
  for (const id of SLIDERS) $(id).parentElement.querySelector("output").textContent = $(id).value;
  const model = controls.channels[$("channel").value];
  $("summary").textContent = model.summary;
  for (const id of ["delay_spread_ns", "speed_kmh"]) $(id).disabled = !model.reads.includes(id);
}

async function changed() {
  showValues();
  dirty = true;
  if (inFlight || !photo) return;
  inFlight = true;
  $("busy").className = "on";
  while (dirty) {
    dirty = false;
    try {
      const data = await ask("show", JSON.stringify({photo: photo.photo, settings: settings()}));
      say("");
      show(data);
    } catch (error) { say(error.message); }
  }
  inFlight = false;
  $("busy").className = "";
}

function table(id, heads, rows) {
  const head = element("tr");
  head.append(...heads.map(text => element("th", text)));
  $(id).replaceChildren(head, ...rows.map(cells => {
    const row = element("tr");
    row.append(...cells.map(cell => cell instanceof Node ? cell : element("td", cell)));
    return row;
  }));
}

function lostCell(row) {
  return element("td", `${row.lost} of ${row.packets}`, row.lost ? {class: "lost"} : {});
}

function figure(content, caption) {
  const made = element("figure");
  made.append(content, element("figcaption", caption));
  return made;
}

function show(data) {
  last = data;
  $("results").hidden = false;
  const {pictures, rival} = data;
  $("right").src = pictures.reconstruction;
  if (!pictures.rival) $("leftside").value = "original";
  $("leftside").options[0].textContent = data.rival_name;
  $("leftside").options[0].disabled = !pictures.rival;
  left();
  const rows = data.quality.map((mine, i) => [`${mine.label} (${mine.higher_is_better ? "higher" : "lower"} is better)`,
    mine.value, rival ? rival.quality[i].value : "–"]);
  rows.push(["bits per pixel", data.bpp.toFixed(4), rival ? rival.bpp.toFixed(4) : "–"],
    ["channel uses", data.channel_uses, rival ? rival.channel_uses : "–"]);
  table("quality", ["", "semantic", data.rival_name], rows);
  $("caption").textContent = data.caption ? `caption: ${data.caption}` : "";
  const notes = [...data.notes, ...(rival ? rival.notes.map(note => `${data.rival_name}: ${note}`) : [data.rival_reason])];
  $("notes").replaceChildren(...notes.map(note => element("li", note)));
  const thumbs = [["mask", "key regions, as received"], ["hci", "the small picture (HCI), as received"],
    ["detail", "green: key detail arrived, red: lost; the rest is generated"]];
  $("thumbs").replaceChildren(...thumbs.filter(([name]) => pictures[name]).map(([name, text]) =>
    figure(element("img", null, {src: pictures[name], alt: text}), text)));
  table("streams", ["stream", "class", "lost", "bits", ""], data.streams.map(row => {
    const tick = element("input", null, {type: "checkbox", "data-stream": row.name, "aria-label": row.name});
    tick.checked = !row.off;
    tick.addEventListener("change", () => { tick.checked ? erased.delete(row.name) : erased.add(row.name); changed(); });
    const name = element("td"), label = element("label");
    label.append(tick, ` ${row.name}`);
    name.append(label);
    return [name, row.class, row.off ? "switched off" : lostCell(row), row.bits, ""];
  }));
  const classes = data.classes.map(row => ["semantic", row]).concat(rival ? rival.classes.map(row => [data.rival_name, row]) : []);
  table("classes", ["over the air", "class", "MCS", "lost", "expected loss", "SINR"], classes.map(([system, row]) => [
    system, row.name, row.mcs, lostCell(row),
    row.expected_loss === null ? "" : `${(100 * row.expected_loss).toPrecision(2)} %`,
    row.sinr_db === null ? "" : `${row.sinr_db.toFixed(1)} dB`]));
  $("cost").textContent = `MCS: ${data.mcs_reason}. CBR ${data.cbr.toFixed(5)}, pilots included.`;
  drawAir(data.air);
  $("python").textContent = data.python;
  $("yaml").textContent = data.yaml;
  $("savephoto").href = photo.url;
  $("maskpart").hidden = !painted;
  if (painted) $("savemask").href = maskUrl();
  if (!sweeping) $("curves").replaceChildren();
}

function drawAir(air) {
  if (!air) return $("air").replaceChildren(element("p", "no packets were sent"));
  const heat = element("img", null, {src: air.gain, alt: "channel over time and frequency", class: "heat"});
  const bars = `|H|² from ${air.lowest_db} dB (dark) to ${air.highest_db} dB: ${air.duration_ms.toFixed(1)} ms to the right, ` +
    `${air.bandwidth_mhz.toFixed(1)} MHz up`;
  $("air").replaceChildren(
    figure(constellation(air.before), `${air.modulation} as heard, first slot`),
    figure(constellation(air.after), "after the equaliser"), figure(heat, bars));
}

function left() {
  $("left").src = $("leftside").value === "original" ? photo.url : last.pictures.rival;
  $("left").alt = $("leftside").value;
}

async function sweep() {
  if (sweeping || !photo) return;
  sweeping = true;
  $("sweep").disabled = true;
  $("sweeping").textContent = "simulating…";
  const rows = [];
  try {
    const answer = await fetch("sweep", {method: "POST", body: JSON.stringify({photo: photo.photo, settings: settings()})});
    if (!answer.ok) throw new Error((await answer.json()).error);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = "", part; !(part = await reader.read()).done;) {
      const lines = (rest + part.value).split("\n");
      rest = lines.pop();
      for (const line of lines.map(JSON.parse)) {
        if (line.error) throw new Error(line.error);
        rows.push(line);
      }
      const systems = [...new Set(rows.map(row => row.system))].sort((a, b) => (b === "semantic") - (a === "semantic"));
      $("sweeping").textContent = `${rows.length} points`;
      $("curves").replaceChildren(...[["lpips", "LPIPS, lower is better"], ["psnr", "PSNR (dB)"], ["bler", "packet error rate"]]
        .map(([metric, text]) => figure(curve(rows, metric, systems), `${text}; MCS as chosen above`)));
    }
  } catch (error) { say(error.message); }
  sweeping = false;
  $("sweep").disabled = false;
}

async function upload(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) return say("larger than the 20 MiB that are read: choose a smaller file");
  try { take(await ask("photo", file)); } catch (error) { say(error.message); }
}

function take(data) {
  photo = data;
  points = [], painted = null;
  picture = new Image();
  picture.onload = draw;
  picture.src = data.url;
  Object.assign($("canvas"), {width: data.width, height: data.height});
  $("stage").hidden = false;
  say("");
  changed();
}

function draw() {
  const canvas = $("canvas"), context = canvas.getContext("2d"), cell = controls.cell;
  context.drawImage(picture, 0, 0);
  context.fillStyle = "rgba(255,115,25,.5)";
  (painted || []).forEach((row, y) => row.forEach((set, x) => { if (set) context.fillRect(x * cell, y * cell, cell, cell); }));
  for (const [x, y] of points) {
    context.beginPath();
    context.arc(x * canvas.width, y * canvas.height, 7, 0, 7);
    context.fillStyle = "#ff7319";
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    context.stroke();
  }
}

function place(event) {
  const box = $("canvas").getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map(v => Math.min(1, Math.max(0, v)));
}

const painting = () => document.querySelector("[name=tool]:checked").value === "paint";

function brush(event) {
  const cell = controls.cell, rows = Math.ceil(photo.height / cell), columns = Math.ceil(photo.width / cell);
  painted ??= Array.from({length: rows}, () => Array(columns).fill(0));
  const [x, y] = place(event), column = Math.floor(x * photo.width / cell), row = Math.floor(y * photo.height / cell);
  for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++)
    if (painted[row + dy]?.[column + dx] !== undefined) painted[row + dy][column + dx] = 1;
  points = [];
  draw();
}

function maskUrl() {
  const canvas = Object.assign(document.createElement("canvas"), {width: photo.width, height: photo.height});
  const context = canvas.getContext("2d"), cell = controls.cell;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#fff";
  painted.forEach((row, y) => row.forEach((set, x) => { if (set) context.fillRect(x * cell, y * cell, cell, cell); }));
  return canvas.toDataURL("image/png");
}

async function start() {
  controls = await ask("controls");
  for (const id of SLIDERS) {
    const {min, max, value} = controls.ranges[id];
    Object.assign($(id), {min, max});
    $(id).value = value;
    $(id).addEventListener("input", showValues);
    $(id).addEventListener("change", changed);
  }
  $("amount").min = 0.005;
  $("amount").max = 0.5;
  $("channel").append(...Object.keys(controls.channels).map(name => element("option", name)));
  $("channel").value = controls.channel;
  $("rival").append(...controls.rivals.map(name => element("option", name)));
  for (const id of ["channel", "unit", "rival", "seed"]) $(id).addEventListener("change", changed);
  $("file").addEventListener("change", event => upload(event.target.files[0]));
  $("sample").addEventListener("click", async () => { try { take(await ask("sample")); } catch (error) { say(error.message); } });
  $("clear").addEventListener("click", () => { points = [], painted = null; draw(); changed(); });
  $("sweep").addEventListener("click", sweep);
  $("leftside").addEventListener("change", left);
  $("position").addEventListener("input", () => { $("left").style.clipPath = `inset(0 ${100 - $("position").value}% 0 0)`; });
  const drop = $("drop"), canvas = $("canvas");
  drop.addEventListener("dragover", event => { event.preventDefault(); drop.className = "over"; });
  drop.addEventListener("dragleave", () => { drop.className = ""; });
  drop.addEventListener("drop", event => { event.preventDefault(); drop.className = ""; upload(event.dataTransfer.files[0]); });
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    if (painting()) return brush(event);
    painted = null;
    points = [...points, place(event)].slice(-8);
    draw();
  });
  canvas.addEventListener("pointermove", event => { if (event.buttons && painting()) brush(event); });
  canvas.addEventListener("pointerup", changed);
  showValues();
}

start().catch(error => say(error.message));
