// The routes from a node, by the moves that the document brings: the same that `zaptik graph explain` goes by.
import { inert, keyOf, tableOf } from "./model.js";

const MOST_ROUTES = 100;
const MOST_STEPS = 12;
const MOST_TRIED = 20000;

export function findRoutes(model, start) {
  const found = { routes: [], truncated: false };
  let tried = 0;
  const walk = (node, kind, route, visited) => {
    if (found.truncated) return;
    if (route.length && (tableOf(node.id) === "sys_user_group" || kind === "RUNS_WORKFLOW" || kind === "RUNS_FLOW")) {
      if (isOnlyMatched(model, route)) return;
      if (found.routes.length === MOST_ROUTES) found.truncated = true;
      else found.routes.push(route);
      return;
    }
    if (route.length === MOST_STEPS || ++tried > MOST_TRIED) {
      found.truncated = true;
      return;
    }
    for (const move of model.moves) {
      if (move.at !== tableOf(node.id) || (move.is_first && kind) || (move.after && move.after !== kind)) continue;
      if (move.not_after && move.not_after === kind) continue;
      for (const edge of move.direction === "out" ? node.out : node.into) {
        if (edge.kind !== move.kind || edge.change === "removed") continue;
        const end = model.nodes.get(move.direction === "out" ? edge.to : edge.from);
        if (visited.has(end.id) || (move.to && tableOf(end.id) !== move.to)) continue;
        walk(end, edge.kind, [...route, { move, edge, start: node, end }], new Set([...visited, end.id]));
      }
    }
  };
  walk(start, "", [], new Set([start.id]));
  return found;
}

const quote = (node) => (node.kind === "missing" ? "?" : `'${inert(node.name)}'`);

// A lookup's row names a group by a column that is set; one that it is only matched by leads nowhere.
function isOnlyMatched(model, route) {
  const { edge, start } = route[route.length - 1];
  if (edge.kind !== "NAMES") return false;
  const lookups = route.length > 1 ? route.map((step) => step.start) : lookupsOf(model, start);
  const used = new Set();
  for (const lookup of lookups) {
    for (const { kind, from, change } of lookup.into) {
      if (change === "removed" || (kind !== "MATCHES_FOR" && kind !== "SETS_FOR")) continue;
      if (model.nodes.get(from).attributes.matcher_table_field === edge.source.field) used.add(kind);
    }
  }
  return used.has("MATCHES_FOR") && !used.has("SETS_FOR");
}

function lookupsOf(model, row) {
  const along = (edges, kind, end) => edges.filter((edge) => edge.kind === kind && edge.change !== "removed").map((edge) => model.nodes.get(edge[end]));
  return along(row.out, "ROW_OF", "to").flatMap((table) => along(table.into, "LOOKS_IN", "from"));
}

export function tellStep({ move, edge, start, end }, verdicts) {
  const words = {
    start: quote(start),
    end: quote(end),
    start_key: inert(keyOf(start.id)),
    end_key: inert(keyOf(end.id)),
    field: inert(edge.source.field),
  };
  const reason = move.words.replace(/\{(\w+)\}/g, (_, name) => words[name]);
  const notes = [];
  if (move.engine === "a workflow" || move.engine === "a flow") notes.push("what it assigns is never read");
  else if (edge.state !== "resolved" && move.direction === "out" && tableOf(end.id) !== "sys_db_object")
    notes.push(`the other end is ${edge.state}`);
  if (end.attributes.active === "false") notes.push("it is inactive");
  if (end.attributes.condition) notes.push(`only if ${inert(end.attributes.condition)}`);
  if (end.attributes.opaque === "true") notes.push("a script decides, which is never read");
  const verdict = verdicts[edge.source.table] ?? "not read";
  if (verdict !== "complete") notes.push(`table ${inert(edge.source.table)} is ${verdict}`);
  return { reason, notes };
}
