// Search, legend and what is known of one node. Text from outside is only ever put in as text.
import { CHANGES, MARKS, colourOf } from "./colours.js";
import { inert, nameOf } from "./model.js";
import { findRoutes, tellStep } from "./routes.js";

const MOST_HITS = 50;
const MOST_NEIGHBOURS = 200;

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function dot(colour) {
  const element = make("span", { className: "dot", "aria-hidden": "true" });
  element.style.background = colour;
  return element;
}

const name = (node) => make("bdi", {}, nameOf(node));

export function nodeButton(node, onSelect) {
  const mark = node.change ? make("b", { className: node.change }, `${MARKS[node.change]} `) : null;
  return make(
    "button", { type: "button", className: "node", onclick: () => onSelect(node.id), title: inert(node.id) },
    dot(colourOf(node.kind)), mark, name(node), make("small", {}, ` ${inert(node.kind)}`),
  );
}

/** Find nodes by words in the name, the id or the kind: first those whose name begins so, or has them all. */
export function search(model, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const hits = [];
  for (const node of model.nodes.values()) {
    node.searched ??= `${inert(node.name)} ${node.id} ${node.kind}`.toLowerCase();
    if (words.every((word) => node.searched.includes(word))) hits.push(node);
  }
  const whole = words.join(" ");
  const rank = (node) => {
    const name = inert(node.name).toLowerCase();
    if (name.startsWith(whole)) return 0;
    if (name.includes(whole)) return 1;
    return words.every((word) => name.includes(word)) ? 2 : 3;
  };
  const ranks = new Map(hits.map((node) => [node, rank(node)]));
  return hits.sort((a, b) => ranks.get(a) - ranks.get(b) || (a.searched < b.searched ? -1 : 1));
}

export function showHits(place, hits, onSelect) {
  const items = hits.slice(0, MOST_HITS).map((node) => make("li", {}, nodeButton(node, onSelect)));
  if (hits.length > MOST_HITS) items.push(make("li", { className: "more" }, `and ${hits.length - MOST_HITS} more`));
  place.replaceChildren(...items);
}

export function showHead(place, model, isDiff) {
  const { tenant, revision, as_of, nodes, edges, tables, compared_with } = model.head;
  const lacking = Object.entries(tables).filter(([, verdict]) => verdict !== "complete" && verdict !== "absent");
  const title = isDiff ? `${tenant}, revision ${compared_with} to ${revision}` : `${tenant}, revision ${revision}`;
  document.title = inert(title);
  place.replaceChildren(
    make("h1", {}, inert(title)),
    make("p", { id: "facts" }, `as of ${as_of}; ${nodes} nodes, ${edges} edges`),
    lacking.length
      ? make(
          "details", { id: "warning" },
          make("summary", {}, `Not all was read whole: ${lacking.length} of ${Object.keys(tables).length} tables`),
          make("p", {}, "What is not shown may still be there."),
          make("ul", {}, ...lacking.map(([table, verdict]) => make("li", {}, `${inert(table)}: ${verdict}`))),
        )
      : make("p", { id: "whole" }, "every table was read whole"),
  );
}

export function showLegend(place, model, isDiff, { onKind, onChangedOnly }) {
  const counts = new Map();
  const changes = { added: 0, changed: 0, removed: 0 };
  for (const node of model.nodes.values()) {
    counts.set(node.kind, (counts.get(node.kind) ?? 0) + 1);
    if (node.change) changes[node.change]++;
  }
  const parts = [];
  if (isDiff) {
    parts.push(
      make("ul", { id: "changes" }, ...Object.entries(changes).map(([change, count]) =>
        make("li", {}, dot(CHANGES[change]), make("b", {}, `${MARKS[change]} ${change}`), ` ${count}`))),
      make("label", {}, make("input", { type: "checkbox", id: "changed-only", onchange: (event) => onChangedOnly(event.target.checked) }), " only what changed"),
    );
  }
  const kinds = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  parts.push(
    make("ul", { id: "kinds" }, ...kinds.map(([kind, count]) =>
      make("li", {}, make("label", {},
        make("input", { type: "checkbox", checked: true, onchange: (event) => onKind(kind, event.target.checked) }),
        dot(colourOf(kind)), inert(kind).replaceAll("_", " "), make("small", {}, ` ${count}`))))),
  );
  place.replaceChildren(...parts);
}

