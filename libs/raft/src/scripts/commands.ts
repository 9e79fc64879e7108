/**
 * The commands of scripts.
 *
 * | command                          | does                                                                         |
 * |----------------------------------|------------------------------------------------------------------------------|
 * | cluster n1 n2:1,1,4 [limit=number] | first voters; the terms of entries that a disk holds behind index 1; limits by their names in `Limits`; snapshotBytes |
 * | lead n1                          | n1 misses its leader, campaigns, and everything is delivered; not traced      |
 * | elect n1 n2 n3                   | n1 is elected by n2 and n3; whatever else is on the wire is lost; not traced |
 * | tick n1 5                        | time passes for n1                                                           |
 * | beat n1 5                        | five heartbeats of n1, each delivered with what follows; heartbeats are not traced |
 * | timeout n1                       | time passes for n1 until it campaigns                                        |
 * | settle                           | delivers everything on the wire, and what follows, until nothing moves       |
 * | deliver n1 n2 [kind] [n]         | delivers messages of n1 to n2; of one kind; at most n                        |
 * | again n1 n2 kind [n]             | delivers the last such message that was delivered or lost once more; n: the n-th last |
 * | lose n1 n2 [kind]                | loses messages on the wire; `*` is any node                                  |
 * | cut n1 n2, heal n1 n2            | everything from n1 to n2 is lost while delivering; `*` is any node           |
 * | propose n1 [n]                   | proposes n batches                                                           |
 * | read n1 r1                       | asks for a read                                                              |
 * | change n1 add n4, promote n4, remove n4, force n4 | proposes a membership change; force: a removal by force     |
 * | transfer n1 n2                   | hands leadership over                                                        |
 * | compact n1 [keep]                | snapshots what n1 applied                                                    |
 * | hold n1, flush n1 [n], release n1 | keeps flushes out; ends the oldest n; ends all and keeps none                |
 * | crash n1, start n1               | loses what is not flushed; starts from disk                                  |
 * | blank n4                         | a node with an empty disk                                                    |
 * | copy n1, restore n1              | copies what is flushed; crashes and starts from the copy                     |
 * | refused n1 n2                    | n1 finds that n2's port refuses                                              |
 * | log n1, status n1                | shows                                                                        |
 */

import { copyImage } from "../checks/log-image.ts";
import { logIndex, term } from "../ids.ts";
import type { MembershipChange } from "../membership.ts";
import type { Message } from "../messages.ts";
import { createDisk, type DiskImage, imageOf } from "../simulation/disk.ts";
import { formattedStart } from "../start-state.ts";
import { createScriptedCluster, heartbeatTicks, idOf, type ScriptedCluster } from "../testing/scripted-cluster.ts";

/** A script on its way. */
export interface Run {
  cluster: ScriptedCluster;
  readonly cuts: Set<string>;
  /** Of disks, by the names of their nodes. */
  readonly copies: Map<string, DiskImage>;
  /** Everything that left the wire. */
  past: Message[];
  /** What the command itself says. */
  said: string[];
}

/** Runs one line. Returns what the command itself says, before the trace. */
export function runCommand(run: Run, line: string): readonly string[] {
  run.said = [];
  const [command = "", ...args] = line.split(" ");
  const found = commands[command];
  if (found === undefined) throw new Error(`Unknown command: ${line}`);
  found(run, args);
  return run.said;
}

type Command = (run: Run, args: readonly string[]) => void;

