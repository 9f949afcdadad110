"use strict";
// Everything that comes from the API is text: alerts are written by strangers.
const EVERY = 4000;
const at = (id) => document.getElementById(id);
// What can't be seen, or changes the direction of what can, is written as its number; ends of lines stay.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const plain = (text) => String(text).replace(UNSEEN, (it) => `\\u{${it.codePointAt(0).toString(16)}}`);
const make = (name, text, kind) => {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = plain(text);
  if (kind) made.className = kind;
  return made;
};

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", location.pathname + location.search);
}

class Refused extends Error {
  constructor(status, problem) { super(problem.message); this.status = status; this.state = problem.state; }
}

async function ask(path, method = "GET") {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: "Bearer " + token } : {};
  if (method !== "GET") headers["Content-Type"] = "application/json";
  const options = { method, headers, cache: "no-store", credentials: token ? "omit" : "same-origin", signal: AbortSignal.timeout(15000) };
  if (method !== "GET") options.body = "{}";
  const answer = await fetch("/api/v1/" + path, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.error || { message: "the server answered " + answer.status });
  return body;
}

const local = (time) => (time ? new Date(time).toLocaleString() : "");

// A part of the page is built anew only when what it shows changed, so that focus and selection stay.
const shown = new Map();
function put(id, data, build) {
  const key = JSON.stringify(data);
  if (shown.get(id) === key) return;
  const place = at(id);
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const opened = new Set([...place.querySelectorAll("details[open]")].map((it) => it.dataset.key));
  place.replaceChildren(...build());
  for (const it of place.querySelectorAll("details")) it.open = opened.has(it.dataset.key);
  if (focused) [...place.querySelectorAll("[data-key]")].find((it) => it.dataset.key === focused)?.focus();
  shown.set(id, key);
}

function table(heads, rows) {
  if (!rows.length) return [make("p", "nothing", "quiet")];
  const all = make("table"), head = make("thead"), line = make("tr"), body = make("tbody");
  line.append(...heads.map((text) => make("th", text)));
  head.append(line);
  for (const row of rows) {
    const tr = make("tr");
    for (const cell of row) {
      const td = make("td");
      td.append(cell instanceof Node ? cell : document.createTextNode(plain(cell ?? "")));
      tr.append(td);
    }
    body.append(tr);
  }
  all.append(head, body);
  return [all];
}

let mayDecide = false;
function button(text, kind, key, act) {
  const made = make("button", text, kind);
  made.type = "button";
  made.dataset.key = key;
  made.disabled = !mayDecide;
  if (!mayDecide) made.title = "this needs the role operator";
  made.addEventListener("click", act);
  return made;
}

function proposal(it) {
  const card = make("section", undefined, "card");
  card.append(make("p", it.action, "what"), make("p", it.reason));
  const until = it.expires ? ", can be approved until " + local(it.expires) : "";
  card.append(make("p", `#${it.id} by the rule ${it.rule}, since ${local(it.created)}${until}`, "quiet"));
  const bar = make("div", undefined, "bar");
  bar.append(
    button("Approve", "yes", "approve" + it.id, () => confirmed("Approve this?", it.action, it.reason, "Approve", `actions/${it.id}/approve`)),
    button("Deny", "no", "deny" + it.id, () => confirmed("Deny this?", it.action, it.reason, "Deny", `actions/${it.id}/deny`)),
  );
  card.append(bar);
  return card;
}

function came(it) {
  const cell = make("div");
  cell.append(document.createTextNode(plain(it.result || it.reason)));
  if (it.output) {
    const more = make("details");
    more.dataset.key = "output" + it.id;
    more.append(make("summary", "output"), make("pre", it.output));
    cell.append(more);
  }
  return cell;
}

const row = (it) => [String(it.id), make("span", it.state, it.state), it.action, came(it), local(it.ended || it.started || it.created), it.decided_by || ""];
const OPEN = ["proposed", "running", "scheduled"];
const HEADS = ["#", "state", "action", "what came of it", "time", "decided by"];

