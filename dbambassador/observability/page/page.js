// Keeps the page as it is now. The ambassador alone renders it: what it says is asked for every second, and
// only what differs is changed, so that focus, selection and open folds stay.
"use strict";
(() => {
  const PERIOD = 1000; // ms between two pictures
  const PATIENCE = 5000; // ms for an answer: the server's own deadline
  const main = document.querySelector("main");
  const state = document.getElementById("state");
  const gone = document.getElementById("gone");
  const pause = document.getElementById("pause");
  const script = document.querySelector("script").textContent;
  const style = document.querySelector("style").textContent;
  let paused = false;
  let lost = null; // since when nobody answers
  let timer = 0;

  const say = (node, text) => {
    if (node.textContent !== text) node.textContent = text;
  };

  const morph = (old, now) => {
    if (old.nodeName !== now.nodeName) return old.replaceWith(now);
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== now.data) old.data = now.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (name !== "open" && !now.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of now.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const before = [...old.childNodes];
    const after = [...now.childNodes];
    after.forEach((child, at) => (at < before.length ? morph(before[at], child) : old.append(child)));
    before.slice(after.length).forEach((child) => child.remove());
  };

  const show = (page) => {
    const now = page.querySelector("main");
    if (!now) throw new Error("something else answers");
    const another = page.querySelector("script").textContent !== script;
    if (another || page.querySelector("style").textContent !== style) return location.reload();
    morph(main, now);
    document.title = page.title;
    document.querySelector("link[rel=icon]").href = page.querySelector("link[rel=icon]").href;
    lost = null;
    gone.hidden = true;
    main.classList.remove("past");
    say(state, "live");
  };

  const miss = (error) => {
    if (lost === null) {
      lost = new Date();
      const why = error instanceof TypeError ? "" : ` (${error.message})`;
      const since = lost.toLocaleTimeString();
      say(gone, `The ambassador does not answer since ${since}${why}. Asking again every second; below is what it said last.`);
      gone.hidden = false;
      main.classList.add("past");
      document.title = "✖ no answer · dbambassador";
    }
    say(state, "no answer");
  };

  const look = async () => {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    try {
      const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(`it answered ${answer.status}`);
      const text = await answer.text();
      if (!paused) show(new DOMParser().parseFromString(text, "text/html"));
    } catch (error) {
      miss(error);
    }
    clearTimeout(timer);
    timer = setTimeout(look, PERIOD);
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    say(state, paused ? "paused" : "live");
    look();
  });
  document.addEventListener("visibilitychange", look);
  say(state, "live");
  timer = setTimeout(look, PERIOD);
})();
