import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { crc32c } from "@tidemark/compression";
import { openSingleStore } from "@tidemark/consensus";
import { formatAddress, formatDirectory } from "@tidemark/consensus-raft";
import { createNodeDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import { type Bench, type Figure, figure } from "../bench.ts";
import { inFolder } from "../log/place.ts";
import { type AppendLoad, type AppendRates, leadingEpoch, measureAppends } from "./appends.ts";

const program = join(dirname(fileURLToPath(import.meta.url)), "member-program.ts");
const runs = 3;
const seconds = 3;
const loads: readonly (AppendLoad & { readonly name: string })[] = [
  { name: "1 change, one at a time", inFlight: 1, changes: 1, seconds },
  { name: "1 change, 200 in flight", inFlight: 200, changes: 1, seconds },
  { name: "100 changes, 10 in flight", inFlight: 10, changes: 100, seconds },
];

/** Three members, each a process with a directory of its own, flushed before they count. */
export const raftCommit: Bench = {
  name: "raft-commit",
  about:
    "metadata batches that three controllers commit by their own quorum, each flushed before it counts, beside the " +
    "single backend's one file of the same machine and run.",
  run: (say) =>
    inFolder(async (folder) => {
      const quorum = await startQuorum(folder);
      try {
        const single = await openSingle(join(folder, "single"));
        const figures: Figure[] = [];
        for (const load of loads) {
          say(load.name);
          const ours: AppendRates[] = [];
          const beside: AppendRates[] = [];
          for (let run = 0; run < runs; run++) {
            ours.push(await quorum.measure(load));
            beside.push(await single.measure(load));
          }
          figures.push(...figuresOf(load.name, ours, beside));
        }
        await single.close();
        return figures;
      } finally {
        await quorum.stop();
      }
    }),
};

function figuresOf(name: string, ours: readonly AppendRates[], beside: readonly AppendRates[]): readonly Figure[] {
  const rates = (all: readonly AppendRates[]) => all.map(({ batchesPerSecond }) => batchesPerSecond);
  const p50 = (all: readonly AppendRates[]) => all.map((each) => each.p50);
  const p99 = (all: readonly AppendRates[]) => all.map((each) => each.p99);
  return [
    figure(`${name}, single`, "batches/s", rates(beside)),
    figure(name, "batches/s", rates(ours), { to: "single", values: rates(beside) }),
    figure(`${name}, p50`, "ms", p50(ours), { to: "single", values: p50(beside) }),
    figure(`${name}, p99`, "ms", p99(ours), { to: "single", values: p99(beside) }),
  ];
}

async function openSingle(directory: string) {
  const runtime = createNodeRuntime();
  const store = await openSingleStore({ disk: createNodeDisk({ runtime }), directory, crc32c, runtime });
  const consensus = store.candidate();
  await consensus.join({
    controllerId: controllerId(1),
    directoryId: directoryId(randomUuid(runtime.random)),
    endpoint: "127.0.0.1:1",
  });
  const epoch = await leadingEpoch(consensus);
  return {
    measure: (load: AppendLoad) => measureAppends(consensus, epoch, load),
    async close() {
      await consensus.close();
      await store.close();
    },
  };
}

async function startQuorum(folder: string) {
  const places = await formatQuorum(folder);
  const children = places.map((place) =>
    spawn(process.execPath, [program, JSON.stringify(place)], { stdio: ["pipe", "pipe", "inherit"] }),
  );
  const lines = lineReader(children);
  await lines.next();
  return {
    async measure(load: AppendLoad): Promise<AppendRates> {
      for (const { stdin } of children) stdin.write(`${JSON.stringify(load)}\n`);
      const answer = JSON.parse(await nextAnswer(lines)) as AppendRates & { readonly error?: string };
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    },
    async stop() {
      const ended = children.map((child) => once(child, "exit"));
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(ended);
    },
  };
}

/** Passes over who says that it leads. */
async function nextAnswer(lines: ReturnType<typeof lineReader>): Promise<string> {
  const line = await lines.next();
  return line.startsWith("{") ? line : nextAnswer(lines);
}

/** Directories and free ports of three first voters. */
async function formatQuorum(folder: string) {
  const runtime = createNodeRuntime();
  const disk = createNodeDisk({ runtime });
  const ports = await freePorts(3);
  const places = ports.map((port, at) => ({
    id: at + 1,
    port,
    directory: join(folder, `member-${at + 1}`),
    directoryId: directoryId(randomUuid(runtime.random)),
  }));
  const voters = places.map((place) => ({
    id: place.directoryId,
    address: formatAddress({ controllerId: controllerId(place.id), endpoint: `127.0.0.1:${place.port}` }),
  }));
  const clusterId = randomUuid(runtime.random);
  for (const { directory, directoryId: own } of places) {
    await formatDirectory({ disk, directory, crc32c, identity: { directoryId: own, clusterId }, voters });
  }
  return places;
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

/** What any of the processes says, line by line. */
function lineReader(children: readonly ChildProcess[]) {
  const said: string[] = [];
  const waiting: ((line: string) => void)[] = [];
  for (const { stdout } of children) {
    if (stdout === null) continue;
    createInterface({ input: stdout }).on("line", (line) => {
      const next = waiting.shift();
      if (next === undefined) said.push(line);
      else next(line);
    });
  }
  return {
    next(): Promise<string> {
      const line = said.shift();
      return line === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(line);
    },
  };
}
