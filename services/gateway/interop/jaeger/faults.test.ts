import { below, createNodeRuntime, createSeededRandom, delay } from "@tidemark/runtime";
import { testWithJaeger } from "@tidemark/testkit/jaeger";
import { expect } from "vitest";
import { type FaultyCluster, startFaultyCluster } from "./faulty-cluster.ts";

/** So many records are produced while something is slow. */
const produces = 8;

interface Fault {
  readonly name: string;
  /** As `tidemark trace explain` is to name it. */
  readonly culprit: string;
  /** Produces while it lasts, and mends it. */
  happen(): Promise<void>;
}

type Faulty = Pick<FaultyCluster, "cluster" | "produce" | "slowDisk" | "slowNetwork">;

async function produceSome({ produce }: Faulty, count = produces): Promise<void> {
  for (let done = 0; done < count; done++) await produce();
}

const slowDisk = (faulty: Faulty, process: string, delayMs: number): Fault => ({
  name: `a disk of ${process} that takes ${delayMs} ms more`,
  culprit: `${process}, disk`,
  async happen() {
    faulty.slowDisk(process, delayMs);
    await produceSome(faulty);
    faulty.slowDisk(process, 0);
  },
});

const slowNetwork = (faulty: Faulty, process: string, delayMs: number): Fault => ({
  name: `a network of ${process} that takes ${delayMs} ms more each way`,
  culprit: `${process}, network`,
  async happen() {
    faulty.slowNetwork(process, delayMs);
    await produceSome(faulty);
    faulty.slowNetwork(process, 0);
  },
});

/** Less than a session timeout: nobody is elected. */
const stopped = (faulty: Faulty, process: string, ms: number): Fault => ({
  name: `${process} stopped for ${ms} ms`,
  culprit: `${process}, process`,
  async happen() {
    faulty.cluster.signal(process, "SIGSTOP");
    const produced = faulty.produce();
    await pass(ms);
    faulty.cluster.signal(process, "SIGCONT");
    await produced;
    await produceSome(faulty, 2);
  },
});

/** It runs for a small part of the time, as one that has more to do than it can. */
const overloaded = (faulty: Faulty, process: string): Fault => ({
  name: `${process} with a tenth of a processor`,
  culprit: `${process}, process`,
  async happen() {
    const over = new AbortController();
    const starving = (async () => {
      while (!over.signal.aborted) {
        faulty.cluster.signal(process, "SIGSTOP");
        await pass(90);
        faulty.cluster.signal(process, "SIGCONT");
        await pass(10);
      }
    })();
    await produceSome(faulty);
    over.abort();
    await starving;
  },
});

const { clock, scheduler } = createNodeRuntime();
/** How long a fault lasts, which is what is found afterwards: nothing is awaited by it. */
const pass = (ms: number) => delay(scheduler, ms);

/** One fault of all that there are, by a seed. */
function drawFault(faulty: Faulty, brokers: readonly string[], seed: number): Fault {
  const random = createSeededRandom(seed);
  const broker = brokers[below(random, brokers.length)] ?? "";
  const delayMs = 40 + below(random, 50);
  switch (below(random, 3)) {
    case 0:
      return slowDisk(faulty, broker, delayMs);
    case 1:
      return slowNetwork(faulty, broker, delayMs);
    default:
      return stopped(faulty, broker, 20 * delayMs);
  }
}

const seeds = [1, 2, 3, 4, 5];

testWithJaeger("four faults, and five drawn by seed, are laid to whom they happened", async (jaeger) => {
  const faulty = await startFaultyCluster(jaeger, { flags: ["--backend=single"], isSlowable: true });
  try {
    const { leader, followers } = await faulty.roles();
    const [one = "", other = ""] = followers;
    const faults = [
      slowDisk(faulty, one, 60),
      slowNetwork(faulty, other, 40),
      stopped(faulty, leader, 1500),
      overloaded(faulty, "gateway-1"),
      ...seeds.map((seed) => drawFault(faulty, [leader, ...followers], seed)),
    ];
    const named: string[] = [];
    for (const fault of faults) {
      const since = new Date(clock.wallMs());
      await fault.happen();
      const { culprit, text } = await faulty.explain(since);
      console.log(`${fault.name} (the leader is ${leader}):\n${text}`);
      named.push(`${fault.name}: ${culprit}`);
    }
    expect((await faulty.roles()).leader).toBe(leader);
    expect(named).toEqual(faults.map(({ name, culprit }) => `${name}: ${culprit}`));
  } finally {
    await faulty.stop();
  }
});
