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

export function tellStep({ move, edge, start, end }, verdicts) {
  const words = {
    start: `'${inert(start.name)}'`,
    end: `'${inert(end.name)}'`,
    start_key: inert(keyOf(start.id)),
    end_key: inert(keyOf(end.id)),
    field: inert(edge.source.field),
  };
  const reason = move.words.replace(/\{(\w+)\}/g, (_, name) => words[name]);
  const notes = [];
  if (move.engine === "a workflow" || move.engine === "a flow") notes.push("which is never read");
  else if (edge.state !== "resolved" && move.direction === "out" && tableOf(end.id) !== "sys_db_object")
    notes.push(`the other end is ${edge.state}`);
  if (end.attributes.active === "false") notes.push("it is inactive");
  if (end.attributes.condition) notes.push(`only if ${inert(end.attributes.condition)}`);
  if (end.attributes.opaque === "true") notes.push("a script decides, which is never read");
  const verdict = verdicts[edge.source.table] ?? "not read";
  if (verdict !== "complete") notes.push(`table ${inert(edge.source.table)} is ${verdict}`);
  return { reason, notes };
}
