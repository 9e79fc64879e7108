import { describe, expect, test } from "vitest";
import { readYaml } from "./read-yaml.ts";
import { formatProblem } from "./source.ts";

const read = (text: string) => {
  const { entries, problems } = readYaml({ name: "t.yaml", text });
  return {
    entries: entries.map(({ key, text: value, source }) => [key, value, source.kind === "file" ? source.line : 0]),
    problems: problems.map(formatProblem),
  };
};

describe("a YAML file", () => {
  test("takes dotted keys, nested keys and both mixed, each with its line", () => {
    const { entries, problems } = read(
      "# a comment\nnode.id: 1\nbroker:\n  session.timeout.ms: 6000\n  heartbeat: { interval: { ms: 500 } }\n",
    );
    expect(problems).toEqual([]);
    expect(entries).toEqual([
      ["node.id", "1", 2],
      ["broker.session.timeout.ms", "6000", 4],
      ["broker.heartbeat.interval.ms", "500", 5],
    ]);
  });

  test("keeps scalars as they are written: no octal, no yes for true, no lost zeros", () => {
    expect(read("a: 010\nb: yes\nc: 1.10\nd: '7'\ne: ~\n").entries.map(([, value]) => value)).toEqual([
      "010",
      "yes",
      "1.10",
      "7",
      "~",
    ]);
  });

  test("takes a sequence as a list and an empty text in quotes as empty", () => {
    expect(read('log.dirs: [/a, /b]\nhosts:\n  - x:1\n  - y:2\nempty: ""\nnone: []\n').entries).toEqual([
      ["log.dirs", "/a,/b", 1],
      ["hosts", "x:1,y:2", 2],
      ["empty", "", 5],
      ["none", "", 6],
    ]);
  });

  test.each([
    ["", "nothing at all"],
    ["# only a comment\n", "only a comment"],
  ])("may be empty (%#: %s)", (text) => {
    expect(read(text)).toEqual({ entries: [], problems: [] });
  });

  test.each([
    ["node.id:\n", "node.id (t.yaml:1) has no value"],
    ["a: &x 1\nb: *x\n", "b (t.yaml:2) is an alias"],
    ["a: ['x,y']\n", "a (t.yaml:1) is a list of something other than plain items"],
    ["a: [[x]]\n", "a (t.yaml:1) is a list of something other than plain items"],
    ["- a\n- b\n", "(t.yaml:1) does not hold settings"],
    ["just text\n", "(t.yaml:1) does not hold settings"],
    ["? [a]\n: 1\n", "(t.yaml:1) has a key that is no text"],
    ["a: 1\nb: [1\n", "(t.yaml:3) is not YAML"],
    ["a: 1\n---\nb: 2\n", "is not YAML"],
  ])("says where it is wrong (%#)", (text, message) => {
    expect(read(text).problems.join("\n")).toContain(message);
  });

  test("goes on after a bad value, so that all of them are found", () => {
    const { entries, problems } = read("a:\nb: 1\nc:\n");
    expect(problems).toHaveLength(2);
    expect(entries).toEqual([["b", "1", 2]]);
  });
});
