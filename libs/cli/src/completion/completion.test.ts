import { spawnSync } from "node:child_process";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { createProgram } from "../program.ts";
import { commandWords } from "./command-words.ts";
import { completionScript } from "./scripts.ts";

const program = createProgram(
  {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    env: {},
    workingDirectory: "/nowhere",
    interrupted: new AbortController().signal,
  },
  () => undefined,
);
const scriptOf = (shell: "bash" | "fish") => completionScript(shell, commandWords(program));

/** What bash offers for the last of the words, which it cuts at `=` and `:` too. */
function offered(...words: readonly string[]): readonly string[] {
  const ask = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tidemark; printf "%s\\n" "${COMPREPLY[@]}"';
  const { stdout, stderr } = spawnSync("bash", [
    "--norc",
    "-c",
    `${scriptOf("bash")}\n${ask}`,
    "-",
    "tidemark",
    ...words,
  ]);
  expect(stderr.toString()).toBe("");
  return stdout
    .toString()
    .split("\n")
    .filter((word) => word !== "");
}

test("bash is offered the commands, by what was begun of them", () => {
  expect(offered("")).toEqual(expect.arrayContaining(["dev", "topic", "produce", "--help"]));
  expect(offered("co")).toEqual(["consume", "config", "controller", "completion"].sort((a, b) => order(a) - order(b)));
  expect(offered("topic", "")).toEqual(expect.arrayContaining(["create", "list", "describe"]));
  expect(offered("topic", "create", "orders", "--part")).toEqual(["--partitions"]);
});

const order = (name: string) => program.commands.findIndex((each) => each.name() === name);

test.each([
  [
    ["produce", "orders", "--acks", ""],
    ["none", "leader", "all"],
  ],
  [["produce", "orders", "--acks", "l"], ["leader"]],
  [
    ["produce", "orders", "--acks", "="],
    ["none", "leader", "all"],
  ],
  [["produce", "orders", "--acks", "=", "al"], ["all"]],
  [["produce", "orders", "--compression", "z"], ["zstd"]],
  [
    ["consume", "orders", "--format", ""],
    ["text", "json", "raw"],
  ],
  [
    ["topic", "list", "-o", ""],
    ["text", "json"],
  ],
  [
    ["partition", "elect", "--election-type", ""],
    ["preferred", "unclean"],
  ],
  [
    ["dev", "--backend", ""],
    ["single", "raft", "etcd"],
  ],
])("bash is offered the values of a flag: %j", (words, values) => {
  expect(offered(...words)).toEqual(values);
});

test.each([
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  [
    ["config", "print", ""],
    ["controller", "broker", "gateway", "client"],
  ],
])("bash is offered the values of an argument: %j", (words, values) => {
  expect(offered(...words)).toEqual(expect.arrayContaining(values));
});

test.each([
  { where: "a file is to be named", words: ["produce", "orders", "--file", ""] },
  { where: "nobody knows the value", words: ["topic", "list", "--server", ""] },
])("bash is offered nothing of ours where $where, and offers files itself", ({ words }) => {
  expect(offered(...words)).toEqual([]);
  expect(scriptOf("bash")).toContain("complete -o default");
});

test.each([
  { what: "the value of a flag", words: ["dev", "--data", "stop", "--brok"], flag: "--brokers" },
  { what: "a flag with its value", words: ["produce", "orders", "--acks", "all", "--part"], flag: "--partition" },
  { what: "a server", words: ["topic", "list", "--server", "a", ":", "1", "--tls-c"], flag: "--tls-ca" },
])("bash passes over $what", ({ words, flag }) => {
  expect(offered(...words)).toContain(flag);
});

test("fish is offered the values of a flag, and files where nobody knows them", () => {
  const lines = scriptOf("fish").split("\n");
  expect(lines).toContain(
    "complete -c tidemark -n '__fish_seen_subcommand_from produce' -l acks -x -a 'none leader all'",
  );
  expect(lines).toContain("complete -c tidemark -n '__fish_seen_subcommand_from produce' -l file -r");
  expect(lines).toContain(
    "complete -c tidemark -n '__fish_seen_subcommand_from topic; and __fish_seen_subcommand_from list' -s o -l output -x -a 'text json'",
  );
});