let pending = null;
let opener = null;
function confirmed(question, subject, reason, yes, path) {
  at("question").textContent = plain(question);
  at("subject").textContent = plain(subject);
  at("reason").textContent = plain(reason);
  at("sure").textContent = yes;
  pending = path;
  opener = document.activeElement;
  at("confirm").showModal();
  at("cancel").focus();
}
at("cancel").addEventListener("click", () => at("confirm").close());
at("confirm").addEventListener("close", () => { pending = null; if (opener && opener.isConnected) opener.focus(); });
at("sure").addEventListener("click", async () => {
  const path = pending;
  at("confirm").close();
  if (!path) return;
  try {
    const answer = await ask(path, "POST");
    say(answer.state ? "it is " + answer.state + " now" : "done", 6000);
  } catch (error) {
    say(error.message, 10000);
  }
  await refresh();
});

let quietUntil = 0;
function say(text, keep = 0) {
  if (!keep && Date.now() < quietUntil) return;
  if (keep) quietUntil = Date.now() + keep;
  const shown = plain(text);
  if (at("notice").textContent !== shown) at("notice").textContent = shown;
}

let paused = false;
at("toggle").addEventListener("click", () => confirmed(
  paused ? "Resume the automation?" : "Pause the automation?",
  paused ? "Actions that are scheduled begin at once." : "No action begins until it is resumed; what runs runs on.",
  "", paused ? "Resume" : "Pause", paused ? "automation/resume" : "automation/pause"));

function labels(it) {
  return Object.entries(it.labels).filter(([name]) => name !== "alertname").map(([name, value]) => `${name}=${value}`).join(" ");
}

async function show() {
  const me = await ask("me");
  const may = me.role !== "viewer";
  if (may !== mayDecide) { mayDecide = may; shown.clear(); }
  at("me").textContent = `${me.name} (${me.role})`;
  at("forget").hidden = !sessionStorage.getItem("token");
  at("bar").hidden = false;
  at("login").hidden = true;
  const [mode, waiting, open, recent, alerts, audit] = await Promise.all([
    ask("automation"), ask("actions?state=proposed&limit=100"), ask("actions?state=running&state=scheduled&limit=50"),
    ask("actions?limit=100"),
    ask("alerts?limit=30"), ask("audit?limit=30")]);
  paused = mode.paused;
  at("mode").textContent = paused ? `The automation is paused, by ${mode.by} since ${local(mode.since)}` : "The automation is on";
  at("switch").className = paused ? "bar paused" : "bar";
  at("toggle").textContent = paused ? "Resume it" : "Pause it";
  at("toggle").disabled = !mayDecide;
  put("waiting", waiting, () => waiting.items.length ? waiting.items.map(proposal) : [make("p", "nothing waits", "quiet")]);
  put("open", open, () => table(HEADS, open.items.map(row)));
  const over = recent.items.filter((it) => !OPEN.includes(it.state)).slice(0, 30);
  put("recent", over, () => table(HEADS, over.map(row)));
  put("alerts", alerts, () => table(["alert", "status", "labels", "since", "heard last"], alerts.items.map((it) =>
    [it.labels.alertname || it.fingerprint, make("span", it.status + (it.reopened ? ", again" : "") + (it.late ? `, told ${it.late}× after its end` : ""), it.status), labels(it), local(it.starts_at), local(it.last_received)])));
  put("audit", audit, () => table(["time", "who", "action", "what"], audit.items.map((it) =>
    [local(it.at), it.actor, it.action ? "#" + it.action : "", it.detail])));
  document.title = (waiting.items.length ? `(${waiting.items.length}) ` : "") + "firedrill: actions";
  at("content").hidden = false;
  say(waiting.items.length === 0 ? "nothing waits for you" : waiting.items.length === 1 ? "1 proposal waits" : `${waiting.items.length} proposals wait`);
}

let busy = null;
function refresh() {
  busy = busy || show().catch(failed).finally(() => { busy = null; });
  return busy;
}

function failed(error) {
  quietUntil = 0;
  if (!(error instanceof Refused)) return say("the daemon does not answer; trying again");
  say(error.message);
  if (error.status !== 401) return;
  // Without it the browser may know a password that counts.
  sessionStorage.removeItem("token");
  at("login").hidden = false;
  at("content").hidden = true;
  at("bar").hidden = true;
}

at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value.trim());
  at("token").value = "";
  refresh();
});
at("forget").addEventListener("click", () => { sessionStorage.removeItem("token"); location.reload(); });

async function forever() {
  if (!document.hidden && !at("confirm").open && at("login").hidden) await refresh();
  setTimeout(forever, EVERY);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden && at("login").hidden) refresh(); });
forever();
