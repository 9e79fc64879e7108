/** `npm run pack:service -- broker|controller|gateway|cli [--out FOLDER]` */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Program, packedFolder, packProgram, programs } from "./pack-program.ts";

const names = Object.keys(programs) as Program[];
const usage = `Usage: npm run pack:service -- ${names.join("|")} [--out FOLDER]
  Writes a folder that Node 24 runs with nothing else: node src/main.js --help
  --out FOLDER  where (dist/NAME); what is there is replaced`;

try {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: "string" } } });
  const program = names.find((name) => name === positionals[0]);
  if (program === undefined || positionals.length !== 1) throw new Error(usage);
  const out = values.out === undefined ? packedFolder(program) : resolve(values.out);
  packProgram(program, out);
  console.log(out);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