export function showNode(place, model, node, onSelect) {
  if (!node) {
    place.replaceChildren(make("p", { className: "hint" }, "Choose a node: click it, or search for it. Keys: / search, arrows move, + and \u2212 zoom, 0 all, Esc none."));
    return;
  }
  const parts = [
    make("h2", {}, dot(colourOf(node.kind)), name(node)),
    node.name ? make("p", { className: "id" }, inert(node.id)) : null,
    make("p", {}, node.kind === "missing" ? `no node of this revision: ${node.state}` : `${inert(node.kind).replaceAll("_", " ")} of table ${inert(node.table)}`),
    node.change ? make("p", {}, make("b", { className: node.change }, `${MARKS[node.change]} ${node.change}`)) : null,
    ...tellChange(node), ...tellRoutes(model, node, onSelect), ...tellNeighbours(model, node, onSelect), ...tellAttributes(node),
  ];
  place.replaceChildren(...parts.filter((part) => part !== null));
}

function tellChange(node) {
  if (!node.before) return [];
  const before = { name: node.before.name, table: node.before.table, ...node.before.attributes };
  const after = { name: node.name, table: node.table, ...node.attributes };
  const rows = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().filter((key) => before[key] !== after[key]);
  const told = (value) => (value === undefined ? make("i", {}, "absent") : make("bdi", {}, inert(value) || "\u201c\u201d"));
  return [make("h3", {}, "What changed"), make("dl", { id: "change" }, ...rows.flatMap((key) => [
    make("dt", {}, inert(key)), make("dd", {}, make("del", {}, told(before[key])), " \u2192 ", make("ins", {}, told(after[key])))]))];
}

function tellRoutes(model, node, onSelect) {
  const { routes, truncated } = findRoutes(model, node);
  if (!routes.length) {
    return node.kind === "assignment_group" || node.kind === "missing" ? [] : [make("h3", {}, "Who handles it"), make("p", { className: "hint" }, "Nothing that was read says who.")];
  }
  return [
    make("h3", {}, "Who handles it"),
    make("ol", { id: "routes" }, ...routes.map((route) => make("li", {},
      nodeButton(route[route.length - 1].end, onSelect),
      make("ol", {}, ...route.map((step) => {
        const { reason, notes } = tellStep(step, model.head.tables);
        return make("li", {}, make("bdi", {}, reason), ...notes.map((note) => make("em", { className: "note" }, make("bdi", {}, note))));
      }))))),
    make("p", { className: "hint" }, (truncated ? "There are more. " : "") + "Between engines ServiceNow defines no order; `zaptik graph explain` tells all that is uncertain."),
  ];
}

function tellNeighbours(model, node, onSelect) {
  const groups = new Map();
  for (const [edges, side, arrow] of [[node.out, "to", "\u2192"], [node.into, "from", "\u2190"]]) {
    for (const edge of edges) {
      const title = `${arrow} ${edge.kind}`;
      if (!groups.has(title)) groups.set(title, []);
      groups.get(title).push([edge, model.nodes.get(edge[side])]);
    }
  }
  const shown = [...groups].map(([title, ends]) => make("section", {},
    make("h4", {}, inert(title), make("small", {}, ` ${ends.length}`)),
    make("ul", {}, ...ends.slice(0, MOST_NEIGHBOURS).map(([edge, end]) => make("li", {}, nodeButton(end, onSelect),
      edge.change ? make("b", { className: edge.change }, ` ${MARKS[edge.change]} edge ${edge.change}`) : null,
      edge.state && edge.state !== "resolved" ? make("small", {}, ` ${edge.state}`) : null)),
      ends.length > MOST_NEIGHBOURS ? make("li", { className: "more" }, `and ${ends.length - MOST_NEIGHBOURS} more`) : null)));
  return [make("h3", {}, `Neighbours (${node.out.length + node.into.length})`), make("div", { id: "neighbours" }, ...shown)];
}

function tellAttributes(node) {
  const entries = Object.entries(node.attributes);
  if (!entries.length) return [];
  return [make("h3", {}, "Attributes"), make("dl", { id: "attributes" }, ...entries.flatMap(([key, value]) => [
    make("dt", {}, inert(key)), make("dd", {}, make("bdi", {}, inert(value) || "\u2013"))]))];
}
