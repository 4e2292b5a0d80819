// The page: reads the embedded document, shows it, and lets people search and choose.
import { readModel } from "./model.js";
import { Picture } from "./picture.js";
import { search, showHead, showHits, showLegend, showNode } from "./panel.js";

const at = (id) => document.getElementById(id);
const model = readModel(JSON.parse(at("data").textContent));
const isDiff = model.head.compared_with !== null;
let picture = null;

function say(text) {
  at("status").textContent = text;
}

function select(id) {
  const node = id === null ? null : model.nodes.get(id);
  if (node === undefined) return;
  showNode(at("node"), model, node, select);
  at("node").scrollTop = 0;
  history.replaceState(null, "", node ? `#${encodeURIComponent(id)}` : "#");
  picture?.select(id);
}

function showSearch() {
  const hits = search(model, at("search").value);
  showHits(at("hits"), hits, select);
  at("legend").hidden = at("search").value !== "";
  say(at("search").value ? `${hits.length} found` : "");
}

function draw() {
  try {
    picture = new Picture(model, at("picture"), { onSelect: select, isDiff });
  } catch (error) {
    document.body.dataset.picture = "none";
    say("This browser draws no WebGL: search, neighbours and routes work without the picture.");
    return;
  }
  document.body.dataset.picture = "laying out";
  const settle = () => {
    document.body.dataset.picture = "settled";
    at("pause").hidden = true;
    say("");
  };
  at("pause").onclick = () => { picture.stop(); settle(); };
  say("laying out \u2026");
  picture.layOut(settle);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { picture.adoptColours(); picture.refresh(); });
}

const KEYS = {
  "/": () => at("search").focus(),
  Escape: () => { at("search").value = ""; showSearch(); select(null); at("picture").focus(); },
  ArrowLeft: () => picture?.move(-1, 0), ArrowRight: () => picture?.move(1, 0),
  ArrowUp: () => picture?.move(0, 1), ArrowDown: () => picture?.move(0, -1),
  "+": () => picture?.zoom(true), "-": () => picture?.zoom(false), 0: () => picture?.reset(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target === at("search");
  if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape" && event.key !== "Enter")) return;
  if (typing && event.key === "Enter") {
    at("hits").querySelector("button")?.click();
    return;
  }
  const act = KEYS[event.key];
  const scrolls = event.target.closest?.("aside") && event.key.startsWith("Arrow");
  if (act && !scrolls) { event.preventDefault(); act(); }
});

showHead(at("head"), model, isDiff);
showLegend(at("legend"), model, isDiff, {
  onKind: (kind, isShown) => {
    if (isShown) picture?.hiddenKinds.delete(kind);
    else picture?.hiddenKinds.add(kind);
    picture?.refresh();
  },
  onChangedOnly: (only) => { if (picture) { picture.changedOnly = only; picture.refresh(); } },
});
showNode(at("node"), model, null, select);
at("search").addEventListener("input", showSearch);
draw();
if (location.hash.length > 1) select(decodeURIComponent(location.hash.slice(1)));
document.body.dataset.ready = "yes";
