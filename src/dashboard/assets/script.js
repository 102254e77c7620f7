// Features that need a script: copying a secret, and refreshing a page during a call. Every page works without it.
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
