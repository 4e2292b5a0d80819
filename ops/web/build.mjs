// Builds the one script of the page, with the licences of what is in it.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const into = new URL("../../jobs/export/asset/", import.meta.url);
const result = await build({
  entryPoints: ["src/main.js"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  legalComments: "none",
  metafile: true,
  write: false,
});
const names = Object.keys(result.metafile.inputs)
  .filter((path) => path.includes("node_modules/"))
  .map((path) => path.split("node_modules/").pop().split("/")[0]);
const licences = [...new Set(names)].sort().map((name) => {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name} ${version} (${license})\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}\n`;
});
const text = licences.join("\n----\n\n");
const script = `/*\n${text.replaceAll("*/", "* /")}*/\n${result.outputFiles[0].text}`;
writeFileSync(new URL("LICENCES.txt", into), text);
writeFileSync(new URL("graph.js", into), script);
writeFileSync(new URL("graph.js.sha256", into), `${createHash("sha256").update(script).digest("hex")}\n`);
console.log(`${script.length} bytes, with ${[...new Set(names)].sort().join(", ")}`);
