import type { EtcdChange, EtcdMembers } from "@tidemark/consensus-etcd";
import { type Agreement, createSimulatedEtcd } from "@tidemark/consensus-etcd/simulated";
import type { Random, Runtime } from "@tidemark/runtime";
import type { SimNode } from "../cluster/node.ts";
import type { Engine } from "../engine/engine.ts";
import type { SidePlace } from "../network/connection.ts";
import type { Network } from "../network/network.ts";
import { startMajority } from "./majority.ts";
import { connectMember } from "./member-stubs.ts";
import { etcdPort, serveMember } from "./serve-member.ts";
import { takeFenceOut } from "./unfenced.ts";

/** An etcd whose members are machines of the simulated network: what befalls those befalls it. */
export interface SimEtcd {
  /** The member that leads. Undefined while none does. */
  readonly leader: number | undefined;
  /** Serves a member while its process lives. */
  serve(member: number, place: SidePlace): void;
  /** The members as a process on a host reaches them. */
  reach(place: SidePlace): EtcdMembers;
  /** Begins their life together; once, when all nodes are known. */
  begin(members: readonly SimNode[]): void;
  /** Forgets all history but the newest revision. False where there is none to forget. */
  compact(): boolean;
  /** Whether its space is used up. */
  setFull(isFull: boolean): void;
}

/** A member that reaches no leader for so long ends its streams and takes no calls, in milliseconds. */
const lonelyMs = 1500;
/** After so long a member says of a call that it had no answer from a majority, in milliseconds. */
const requestTimeoutMs = 7000;

export interface SimEtcdWorld {
  readonly engine: Engine;
  readonly network: Network;
  readonly random: Random;
  /** Told of everything that is committed, once and in order. */
  readonly onRevision: (changes: readonly EtcdChange[]) => void;
  /** Appends are not held against the fence. Absent: they are. */
  readonly isUnfenced?: boolean | undefined;
}

export function createSimEtcd(
  { engine, network, random, onRevision, isUnfenced = false }: SimEtcdWorld,
  hosts: readonly string[],
): SimEtcd {
  const started: { majority?: ReturnType<typeof startMajority> } = {};
  let seen = 0n;
  const numbers = hosts.map((_, at) => at + 1);
  const agreement: Agreement = {
    isLed: () => started.majority?.isLed() === true,
    agree(member, carryOut, fail) {
      const { majority } = started;
      if (majority === undefined) return;
      engine.after(majority.roundMs(member), () => {
        if (majority.serves(member)) carryOut();
        // It may have come to the next leader all the same: then it is carried out, however late.
        else if (random.next() < 0.5) majority.whenLed(carryOut);
        else engine.after(requestTimeoutMs, () => fail("etcdserver: request timed out"));
      });
    },
    committed() {
      const { majority } = started;
      for (const { revision, changes } of etcd.since(seen + 1n)) {
        seen = revision;
        onRevision(changes);
      }
      for (const member of numbers) {
        engine.after(majority?.spreadMs(member) ?? 0, () => {
          if (majority?.serves(member) === true) etcd.catchUp(member);
        });
      }
    },
  };
  const etcd = createSimulatedEtcd({
    runtime: runtimeOf(engine, random),
    members: hosts.length,
    latencyMs: 0,
    watch: { partRevisions: 40 },
    agreement,
  });
  etcd.setLeader(false);
  for (const member of numbers) etcd.stop(member);

  return {
    get leader() {
      return started.majority?.leader;
    },
    serve(member, place) {
      etcd.heal(member);
      serveMember(place, () => etcd.members.connect(etcd.members.endpoints[member - 1] ?? ""));
    },
    reach(place) {
      const members: EtcdMembers = {
        endpoints: hosts.map((host) => `${host}:${etcdPort}`),
        connect: (endpoint) => connectMember(network, place, { host: endpoint.split(":")[0] ?? "", port: etcdPort }),
      };
      return isUnfenced ? takeFenceOut(members) : members;
    },
    begin(members) {
      started.majority = startMajority({ engine, links: network.links, random }, members, {
        leader(member) {
          etcd.setLeader(false);
          if (member !== undefined) etcd.setLeader(true);
        },
        look(member, aloneMs) {
          const process = members[member - 1]?.process;
          if (process === undefined) etcd.stop(member);
          else if (process.isPaused) return;
          else if (aloneMs > lonelyMs) etcd.isolate(member);
          else if (aloneMs === 0) etcd.heal(member);
        },
      });
    },
    compact: () => etcd.compact(),
    setFull: (isFull) => etcd.setFull(isFull),
  };
}

/** Of no process: what members have in common goes on while one of them stands still. */
function runtimeOf(engine: Engine, random: Random): Runtime {
  return {
    random,
    clock: { monotonicMs: () => engine.nowMs, wallMs: () => Math.floor(engine.nowMs) },
    scheduler: {
      after: (delayMs, task) => engine.after(delayMs, task),
      afterInput: (task) => engine.after(0, task),
    },
  };
}
