import { PassThrough } from "node:stream";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import type { Io } from "./io.ts";
import { createProgram, runProgram } from "./program.ts";

const createStreams = () => ({ stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() });

const ioOf = (streams: ReturnType<typeof createStreams>, env: NodeJS.ProcessEnv): Io => ({
  ...streams,
  env,
  workingDirectory: "/nowhere",
  interrupted: new AbortController().signal,
});

/** Runs a command line that needs no cluster. */
async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const streams = createStreams();
  const code = await runProgram(args, ioOf(streams, env));
  const text = ({ read }: { read: () => Buffer | null }) => read()?.toString() ?? "";
  return {
    code,
    stdout: text({ read: () => streams.stdout.read() as Buffer | null }),
    stderr: text({ read: () => streams.stderr.read() as Buffer | null }),
  };
}

/** With commands below them, and something to do themselves. */
const alsoRun = ["dev", "format"];

/** The words of every command that does something. */
function everyCommand(command: Command, path: readonly string[] = []): readonly (readonly string[])[] {
  const below = command.commands.filter((each) => each.name() !== "help");
  const own = below.length === 0 || alsoRun.includes(path.join()) ? [path] : [];
  return [...own, ...below.flatMap((each) => everyCommand(each, [...path, each.name()]))];
}

const commands = everyCommand(createProgram(ioOf(createStreams(), {}), () => undefined));
/** They print a script, what happens until Ctrl-C, and what another program of the repository prints. */
const withoutOutput = ["completion", "dev", "sim"];

/** A file of the repository that is no PEM. */
const noPem = new URL("../package.json", import.meta.url).pathname;

describe("the command line", () => {
  test.each(commands.map((command) => [command.join(" "), command] as const))(
    "%s shows an example in its help",
    async (_, command) => {
      const { code, stdout } = await run([...command, "--help"]);
      expect(code).toBe(0);
      expect(stdout).toMatch(/Examples?:\n {2}\S*/);
    },
  );

  test("has every command in the tables below", () => {
    expect(commands.map((command) => command.join(" "))).toEqual(
      expect.arrayContaining(["produce", "topic create", "metadata import"]),
    );
  });

  test.each(
    commands
      .map((command) => [command.join(" "), command] as const)
      .filter(([words]) => !withoutOutput.includes(words)),
  )("%s knows -o json", async (_, command) => {
    expect((await run([...command, "--help"])).stdout).toMatch(/-o, --output <format>[^]*"json"/);
  });

  test.each(commands.map((command) => [command.join(" "), command] as const))(
    "%s tells its defaults in words",
    async (_, command) => {
      expect((await run([...command, "--help"])).stdout).not.toMatch(/\(default: (?:\[\]|\{\}|30000)\)/);
    },
  );

  test("says its exit codes", async () => {
    expect((await run(["--help"])).stdout).toContain("130");
  });

  test.each([
    [["frob"], "unknown command 'frob'"],
    [["topic", "create", "t", "--partitions", "0"], "from 1 to 4294967295"],
    [["produce", "t", "--acks", "some"], "none, leader, all"],
    [["produce", "t", "--key-separator", ""], "--key-separator is empty"],
    [["consume", "t", "--from", "somewhere"], "earliest, latest or an offset"],
    [["topic", "list", "--server", "nonsense"], "server"],
    [["topic", "add-partitions", "t"], "--partitions"],
    [["topic", "alter", "t"], "Say what to change"],
    [["topic", "alter", "t", "--config", "nonsense"], "key=value"],
    [["topic", "describe", "--at-min-isr", "--unavailable"], "Give one of --at-min-isr and --unavailable"],
    [["partition", "elect", "--topic", "t"], "--election-type"],
    [["partition", "elect", "--election-type", "best", "--all-topics"], "preferred, unclean"],
    [["partition", "elect", "--election-type", "unclean"], "--topic NAME or --all-topics"],
    [
      ["partition", "elect", "--election-type", "unclean", "--topic", "t", "--all-topics"],
      "--topic NAME or --all-topics",
    ],
    [["partition", "elect", "--election-type", "preferred", "--all-topics", "--partition", "1"], "goes with --topic"],
    [["partition", "explain", "t", "0", "x"], "offset"],
    [["dev", "--backend", "paper"], "single, raft, etcd"],
    [["dev", "--etcds", "1"], "go with --backend etcd"],
    [["dev", "--backend", "etcd", "--etcds", "2"], "takes 1 or 3, not 2"],
    [["dev", "--backend", "etcd", "--etcds", "1", "--etcd-endpoints", "a:1"], "or --etcd-endpoints"],
    [["dev", "--controllers", "3"], "runs one controller"],
    [["metadata", "import", "file"], "does not say where it keeps its data"],
    [["metadata", "ls", "--backend", "etcd"], "does not say where etcd is"],
    [["metadata", "get", "/cluster", "--backend", "raft:///nowhere"], "keep these metadata together"],
    [["dev", "--brokers", "11"], "--brokers takes 1 to 10, not 11"],
    [["config", "print", "broker"], "node.id"],
    [["completion", "tcsh"], "bash, zsh, fish"],
    [["bench", "produce", "t", "--records", "0"], "from 1 on"],
    [["bench", "produce", "t", "--size", "0"], "from 1 to"],
    [["bench", "produce", "t", "--size", "99999999999"], "from 1 to"],
    [["topic", "create", "t", "--partitions", "99999999999"], "from 1 to 4294967295"],
    [["topic", "add-partitions", "t", "--partitions", "99999999999"], "from 1 to 4294967295"],
    [["consume", "t", "--partition", "99999999999"], "from 0 to 4294967295"],
    [["partition", "explain", "t", "99999999999", "0"], "from 0 to 4294967295"],
    [["partition", "elect", "--election-type", "preferred", "--topic", "t", "--partition", "-1"], "from 0 to"],
  ])("%j is wrong: exit code 2, a sentence, and no stack trace", async (args, words) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toContain(words);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test.each([
    ["/no/such.pem", "server.tls.ca: the file /no/such.pem cannot be read"],
    [noPem, `server.tls.ca: the file ${noPem} holds no certificate in PEM`],
  ])("names file and setting of what should be a certificate: %s", async (path, words) => {
    const { code, stderr } = await run(["topic", "list"], { TIDEMARK_SERVER_TLS_CA: path });
    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });

  test("takes certificates by flags too, which go before variables", async () => {
    const { code, stderr } = await run(["topic", "list", "--tls-ca", "/no/flag.pem"], {
      TIDEMARK_SERVER_TLS_CA: "/no/variable.pem",
    });
    expect([code, stderr]).toEqual([2, expect.stringContaining("/no/flag.pem cannot be read")]);
  });

  test.each(["bash", "zsh", "fish"])("prints a completion script for %s that names every command", async (shell) => {
    const { code, stdout } = await run(["completion", shell]);
    expect(code).toBe(0);
    for (const word of commands.flat()) expect(stdout).toContain(word);
  });

  test("prints every setting with where it came from", async () => {
    const { code, stdout } = await run(["config", "print", "client", "-o", "json"], { TIDEMARK_SERVER: "example:1" });
    expect(code).toBe(0);
    const { settings } = JSON.parse(stdout) as { settings: { key: string }[] };
    expect(settings).toContainEqual(
      expect.objectContaining({ key: "server", value: "example:1", source: "variable TIDEMARK_SERVER" }),
    );
    expect(settings).toContainEqual(expect.objectContaining({ key: "acks", value: "all", source: "default" }));
  });
});
