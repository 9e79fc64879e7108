import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Child, startChild } from "./child.ts";
import type { ProcessEntry, ProcessState } from "./cluster-file.ts";
import { type ProcessSpec, processName } from "./layout.ts";

/** What became of a command to the supervisor, as a sentence for people, and whether it was carried out. */
export interface CommandResult {
  readonly ok: boolean;
  readonly message: string;
}

/**
 * Runs the processes of a cluster.
 *
 * | command | stopped, failed | starting, ready         | stopping         |
 * |---------|-----------------|-------------------------|------------------|
 * | start   | starts it       | says that it runs       | waits, starts it |
 * | stop    | says so         | SIGTERM, in time SIGKILL | waits           |
 * | restart | starts it       | stop, then start        | waits, starts it |
 */
export interface Supervisor {
  start(name: string): Promise<CommandResult>;
  stop(name: string): Promise<CommandResult>;
  restart(name: string): Promise<CommandResult>;
  /** Stops everything, gateways first and controllers last. */
  stopAll(): Promise<void>;
  entries(): readonly ProcessEntry[];
}

interface Slot {
  readonly spec: ProcessSpec;
  state: ProcessState;
  child?: Child;
  endpoints: Readonly<Record<string, string>>;
  cause?: string;
}

export interface SupervisorOptions {
  readonly specs: readonly ProcessSpec[];
  /** Folder for the logs of the processes. */
  readonly logs: string;
  /** Program and arguments of a process. */
  command(spec: ProcessSpec): readonly string[];
  /** After each change of a state. */
  onChange(): void;
  /** A process ended by itself. */
  onFailed(name: string, cause: string): void;
  /** How long a process may take to stop before it is killed, in milliseconds. */
  readonly stopTimeoutMs: number;
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  mkdirSync(options.logs, { recursive: true });
  const slots = new Map<string, Slot>(
    options.specs.map((spec) => [processName(spec), { spec, state: "stopped", endpoints: {} }]),
  );

  function find(name: string): Slot | CommandResult {
    const known = [...slots.keys()].join(", ");
    return slots.get(name) ?? { ok: false, message: `There is no ${name} here; there are ${known}.` };
  }

  function change(slot: Slot, state: ProcessState): void {
    slot.state = state;
    options.onChange();
  }

  async function launch(name: string, slot: Slot): Promise<CommandResult> {
    const child = startChild(options.command(slot.spec), join(options.logs, `${name}.log`));
    slot.child = child;
    delete slot.cause;
    change(slot, "starting");
    const watched = child.ended.then((cause) => {
      const asked = slot.state === "stopping";
      const wasReady = slot.state === "ready";
      delete slot.child;
      if (!asked) slot.cause = cause;
      change(slot, asked ? "stopped" : "failed");
      if (wasReady) options.onFailed(name, cause);
      return cause;
    });
    const endpoints = await child.ready;
    if (endpoints === undefined) {
      const message = `${name} did not start: ${await watched}`;
      return { ok: false, message };
    }
    slot.endpoints = endpoints;
    change(slot, "ready");
    return { ok: true, message: `${name} is ready` };
  }

  async function halt(name: string, slot: Slot): Promise<CommandResult> {
    const { child } = slot;
    if (child === undefined) return { ok: true, message: `${name} does not run` };
    change(slot, "stopping");
    child.signal("SIGTERM");
    // A stopped process takes no SIGTERM before it goes on.
    child.signal("SIGCONT");
    const timer = setTimeout(() => child.signal("SIGKILL"), options.stopTimeoutMs);
    const cause = await child.ended;
    clearTimeout(timer);
    const killed = cause.includes("SIGKILL");
    return { ok: true, message: killed ? `${name} took too long to stop and was killed` : `${name} stopped` };
  }

  const supervisor: Supervisor = {
    async start(name) {
      const slot = find(name);
      if ("ok" in slot) return slot;
      if (slot.state === "starting" || slot.state === "ready") return { ok: true, message: `${name} runs already` };
      await slot.child?.ended;
      return launch(name, slot);
    },
    async stop(name) {
      const slot = find(name);
      return "ok" in slot ? slot : halt(name, slot);
    },
    async restart(name) {
      const slot = find(name);
      if ("ok" in slot) return slot;
      await halt(name, slot);
      return launch(name, slot);
    },
    async stopAll() {
      for (const role of ["gateway", "broker", "controller"] as const) {
        const ofRole = [...slots].filter(([, slot]) => slot.spec.role === role);
        await Promise.all(ofRole.map(([name, slot]) => halt(name, slot)));
      }
    },
    entries: () =>
      [...slots.values()].map((slot) => ({
        role: slot.spec.role,
        id: slot.spec.id,
        ...(slot.child === undefined ? {} : { pid: slot.child.pid }),
        endpoints: slot.endpoints,
        state: slot.state,
        ...(slot.cause === undefined ? {} : { cause: slot.cause }),
      })),
  };
  return supervisor;
}