const commands: Record<string, Command> = {
  cluster(run, args) {
    run.cluster = clusterOf(args);
  },
  lead(run, [name = ""]) {
    for (const node of run.cluster.nodes.values())
      if (node.running && node.name !== name) run.cluster.tick(node.name, 10);
    run.cluster.timeout(name);
    settle(run);
    run.cluster.takeTrace();
    run.said.push(`${name} leads term ${String(run.cluster.node(name).raft.status().term)}`);
  },
  elect(run, [name = "", ...friends]) {
    const { cluster } = run;
    cluster.wire.length = 0;
    for (let attempt = 0; attempt < 3 && cluster.node(name).raft.status().role !== "leader"; attempt++) {
      for (const friend of friends) cluster.tick(friend, 10);
      cluster.timeout(name);
      cluster.settle(({ from, to, kind }) => {
        const friend = from === idOf(name) ? to : from;
        return (
          (kind.startsWith("preVote") || kind.startsWith("vote")) && friends.some((known) => idOf(known) === friend)
        );
      });
    }
    cluster.takeTrace();
    run.said.push(`${name} leads term ${String(cluster.node(name).raft.status().term)}`);
  },
  tick: (run, [name = "", count = "1"]) => run.cluster.tick(name, Number(count)),
  beat(run, [name = "", count = "1"]) {
    const before = run.cluster.takeTrace();
    for (let beat = 0; beat < Number(count); beat++) {
      run.cluster.tick(name, heartbeatTicks);
      settle(run);
    }
    run.said.push(...before, ...run.cluster.takeTrace().filter((line) => !/ heartbeat(Response)? /.test(line)));
  },
  timeout: (run, [name = ""]) => run.cluster.timeout(name),
  settle: (run) => settle(run),
  deliver(run, [from = "", to = "", ...rest]) {
    const kind = rest.find((arg) => Number.isNaN(Number(arg)));
    const most = Number(rest.find((arg) => !Number.isNaN(Number(arg))) ?? Number.POSITIVE_INFINITY);
    for (const message of take(run, from, to, kind, most)) run.cluster.deliver(message);
  },
  again(run, [from = "", to = "", kind = "", back = "1"]) {
    const message = run.past.filter((past) => matches(run, past, from, to, kind)).at(-Number(back));
    if (message === undefined) run.said.push("nothing like that was sent");
    else run.cluster.deliver(message);
  },
  lose(run, [from = "", to = "", kind]) {
    take(run, from, to, kind, Number.POSITIVE_INFINITY);
  },
  cut: (run, [from = "", to = ""]) => void run.cuts.add(`${from} ${to}`),
  heal: (run, [from = "", to = ""]) => void run.cuts.delete(`${from} ${to}`),
  propose(run, [name = "", count = "1"]) {
    run.cluster.act(name, (raft) => {
      for (let left = Number(count); left > 0; left--) {
        const outcome = raft.propose(Uint8Array.of(left));
        if (outcome.kind === "refused") run.said.push(`refused: ${outcome.reason}`);
      }
    });
  },
  read(run, [name = "", context = ""]) {
    run.cluster.act(name, (raft) => {
      const outcome = raft.readIndex(context);
      if (outcome.kind === "refused") run.said.push(`refused: ${outcome.reason}`);
    });
  },
  change(run, [name = "", what = "", member = ""]) {
    run.cluster.act(name, (raft) => {
      const outcome = raft.proposeMembership(changeOf(what, member));
      if (outcome.kind === "refused") run.said.push(`refused: ${outcome.reason}`);
    });
  },
  transfer(run, [name = "", to = ""]) {
    run.cluster.act(name, (raft) => {
      const outcome = raft.transferLeadership(idOf(to));
      if (outcome.kind === "refused") run.said.push(`refused: ${outcome.reason}`);
    });
  },
  compact: (run, [name = "", keep = "0"]) => run.cluster.compact(name, Number(keep)),
  hold(run, [name = ""]) {
    run.cluster.node(name).holdsFlushes = true;
  },
  flush: (run, [name = "", count]) => run.cluster.flush(name, count === undefined ? undefined : Number(count)),
  release(run, [name = ""]) {
    run.cluster.node(name).holdsFlushes = false;
    run.cluster.flush(name);
  },
  crash: (run, [name = ""]) => run.cluster.crash(name),
  start: (run, [name = ""]) => run.cluster.start(name),
  blank: (run, [name = ""]) => run.cluster.addBlank(name),
  copy: (run, [name = ""]) => void run.copies.set(name, copyImage(run.cluster.node(name).disk.durable)),
  restore(run, [name = ""]) {
    const copy = run.copies.get(name);
    if (copy === undefined) throw new Error(`There is no copy of ${name}`);
    run.cluster.crash(name);
    run.cluster.node(name).disk = createDisk(copy);
    run.cluster.start(name);
  },
  refused: (run, [name = "", peer = ""]) => run.cluster.act(name, (raft) => raft.peerRefused(idOf(peer))),
  log(run, [name = ""]) {
    const { written } = run.cluster.node(name).disk;
    const entries = written.entries.map((entry) => `${entry.index}/${entry.term}`).join(" ");
    run.said.push(`${name} has snapshot ${written.snapshot.meta.index}/${written.snapshot.meta.term} and [${entries}]`);
  },
  status(run, [name = ""]) {
    const { role, term, committed, flushed, last } = run.cluster.node(name).raft.status();
    const vote = run.cluster.node(name).raft.status().votedFor;
    const voted = vote === undefined ? "nobody" : run.cluster.nameOf(vote);
    run.said.push(
      `${name} is ${role} of term ${term}, voted for ${voted}, committed ${committed}, flushed ${flushed}, last ${last.index}/${last.term}`,
    );
  },
};

