import type { DiskErrorCode, DiskOperation } from "@tidemark/disk";
import { below, pick } from "@tidemark/runtime";
import { logDirectories } from "../cluster/roles.ts";
import { type FaultEnd, type FaultWorld, lengthMs } from "./fault-kinds.ts";

type Kind = DiskOperation["kind"];

/** How one log directory of a broker stops to do what it should. */
const manners: readonly { readonly text: string; readonly code: DiskErrorCode; readonly kinds: readonly Kind[] }[] = [
  { text: "flushes nothing", code: "IO", kinds: ["sync", "syncDirectory"] },
  { text: "takes no bytes", code: "IO", kinds: ["write"] },
  { text: "gives no bytes", code: "IO", kinds: ["read"] },
  {
    text: "may only be read",
    code: "DENIED",
    kinds: ["create", "makeDirectory", "rename", "remove", "write", "truncate"],
  },
];

const everything: readonly Kind[] = [
  "open",
  "create",
  "makeDirectory",
  "list",
  "rename",
  "remove",
  "syncDirectory",
  "lock",
  "size",
  "read",
  "write",
  "truncate",
  "sync",
];

/** Somebody mends the directory, and starts the broker anew: it does not take one back that failed. */
function failWith(
  { random, cluster }: FaultWorld,
  how: { readonly text: string; readonly code: DiskErrorCode; readonly kinds: readonly Kind[] },
  isAtStart: boolean,
): FaultEnd | undefined {
  const node = pick(random, cluster.brokers);
  if (node?.process === undefined || node.device.faults.failing !== undefined) return undefined;
  const directories = String(node.identity.settings["log.dirs"] ?? logDirectories(1)).split(",");
  const directory = pick(random, directories) ?? "";
  const { faults } = node.device;
  faults.failing = { directory, code: how.code, refuses: (kind) => how.kinds.includes(kind) };
  const startAnew = () => {
    node.kill();
    node.boot();
  };
  if (isAtStart) startAnew();
  const end = () => {
    faults.failing = undefined;
    startAnew();
  };
  return { text: `${directory} of ${node.name} ${how.text}`, lastsMs: lengthMs(random, 200, 15_000), end };
}

/** A broker comes back with indexes and snapshots that are empty, zeros or cut: it makes them anew from its logs (case 5). */
function harmDerived({ random, cluster }: FaultWorld): FaultEnd | undefined {
  const node = pick(random, cluster.brokers);
  if (node?.process === undefined) return undefined;
  if (random.next() < 0.5) node.kill();
  else node.losePower();
  const harmed = Array.from({ length: 1 + below(random, 6) }, () => node.device.harmDerived());
  const text = `kill ${node.name} and harm ${harmed.filter((path) => path !== undefined).length} indexes and snapshots`;
  return { text, lastsMs: lengthMs(random, 20, 2000), end: () => node.boot() };
}

/** What befalls single log directories, and files in them. */
export const directoryFaultKinds = {
  harmDerived,
  failDirectory: (world: FaultWorld) => {
    const how = pick(world.random, manners);
    return how && failWith(world, how, world.random.next() < 0.2);
  },
  unmountDirectory: (world: FaultWorld) =>
    failWith(world, { text: "is not mounted", code: "IO", kinds: everything }, true),
} as const;
