import { expect, test } from "vitest";
import { readArguments } from "./arguments.ts";

test("spans go to the file that is named, or to one that is named after the seed", () => {
  expect(readArguments(["--seed", "7", "--export", "otlp", "a.jsonl"])).toMatchObject({
    from: 7,
    spansFile: "a.jsonl",
  });
  expect(readArguments(["--export", "otlp", "--seed", "7", "--jobs", "2"])).toMatchObject({
    from: 7,
    spansFile: "sim-7.otlp.jsonl",
    jobs: 1,
  });
  expect(readArguments(["--seed", "7"]).spansFile).toBeUndefined();
});

test.for([
  [["--seed", "7", "--export", "zipkin"], "knows otlp"],
  [["--seeds", "1..2", "--export", "otlp"], "of one run"],
  [["--minutes", "1", "--export", "otlp"], "of one run"],
  [["--break", "all", "--seed", "1", "--export", "otlp"], "of one run"],
  [["--seeds", "10..1"], "no seed from 10 to 1"],
  [["--seeds", "10"], "no whole number"],
  [["--seed", "1", "--replication-factor", "0"], "at least one"],
  [["--seed", "1", "--controllers", "0"], "at least one"],
  [["--seed", "1", "--backend", "single", "--controllers", "3"], "one controller"],
  [["--seed", "1", "--scenario", "rain"], "no scenario rain"],
  [["--seed", "1", "--break", "everything"], "no protection everything"],
] as const)("%s is refused: %s", ([args, why]) => {
  expect(() => readArguments(args)).toThrow(why);
});
