// What needs a script: copying a secret, and following a call while it rings. Every page works without.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  button.hidden = !navigator.clipboard && !document.queryCommandSupported?.("copy");
  button.addEventListener("click", async () => {
    try {
      if (navigator.clipboard) {
        await navigator.clipboard.writeText(field.value);
      } else {
        field.select();
        document.execCommand("copy");
      }
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = label; }, 2000);
    } catch {
      field.select();
    }
  });
}

// A part that names its source is fetched anew until what is fetched names none.
async function follow(part) {
  const pause = Number(part.dataset.every) || 1000;
  const source = part.dataset.live;
  let misses = 0;
  while (misses < 30) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (document.hidden) continue;
    try {
      const answer = await fetch(source, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (answer.redirected || !answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
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