function clusterOf(args: readonly string[]): ScriptedCluster {
  const settings = new Map<string, number>();
  const voters: string[] = [];
  const terms = new Map<string, readonly number[]>();
  for (const arg of args) {
    const [name = "", value] = arg.split(/[:=]/);
    if (arg.includes("=")) settings.set(name, Number(value));
    else voters.push(name);
    if (arg.includes(":") && value !== undefined) terms.set(name, value.split(",").map(Number));
  }
  const snapshotBytes = settings.get("snapshotBytes") ?? 0;
  settings.delete("snapshotBytes");
  const images = new Map([...terms].map(([name, of]) => [name, imageWith(voters, of)] as const));
  return createScriptedCluster({ voters, limits: Object.fromEntries(settings), snapshotBytes, images });
}

/** What formatting writes, and entries of these terms behind it. All of them have seen term 7. */
function imageWith(voters: readonly string[], terms: readonly number[]): DiskImage {
  const image = imageOf(formattedStart(voters.map((name) => ({ id: idOf(name), address: name }))));
  image.entries = terms.map((of, position) => ({ kind: "noop", index: logIndex(position + 2), term: term(of) }));
  image.hardState = { term: term(7), votedFor: undefined };
  return image;
}

function changeOf(what: string, name: string): MembershipChange {
  if (what === "add") return { kind: "addLearner", member: { id: idOf(name), address: name } };
  if (what === "promote") return { kind: "promote", id: idOf(name) };
  if (what === "remove") return { kind: "remove", id: idOf(name) };
  if (what === "force") return { kind: "remove", id: idOf(name), force: true };
  throw new Error(`Unknown change: ${what}`);
}

function settle(run: Run): void {
  run.cluster.settle((message) => {
    run.past.push(message);
    const from = run.cluster.nameOf(message.from);
    const to = run.cluster.nameOf(message.to);
    return ![`${from} ${to}`, `* ${to}`, `${from} *`].some((cut) => run.cuts.has(cut));
  });
}

function take(run: Run, from: string, to: string, kind: string | undefined, most: number): Message[] {
  const taken: Message[] = [];
  for (const message of [...run.cluster.wire]) {
    if (taken.length >= most || !matches(run, message, from, to, kind)) continue;
    run.cluster.wire.splice(run.cluster.wire.indexOf(message), 1);
    taken.push(message);
  }
  run.past.push(...taken);
  return taken;
}

function matches(run: Run, message: Message, from: string, to: string, kind: string | undefined): boolean {
  const { cluster } = run;
  return (
    (from === "*" || cluster.nameOf(message.from) === from) &&
    (to === "*" || cluster.nameOf(message.to) === to) &&
    (kind === undefined || message.kind === kind)
  );
}
