/** `npm run bench` lists what there is; `npm run bench -- NAME [--json]` measures it. */
import { styleText } from "node:util";
import type { Figure } from "./bench.ts";
import { benches } from "./benches.ts";

const names = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const asJson = process.argv.includes("--json");

if (names.length === 0) {
  for (const { name, about } of benches) console.log(`${name.padEnd(16)} ${about}`);
  console.log("\nnpm run bench -- NAME [--json]");
}
for (const name of names) {
  const bench = benches.find((known) => known.name === name);
  if (bench === undefined) {
    console.error(`There is no bench ${name}. Run npm run bench for a list.`);
    process.exitCode = 1;
    break;
  }
  const figures = await bench.run();
  if (asJson) console.log(JSON.stringify({ bench: name, figures }));
  else for (const found of figures) console.log(lineOf(found));
}

function lineOf({ name, unit, min, median, max, ratio }: Figure): string {
  const value = `${round(median)} ${unit}`.padStart(16);
  const spread = styleText("dim", `(${round(min)} to ${round(max)})`);
  const against = ratio === undefined ? "" : `  ${round(ratio.value)} of ${ratio.to}`;
  return `${name.padEnd(40)} ${value}  ${spread}${against}`;
}

function round(value: number): string {
  return value.toPrecision(3).includes("e") ? Math.round(value).toString() : Number(value.toPrecision(3)).toString();
}
