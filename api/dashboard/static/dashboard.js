// Refinement only: everything on the page works without this file.
"use strict";

const REFRESH_MS = 3000;

function sectionsOf(root) {
  return [...root.querySelectorAll("[data-live]")];
}

function isHeld(section) {
  // What somebody reads or types in is not replaced under their hands.
  return section.contains(document.activeElement) || section.querySelector("details[open]") !== null;
}

async function load(url) {
  const response = await fetch(url, { headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function isSame(fresh) {
  const ids = (root) => sectionsOf(root).map((section) => section.id).join();
  return ids(fresh) === ids(document);
}

function replaceSections(fresh, evenIfHeld) {
  for (const section of sectionsOf(document)) {
    const other = fresh.getElementById(section.id);
    if (other.innerHTML !== section.dataset.served && (evenIfHeld || !isHeld(section))) {
      section.dataset.served = other.innerHTML;
      section.innerHTML = other.innerHTML;
      addCopyButtons(section);
    }
  }
  document.getElementById("main").dataset.busy = fresh.getElementById("main").dataset.busy;
}

function remember() {
  for (const section of sectionsOf(document)) section.dataset.served = section.innerHTML;
}

// While work is in progress the sections follow it.
async function refresh() {
  try {
    if (document.getElementById("main").dataset.busy === "yes" && !document.hidden) {
      const fresh = await load(location.href);
      if (isSame(fresh)) replaceSections(fresh, false);
      else location.reload();
    }
  } catch {
    // The service is away for a moment; the next look may find it.
  }
  setTimeout(refresh, REFRESH_MS);
}

// Another order or other axes: the same address, without losing the place.
async function swap(link) {
  const fresh = await load(link.href);
  if (!isSame(fresh)) throw new Error("another page");
  history.pushState(null, "", link.href);
  replaceSections(fresh, true);
  document.getElementById(link.id)?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (link && isPlain) {
    event.preventDefault();
    swap(link).catch(() => location.assign(link.href));
  }
  for (const open of document.querySelectorAll("details.gates[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.gates[open]")) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

// Empty fields stay out of the address.
document.addEventListener("submit", (event) => {
  for (const field of event.target.querySelectorAll("input[type=search]")) field.disabled = field.value.trim() === "";
});

// A point and its row light up together.
document.addEventListener("pointerover", (event) => {
  const number = event.target.closest("[data-number]")?.dataset.number;
  for (const part of document.querySelectorAll("[data-number]")) {
    part.classList.toggle("is-hot", part.dataset.number === number);
  }
});

function addCopyButtons(root) {
  if (!navigator.clipboard) return;
  for (const command of root.querySelectorAll("pre.command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    command.append(button);
  }
}

addEventListener("popstate", () => location.reload());
remember();
addCopyButtons(document);
setTimeout(refresh, REFRESH_MS);
