// Features that need a script: copying, the browser's time zone, ages, and refreshing a page during a call. Every
// page works without it.
"use strict";

// The stylesheet shows what needs a script.
document.documentElement.classList.add("script");

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without HTTPS there is no clipboard API.
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (!copied) throw new Error("not copied");
}

// A button copies its data-copy, or else the element before it.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button || button.dataset.label) return;
  const source = button.previousElementSibling;
  try {
    await copy(button.dataset.copy || (source.value ?? source.textContent));
  } catch {
    if (source) getSelection().selectAllChildren(source);
    source?.select?.();
    return;
  }
  button.dataset.label = button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => {
    button.textContent = button.dataset.label;
    delete button.dataset.label;
  }, 2000);
});

// English pages show times in the browser's time zone unless the account has another one.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (/^[\w+/-]+$/.test(zone ?? "")) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `nexo_time_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

// Keeps the ages of times true while the page is open, by the server's clock.
const ahead = Date.now() - Number(document.querySelector("[data-now]")?.dataset.now ?? Date.now());
const age = new Intl.RelativeTimeFormat(document.documentElement.lang);
setInterval(() => {
  for (const time of document.querySelectorAll("time[data-age]")) {
    const minutes = Math.floor((Date.now() - ahead - Date.parse(time.dateTime)) / 60000);
    if (minutes >= 60) time.textContent = age.format(-Math.floor(minutes / 60), "hour");
    else if (minutes >= 1) time.textContent = age.format(-minutes, "minute");
  }
}, 20000);

// Remembers which of several examples was chosen.
for (const tabs of document.querySelectorAll("[data-remember]")) {
  const name = `nexo-${tabs.dataset.remember}`;
  try {
    const chosen = localStorage.getItem(name);
    for (const tab of tabs.querySelectorAll("input")) if (tab.value === chosen) tab.checked = true;
    tabs.addEventListener("change", (event) => localStorage.setItem(name, event.target.value));
  } catch {
    // Without storage the first example is shown.
  }
}

// Fetches a part of the page repeatedly from its data-live address, until the fetched part has no such address.
async function follow(part) {
  const pause = Number(part.dataset.every) || 1000;
  const source = part.dataset.live;
  let misses = 0;
  while (misses < 30) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (document.hidden) continue;
    try {
      const response = await fetch(source, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (response.redirected || !response.ok) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.getElementById(part.id);
      if (!fresh) return;
      if (fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
      misses = 0;
      if (!fresh.dataset.live) {
        delete part.dataset.live;
        return;
      }
    } catch {
      misses += 1;
    }
  }
}

for (const part of document.querySelectorAll("[data-live]")) follow(part);
