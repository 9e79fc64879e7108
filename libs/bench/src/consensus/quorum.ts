/** Three members of a quorum, each a process with a directory of its own. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { crc32c } from "@tidemark/compression";
import { formatAddress, formatDirectory } from "@tidemark/consensus-raft";
import { createNodeDisk } from "@tidemark/disk";
import { controllerId, directoryId } from "@tidemark/ids";
import { createNodeRuntime, randomUuid } from "@tidemark/runtime";
import { freePorts } from "@tidemark/testkit";
import type { AppendLoad, AppendRates } from "./appends.ts";

const program = join(dirname(fileURLToPath(import.meta.url)), "member-program.ts");

/** What a member says, one line each: it joined, it committed as the new leader, or how a load went. */
export type MemberLine =
  | { readonly kind: "joined" }
  | { readonly kind: "led"; readonly atMs: number }
  | { readonly kind: "measured"; readonly rates: AppendRates }
  | { readonly kind: "failed"; readonly message: string };

/** What a member is told, one line each. */
export type MemberOrder = AppendLoad | { readonly isCut: boolean };

/** Where a member is, and what differs from the defaults. */
export interface MemberPlace {
  readonly id: number;
  readonly port: number;
  readonly directory: string;
  readonly directoryId: string;
  readonly electionTimeoutMs?: number;
  /** Batches that a leader commits at once, for as long as it leads. Default 0. */
  readonly appendsAtOnce?: number;
}

/** How a leading member goes: kill -9, SIGSTOP, or nothing passes to and from it. */
export type Way = "killed" | "frozen" | "cut off";

export interface Quorum {
  /** The leading member carries a load out. */
  measure(load: AppendLoad): Promise<AppendRates>;
  /** Takes the leading member away. Resolves with the milliseconds until another had committed a batch. */
  takeLeader(way: Way): Promise<number>;
  /** Brings it back, and waits until a killed one takes part. */
  bringBack(): Promise<void>;
  stop(): Promise<void>;
}

interface Member {
  readonly place: MemberPlace;
  child: ChildProcessByStdio<Writable, Readable, null>;
}

export async function startQuorum(
  folder: string,
  settings: Pick<MemberPlace, "electionTimeoutMs" | "appendsAtOnce">,
): Promise<Quorum> {
  const said = createLines();
  const start = (place: MemberPlace): Member["child"] => {
    const child = spawn(process.execPath, [program, JSON.stringify(place)], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: child.stdout }).on("line", (line) => said.add(place.id, JSON.parse(line) as MemberLine));
    return child;
  };
  const places = await formatQuorum(folder);
  const members = places.map((place): Member => ({ place, child: start({ ...place, ...settings }) }));
  const started = Promise.all(places.map(({ id }) => said.next((from, { kind }) => from === id && kind === "joined")));
  let leader = (await said.next((_, { kind }) => kind === "led")).from;
  await started;
  let gone: { readonly member: Member; readonly way: Way } | undefined;
  return {
    async measure(load) {
      for (const member of members) tell(member, load);
      const { line } = await said.next((_, { kind }) => kind === "measured" || kind === "failed");
      if (line.kind === "measured") return line.rates;
      throw new Error(line.kind === "failed" ? line.message : "no rates were said");
    },
    async takeLeader(way) {
      const taken = members.find(({ place }) => place.id === leader);
      const next = said.next((from, { kind }) => from !== leader && kind === "led");
      const takenMs = performance.timeOrigin + performance.now();
      if (taken !== undefined) take(taken, way);
      gone = taken === undefined ? undefined : { member: taken, way };
      const { line } = await next;
      if (line.kind !== "led") throw new Error("nobody led");
      return line.atMs - takenMs;
    },
    async bringBack() {
      if (gone === undefined) return;
      const { member, way } = gone;
      if (way === "killed") {
        const joined = said.next((from, { kind }) => from === member.place.id && kind === "joined");
        member.child = start({ ...member.place, ...settings });
        await joined;
      } else if (way === "frozen") member.child.kill("SIGCONT");
      else tell(member, { isCut: false });
      gone = undefined;
      leader = said.lastLed();
    },
    async stop() {
      const ended = members
        .filter(({ child }) => child.exitCode === null && child.signalCode === null)
        .map(({ child }) => {
          child.kill("SIGKILL");
          return once(child, "exit");
        });
      await Promise.all(ended);
    },
  };
}

function tell({ child }: Member, order: MemberOrder): void {
  child.stdin.write(`${JSON.stringify(order)}\n`);
}

function take(member: Member, way: Way): void {
  switch (way) {
    case "killed":
      member.child.kill("SIGKILL");
      return;
    case "frozen":
      member.child.kill("SIGSTOP");
      return;
    case "cut off":
      tell(member, { isCut: true });
  }
}

type Wanted = (from: number, line: MemberLine) => boolean;

/** What the members say, for whoever waits for it. */
function createLines() {
  const waiting: { readonly wanted: Wanted; readonly found: (said: { from: number; line: MemberLine }) => void }[] = [];
  let led = 0;
  return {
    add(from: number, line: MemberLine) {
      if (line.kind === "led") led = from;
      const at = waiting.findIndex(({ wanted }) => wanted(from, line));
      if (at !== -1) waiting.splice(at, 1)[0]?.found({ from, line });
    },
    next: (wanted: Wanted): Promise<{ readonly from: number; readonly line: MemberLine }> =>
      new Promise((found) => waiting.push({ wanted, found })),
    lastLed: () => led,
  };
}

/** Directories and free ports of three first voters. */
async function formatQuorum(folder: string): Promise<readonly MemberPlace[]> {
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
