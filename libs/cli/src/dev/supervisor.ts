import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Child, Ending } from "./child.ts";
import type { ProcessEntry, ProcessState } from "./cluster-file.ts";
import { type ProcessSpec, processName } from "./layout.ts";
import { endpoint } from "./process-config.ts";

/** What became of a command to the supervisor, as a sentence for people, and whether it was carried out. */
export interface CommandResult {
  readonly ok: boolean;
  readonly message: string;
}

/**
 * Runs the processes of a cluster. Commands for one process are carried out one after the other.
 *
 * | command | stopped, failed | starting, ready          |
 * |---------|-----------------|--------------------------|
 * | start   | starts it       | says that it runs        |
 * | stop    | says so         | SIGTERM, in time SIGKILL |
 * | restart | starts it       | stop, then start         |
 *
 * A stop does not wait for a start that is under way: it ends it.
 */
export interface Supervisor {
  start(name: string): Promise<CommandResult>;
  stop(name: string): Promise<CommandResult>;
  restart(name: string): Promise<CommandResult>;
  /** Further processes, which do not run yet; those that are known stay as they are. */
  add(specs: readonly ProcessSpec[]): void;
  /** Stops everything, gateways first, controllers behind the brokers, etcd last. From then on every start is refused. */
  stopAll(): Promise<void>;
  entries(): readonly ProcessEntry[];
}

interface Slot {
  readonly name: string;
  readonly spec: ProcessSpec;
  state: ProcessState;
  child: Child | undefined;
  endpoints: Readonly<Record<string, string>>;
  cause: string | undefined;
  /** Resolves when the commands given so far are carried out. */
  commands: Promise<unknown>;
}

export interface SupervisorOptions {
  readonly specs: readonly ProcessSpec[];
  /** Folder for the logs of the processes. */
  readonly logs: string;
  /** Makes the process of a spec, with its log in a file. */
  launch(spec: ProcessSpec, logFile: string): Child;
  /** After each change of a state. */
  onChange(): void;
  /** A process that was ready ended by itself. */
  onFailed(name: string, cause: string): void;
  /** How long a process may take to stop before it is killed, in milliseconds. */
  readonly stopTimeoutMs: number;
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  mkdirSync(options.logs, { recursive: true });
  const slots = options.specs.map(emptySlot);
  let isClosing = false;

  function change(slot: Slot, state: ProcessState): void {
    slot.state = state;
    options.onChange();
  }

  async function launch(slot: Slot): Promise<CommandResult> {
    const { name } = slot;
    if (isClosing) return { ok: false, message: `${name} is not started: the cluster stops` };
    if (slot.child !== undefined) return { ok: true, message: `${name} runs already` };
    const child = options.launch(slot.spec, join(options.logs, `${name}.log`));
    slot.child = child;
    slot.cause = undefined;
    change(slot, "starting");
    const watched = child.ended.then((ending) => onEnded(slot, ending));
    const endpoints = await child.ready;
    if (endpoints === undefined) return { ok: false, message: `${name} did not start: ${(await watched).cause}` };
    // It may have been asked to stop meanwhile.
    if (slot.state !== "starting") return { ok: false, message: `${name} was stopped while it started` };
    slot.endpoints = endpoints;
    change(slot, "ready");
    return { ok: true, message: `${name} is ready` };
  }

  function onEnded(slot: Slot, ending: Ending): Ending {
    const { state } = slot;
    slot.child = undefined;
    if (state !== "stopping") slot.cause = ending.cause;
    change(slot, state === "stopping" ? "stopped" : "failed");
    if (state === "ready") options.onFailed(slot.name, ending.cause);
    return ending;
  }

  async function halt(slot: Slot): Promise<CommandResult> {
    const { child, name } = slot;
    if (child === undefined) return { ok: true, message: `${name} does not run` };
    change(slot, "stopping");
    child.signal("SIGTERM");
    // A process that is stopped takes no SIGTERM before it goes on.
    child.signal("SIGCONT");
    const timer = setTimeout(() => child.signal("SIGKILL"), options.stopTimeoutMs);
    const { clean, cause, signal } = await child.ended;
    clearTimeout(timer);
    if (signal === "SIGKILL") return { ok: true, message: `${name} took too long to stop and was killed` };
    return { ok: true, message: clean ? `${name} stopped` : `${name} stopped with ${cause}` };
  }

  /** Carries `command` out behind those that were given before for the same process. */
  function enqueue(name: string, command: (slot: Slot) => Promise<CommandResult>): Promise<CommandResult> {
    const slot = slots.find((each) => each.name === name);
    if (slot === undefined) {
      const known = slots.map((each) => each.name).join(", ");
      return Promise.resolve({ ok: false, message: `There is no ${name} here; there are ${known}.` });
    }
    const result = slot.commands.then(() => command(slot));
    slot.commands = result.catch(() => undefined);
    return result;
  }

  /** Stops it behind the commands that were given before; a start that is under way is ended instead of waited for. */
  function haltInTurn(name: string): Promise<CommandResult> {
    const starting = slots.find((slot) => slot.name === name && slot.state === "starting");
    return starting === undefined ? enqueue(name, halt) : halt(starting);
  }

  return {
    async start(name) {
      const slot = slots.find((each) => each.name === name);
      if (slot?.state === "starting" || slot?.state === "ready") return { ok: true, message: `${name} runs already` };
      return enqueue(name, launch);
    },
    stop: haltInTurn,
    async restart(name) {
      await haltInTurn(name);
      return enqueue(name, launch);
    },
    add(specs) {
      const isKnown = (spec: ProcessSpec) => slots.some(({ name }) => name === processName(spec));
      slots.push(...specs.filter((spec) => !isKnown(spec)).map(emptySlot));
      options.onChange();
    },
    async stopAll() {
      isClosing = true;
      for (const role of ["gateway", "broker", "controller", "etcd"] as const) {
        const ofRole = slots.filter((slot) => slot.spec.role === role);
        await Promise.all(ofRole.map((slot) => haltInTurn(slot.name)));
      }
    },
    entries: () => slots.map(entryOf),
  };
}

function emptySlot(spec: ProcessSpec): Slot {
  return {
    name: processName(spec),
    spec,
    state: "stopped",
    child: undefined,
    endpoints: Object.fromEntries(Object.keys(spec.ports).map((listener) => [listener, endpoint(spec, listener)])),
    cause: undefined,
    commands: Promise.resolve(),
  };
}

function entryOf({ spec, child, endpoints, state, cause }: Slot): ProcessEntry {
  return {
    role: spec.role,
    id: spec.id,
    ...(child?.pid === undefined ? {} : { pid: child.pid }),
    endpoints,
    state,
    ...(cause === undefined ? {} : { cause }),
  };
}
