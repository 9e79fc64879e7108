/**
 * `npm run bench`: alone it lists what there is; with a name it measures, `--json` for programs. `--only` takes a part of
 * a bench, and may be said again.
 */
import { parseArgs } from "node:util";
import type { Figure } from "./bench.ts";
import { benches } from "./benches.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean" }, only: { type: "string", multiple: true } },
});
const only = values.only ?? [];

function line({ name, unit, min, median, max, ratio }: Figure): string {
  const number = (value: number) => value.toFixed(value < 10 ? 2 : 1).padStart(9);
  const beside = ratio === undefined ? "" : `   ${ratio.value.toFixed(2)} x ${ratio.to}${spread(ratio)}`;
  return `${name.padEnd(44)} ${number(min)} /${number(median)} /${number(max)} ${unit}${beside}`;
}

function spread({ min, max, low, high }: NonNullable<Figure["ratio"]>): string {
  if (min === undefined || max === undefined) return "";
  const likely = low === undefined || high === undefined ? "" : `, 95 %: ${low.toFixed(3)} to ${high.toFixed(3)}`;
  return ` (${min.toFixed(2)} to ${max.toFixed(2)}${likely})`;
}

if (positionals.length === 0) {
  for (const { name, about, scenarios = [] } of benches) {
    console.log(`${name.padEnd(20)} ${about}`);
    if (scenarios.length > 0) console.log(`${"".padEnd(20)} --only ${scenarios.join(", ")}`);
  }
}
for (const name of positionals) {
  const bench = benches.find((each) => each.name === name);
  if (bench === undefined) {
    console.error(`There is no bench ${name}; there are ${benches.map((each) => each.name).join(", ")}.`);
    process.exitCode = 2;
    continue;
  }
  const unknown = only.filter((each) => !(bench.scenarios ?? []).includes(each));
  if (unknown.length > 0) {
    console.error(`${name} has no ${unknown.join(", ")}; there are ${bench.scenarios?.join(", ") ?? "no parts"}.`);
    process.exitCode = 2;
    continue;
  }
  const figures = await bench.run((text) => console.error(text), only);
  if (values.json) console.log(JSON.stringify({ bench: name, figures }, null, 2));
  else {
    console.log(`${name}: ${bench.about} min / median / max`);
    for (const each of figures) console.log(line(each));
  }
}
