// The embedded document as nodes and edges by id. Pure: nothing of the page.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

/** Spell out what is not seen: control, direction and zero-width characters. */
export function inert(text) {
  return String(text ?? "").replace(UNSEEN, (found) => `\\u${found.codePointAt(0).toString(16).padStart(4, "0")}`);
}

export const tableOf = (id) => id.slice(0, id.indexOf(":"));
export const keyOf = (id) => id.slice(id.indexOf(":") + 1);

export function readModel(document_) {
  const nodes = new Map();
  const edges = [];
  for (const line of document_.nodes) {
    nodes.set(line.id, { ...line, change: null, before: null, out: [], into: [] });
  }
  for (const [id, state] of document_.missing) {
    nodes.set(id, { id, kind: "missing", name: "", table: tableOf(id), attributes: {}, state, change: null, before: null, out: [], into: [] });
  }
  const keys = new Map();
  const add = (line, change) => {
    for (const id of [line.from, line.to]) {
      if (!nodes.has(id)) {
        nodes.set(id, { id, kind: "missing", name: "", table: tableOf(id), attributes: {}, state: line.state, change: null, before: null, out: [], into: [] });
      }
    }
    const edge = { ...line, change };
    edges.push(edge);
    keys.set(keyOfEdge(line), edge);
    nodes.get(line.from).out.push(edge);
    nodes.get(line.to).into.push(edge);
  };
  for (const { what, change, id, before, after } of document_.changes) {
    if (what !== "node") continue;
    if (change === "removed") {
      const line = { ...before, change, before: null, out: [], into: [] };
      nodes.set(id, line);
    } else if (nodes.has(id)) {
      Object.assign(nodes.get(id), { change, before: change === "changed" ? before : null });
    }
  }
  for (const line of document_.edges) add(line, null);
  for (const { what, change, before, after } of document_.changes) {
    if (what !== "edge") continue;
    if (change === "removed") add(before, change);
    else {
      const edge = keys.get(keyOfEdge(after));
      if (edge) edge.change = change;
    }
  }
  return { head: document_.head, moves: document_.moves, nodes, edges };
}

const keyOfEdge = (line) =>
  JSON.stringify([line.from, line.kind, line.to, line.source.table, line.source.sys_id, line.source.field]);

export const nameOf = (node) => inert(node.name) || inert(node.id);
