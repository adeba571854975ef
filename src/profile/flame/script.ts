/**
 * What makes a drawing interactive, in the browser's own language: click to zoom (the top box or Escape to go back), the
 * search field, the line that describes the box under the mouse. It reads the boxes' places from the drawing, and writes
 * text with textContent only.
 */
export const FLAME_SCRIPT = `"use strict";
(() => {
  const svg = document.getElementById("flame");
  const boxes = [...svg.querySelectorAll("g.box")].map((group) => {
    const rect = group.querySelector("rect");
    return {
      group, rect, text: group.querySelector("text"),
      name: group.getAttribute("data-name"),
      left: Number(rect.getAttribute("x")), width: Number(rect.getAttribute("width")), top: Number(rect.getAttribute("y")),
    };
  });
  const whole = boxes[0];
  const line = document.getElementById("line");
  const clear = document.getElementById("clear");
  const CHAR = 7;
  const place = (box, left, width) => {
    box.rect.setAttribute("x", left);
    box.rect.setAttribute("width", width);
    box.text.setAttribute("x", left + 3);
    const room = Math.floor((width - 6) / CHAR);
    box.text.textContent = room < 3 ? "" : box.name.length <= room ? box.name : box.name.slice(0, room - 1) + "\\u2026";
  };
  const zoom = (target) => {
    const scale = whole.width / target.width;
    const end = target.left + target.width;
    for (const box of boxes) {
      const above = box.top < target.top;
      const holds = box.left <= target.left + 1e-6 && box.left + box.width >= end - 1e-6;
      const inside = box.left >= target.left - 1e-6 && box.left + box.width <= end + 1e-6;
      const shown = above ? holds : inside;
      box.group.style.display = shown ? "" : "none";
      box.group.style.opacity = above && holds ? 0.5 : 1;
      if (!shown) continue;
      if (above) place(box, whole.left, whole.width);
      else place(box, whole.left + (box.left - target.left) * scale, box.width * scale);
    }
    clear.style.display = target === whole ? "none" : "";
  };
  const search = (term) => {
    const wanted = term.toLowerCase();
    let matched = 0;
    const covered = [];
    for (const box of boxes) {
      const hit = wanted !== "" && box !== whole && box.name.toLowerCase().includes(wanted);
      box.group.classList.toggle("hit", hit);
      if (!hit) continue;
      const outer = covered.find((one) => one.left <= box.left + 1e-6 && one.left + one.width >= box.left + box.width - 1e-6 && one.top < box.top);
      if (outer !== undefined) continue;
      covered.push(box);
      matched += box.width;
    }
    line.textContent = wanted === "" ? "" : "matched " + (100 * matched / whole.width).toFixed(2) + "% (overlaps counted once)";
  };
  let current = "";
  const ask = () => {
    const term = prompt("Search frames", current);
    if (term === null) return;
    current = term;
    search(term);
  };
  for (const box of boxes) {
    box.group.addEventListener("click", () => zoom(box));
    box.group.addEventListener("mouseover", () => { line.textContent = box.group.querySelector("title").textContent; });
  }
  document.getElementById("search").addEventListener("click", ask);
  clear.addEventListener("click", () => zoom(whole));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") { zoom(whole); search(""); }
    if ((event.ctrlKey || event.metaKey) && event.key === "f") { event.preventDefault(); ask(); }
  });
  zoom(whole);
})();
`;
