// The picture: sigma draws it, ForceAtlas2 lays it out in a worker until it has settled.
import { MultiDirectedGraph } from "graphology";
import forceAtlas2 from "graphology-layout-forceatlas2";
import LayoutWorker from "graphology-layout-forceatlas2/worker";
import Sigma from "sigma";
import { CHANGES, MARKS, colourOf } from "./colours.js";
import { nameOf } from "./model.js";

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const HIDDEN = { hidden: true };

export class Picture {
  constructor(model, container, { onSelect, isDiff }) {
    this.model = model;
    this.isDiff = isDiff;
    this.selected = null;
    this.near = new Set();
    this.hiddenKinds = new Set();
    this.changedOnly = false;
    this.graph = this.buildGraph();
    this.renderer = new Sigma(this.graph, container, {
      labelDensity: 0.5,
      labelGridCellSize: 110,
      labelRenderedSizeThreshold: 5,
      labelFont: "system-ui, sans-serif",
      labelSize: 12,
      hideEdgesOnMove: this.graph.size > 20000,
      zIndex: true,
      minCameraRatio: 0.005,
      maxCameraRatio: 4,
      defaultDrawNodeHover: drawHover,
      nodeReducer: (id, data) => this.reduceNode(id, data),
      edgeReducer: (id, data) => this.reduceEdge(id, data),
    });
    this.adoptColours();
    this.renderer.on("clickNode", ({ node }) => onSelect(node));
    this.renderer.on("clickStage", () => onSelect(null));
  }

  buildGraph() {
    const graph = new MultiDirectedGraph();
    const shrink = this.model.nodes.size > 4000 ? 0.6 : 1;
    let number = 0;
    for (const node of this.model.nodes.values()) {
      // A spiral, alike for the same graph; the layout does the rest.
      const angle = number * 2.399963, radius = 10 * Math.sqrt(number + 1);
      const mark = node.change ? `${MARKS[node.change]} ` : "";
      graph.addNode(node.id, {
        x: radius * Math.cos(angle), y: radius * Math.sin(angle),
        label: mark + nameOf(node),
        size: shrink * Math.min(14, 2.2 + 0.9 * Math.sqrt(node.out.length + node.into.length)),
        kind: node.kind, change: node.change,
        color: this.isDiff ? CHANGES[node.change] ?? "#8a8f98" : colourOf(node.kind),
      });
      number++;
    }
    for (const edge of this.model.edges) {
      graph.addEdge(edge.from, edge.to, { change: edge.change, kind: edge.kind });
    }
    return graph;
  }

  adoptColours() {
    this.edgeColour = style("--edge");
    this.fadedColour = style("--faded");
    this.accentColour = style("--accent");
    this.renderer.setSetting("labelColor", { color: style("--text") });
    this.renderer.setSetting("defaultEdgeColor", this.edgeColour);
  }

  isHidden(data) {
    return this.hiddenKinds.has(data.kind) || (this.changedOnly && !data.change);
  }

  reduceNode(id, data) {
    if (id === this.selected) return { ...data, highlighted: true, zIndex: 3, forceLabel: true, hidden: false };
    if (this.isHidden(data) && !this.near.has(id)) return { ...data, hidden: true };
    if (this.selected) {
      if (this.near.has(id)) return { ...data, zIndex: 2, forceLabel: this.near.size < 40 };
      return { ...data, color: this.fadedColour, label: null, zIndex: 0 };
    }
    return data.change ? { ...data, zIndex: 2, size: data.size + 2 } : data;
  }

  reduceEdge(id, data) {
    const [from, to] = this.graph.extremities(id);
    const color = this.isDiff && data.change ? CHANGES[data.change] : this.edgeColour;
    if (this.selected) {
      if (from !== this.selected && to !== this.selected) return HIDDEN;
      return { ...data, color: data.change ? color : this.accentColour, size: 1.6, zIndex: 2 };
    }
    if (this.changedOnly && !data.change) return { ...data, hidden: true };
    return { ...data, color, size: data.change ? 2 : 0.6, zIndex: data.change ? 1 : 0 };
  }

  select(id) {
    this.selected = id;
    this.near = new Set(id ? this.graph.neighbors(id) : []);
    this.renderer.refresh({ skipIndexation: true });
    if (!id) return;
    // Far enough to see the neighbours, near enough to tell them apart.
    const at = this.renderer.getNodeDisplayData(id);
    const reach = Math.max(0, ...[...this.near].map((near) => {
      const end = this.renderer.getNodeDisplayData(near);
      return Math.max(Math.abs(end.x - at.x), Math.abs(end.y - at.y));
    }));
    const ratio = Math.min(1, Math.max(0.08, 2.6 * reach));
    this.renderer.getCamera().animate({ x: at.x, y: at.y, ratio }, { duration: 300 });
  }

  refresh() {
    this.renderer.refresh({ skipIndexation: true });
  }

  layOut(onEnd) {
    const settings = { ...forceAtlas2.inferSettings(this.graph), barnesHutOptimize: this.graph.order > 500, slowDown: 2 + Math.log(this.graph.order + 1) };
    this.layout = new LayoutWorker(this.graph, { settings });
    this.layout.start();
    const seconds = Math.min(20, 3 + this.graph.order / 800);
    this.timer = setTimeout(() => { this.stop(); onEnd(); }, 1000 * seconds);
  }

  stop() {
    clearTimeout(this.timer);
    this.layout?.stop();
  }

  move(x, y) {
    const camera = this.renderer.getCamera();
    camera.setState({ x: camera.x + x * camera.ratio * 0.1, y: camera.y + y * camera.ratio * 0.1 });
  }

  zoom(inward) {
    const camera = this.renderer.getCamera();
    if (inward) camera.animatedZoom({ duration: 150 });
    else camera.animatedUnzoom({ duration: 150 });
  }

  reset() {
    this.renderer.getCamera().animatedReset({ duration: 300 });
  }
}

function drawHover(context, data, settings) {
  const size = settings.labelSize;
  context.font = `600 ${size}px ${settings.labelFont}`;
  context.beginPath();
  context.arc(data.x, data.y, data.size + 3, 0, Math.PI * 2);
  context.strokeStyle = style("--accent");
  context.lineWidth = 2;
  context.stroke();
  if (!data.label) return;
  const width = context.measureText(data.label).width;
  context.fillStyle = style("--panel");
  context.fillRect(data.x + data.size + 5, data.y - size, width + 10, size * 1.8);
  context.strokeRect(data.x + data.size + 5, data.y - size, width + 10, size * 1.8);
  context.fillStyle = style("--text");
  context.fillText(data.label, data.x + data.size + 10, data.y + size / 3);
}
