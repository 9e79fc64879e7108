import { createNodeRuntime } from "@tidemark/runtime";
import { processWorld } from "@tidemark/service";
import { startTelemetry } from "@tidemark/telemetry";
import { expect, test } from "vitest";
import { createEngine } from "../engine/engine.ts";
import { createRandomTree } from "../engine/random-tree.ts";
import { createSimProcess } from "../engine/sim-process.ts";
import { createNetwork } from "../network/network.ts";
import { readSource } from "../node/process.ts";
import { createDevice } from "../storage/sim-disk.ts";
import { simulatedWorld } from "./simulated-world.ts";

const runtime = createNodeRuntime();
const telemetry = await startTelemetry({
  service: "tidemark-broker",
  instanceId: "broker-1",
  runtime,
  environment: {},
  logLevel: "fatal",
  metricsListener: undefined,
  writeLog: () => undefined,
});
const shared = { telemetry, onFatal: () => undefined };

function worlds() {
  const engine = createEngine();
  const random = createRandomTree(1);
  const process = createSimProcess(engine, { name: "broker-1", random: random.stream("life"), wallStartMs: 0 });
  const network = createNetwork(engine, random.stream("network"), { delayMs: 1, jitterMs: 1 });
  const host = network.addHost("broker-1.sim");
  const device = createDevice(random.stream("device"));
  return {
    real: processWorld({ ...shared, runtime }),
    simulated: simulatedWorld({ ...shared, network, host, device, process }),
  };
}

test("a simulated process differs from a real one in clock, randomness, timers, disk and transport alone", () => {
  const { real, simulated } = worlds();
  expect(Object.keys(simulated).sort()).toEqual(Object.keys(real).sort());
  expect([simulated.telemetry, simulated.onFatal]).toEqual([real.telemetry, real.onFatal]);
  for (const part of ["runtime", "openDisk", "transport"] as const) expect(simulated[part]).not.toBe(real[part]);
  expect(Object.keys(simulated.runtime).sort()).toEqual(["clock", "random", "scheduler"]);
  expect(Object.keys(simulated.transport).sort()).toEqual(Object.keys(real.transport).sort());
  expect(
    Object.keys(simulated.openDisk())
      .filter((key) => key !== "plan")
      .sort(),
  ).toEqual(Object.keys(real.openDisk()).sort());
});

/** What a factory is called with: the names at the top of its argument, `...spread` among them. */
function argumentsOf(factory: string, source: string): readonly string[] {
  const start = source.lastIndexOf(`return ${factory}({`) + `return ${factory}({`.length;
  const names: string[] = [];
  let depth = 1;
  let name = "";
  for (let at = start; depth > 0 && at < source.length; at++) {
    const character = source.charAt(at);
    if ("({[".includes(character)) depth += 1;
    if (")}]".includes(character)) depth -= 1;
    if (depth === 1 && character !== "," && character !== "}") name += character;
    if ((depth === 1 && character === ",") || depth === 0) {
      names.push(name.trim().split(":")[0] ?? "");
      name = "";
    }
  }
  return names.filter((each) => each !== "");
}

test.for([
  ["broker", "startBroker", ["...given", "codecs", "bootId"], ["...world", "values", "codecs", "bootId", "experiment"]],
  ["gateway", "startGateway", ["...given", "codecs"], ["...world", "values", "codecs"]],
  ["controller", "startController", ["...common", "openBackend"], ["...common", "openBackend", "formattedAs"]],
] as const)("a %s is made by %s, here as in its program", async ([service, factory, inProgram, here]) => {
  const program = await readSource(`../../../../services/${service}/src/main.ts`);
  const simulator = await readSource("../cluster/roles.ts");
  expect(argumentsOf(factory, program)).toEqual(inProgram);
  expect(argumentsOf(factory, simulator)).toEqual(here);
});
