import { simulate } from "../src/simulation/simulation.ts";

const from = Number(process.argv[2]),
  n = Number(process.argv[3] ?? 1);
const guards = process.argv[4] ? { [process.argv[4]]: false } : {};
const t0 = Date.now();
const bad = new Map<string, number[]>();
let counted = 0,
  com = 0,
  el = 0,
  ch = 0,
  sn = 0,
  rd = 0;
for (let seed = from; seed < from + n; seed++) {
  const r = simulate({
    seed,
    guards,
    ...(n === 1
      ? { onTrace: (l: string) => console.log(l.replaceAll("00000000-0000-4000-8000-0000000000", "N")) }
      : {}),
  });
  if (r.violation) {
    const k = r.violation.invariant;
    bad.set(k, [...(bad.get(k) ?? []), seed]);
    if (n === 1 || process.argv[5]) console.log(seed, r.violation.message);
  }
  if (r.counts) counted++;
  com += r.committed;
  el += r.elections;
  ch += r.changes;
  sn += r.snapshots;
  rd += r.reads;
  if (n === 1) console.log(r);
}
console.log(
  `${n} seeds ${Date.now() - t0} ms, counted ${counted}, avg committed ${(com / n) | 0} elections ${el / n} changes ${(ch / n) | 0} snapshots ${(sn / n) | 0} reads ${(rd / n) | 0}`,
);
for (const [k, s] of bad) console.log(k, s.length, s.slice(0, 8).join(" "));
