/**
 * What happens to a process: its messages, its timers and its calls pass, wait or get lost.
 *
 * | mode    | messages          | timers and calls                      |
 * |---------|-------------------|---------------------------------------|
 * | open    | pass              | run                                   |
 * | stalled | wait, both ways   | wait (SIGSTOP)                        |
 * | cut     | get lost          | run                                   |
 * | dead    | get lost          | never run again (kill -9)             |
 */
import { LinkLostError } from "@tidemark/consensus";
import { createDeferred, type Runtime, type Scheduler } from "@tidemark/runtime";
import type { SubmitAnswer, Transport, TransportHandlers } from "../node/transport.ts";

export type ProcessMode = "open" | "stalled" | "cut" | "dead";

export interface ProcessGate {
  readonly mode: () => ProcessMode;
  readonly set: (mode: ProcessMode) => void;
  /** Runs `step` of the process itself: now, when it goes on, or never. */
  readonly act: (step: () => void) => void;
  /** Lets a message pass: now, when the process goes on, or never. */
  readonly pass: (message: () => void) => void;
}

export function createProcessGate(): ProcessGate {
  let mode: ProcessMode = "open";
  let held: (() => void)[] = [];
  return {
    mode: () => mode,
    set(next) {
      if (mode === "dead") return;
      mode = next;
      if (mode === "stalled") return;
      const waiting = held;
      held = [];
      if (mode !== "dead") for (const step of waiting) step();
    },
    act(step) {
      if (mode === "stalled") held.push(step);
      else if (mode !== "dead") step();
    },
    pass(message) {
      if (mode === "stalled") held.push(message);
      else if (mode === "open") message();
    },
  };
}

/** The world as a process sees it through its gate. */
export function gatedRuntime(runtime: Runtime, gate: ProcessGate): Runtime {
  const real = runtime.scheduler;
  const cancellable = (begin: (run: () => void) => () => void) => (task: () => void) => {
    let cancelled = false;
    const cancel = begin(() =>
      gate.act(() => {
        if (!cancelled) task();
      }),
    );
    return () => {
      cancelled = true;
      cancel();
    };
  };
  const scheduler: Scheduler = {
    after: (delayMs, task) => cancellable((run) => real.after(delayMs, run))(task),
    afterInput: (task) => cancellable((run) => real.afterInput(run))(task),
  };
  return { ...runtime, scheduler };
}

/** How long a process waits for the answer to what it sent on, in milliseconds. */
const answerMs = 1_500;

export function gatedTransport(transport: Transport, gate: ProcessGate, runtime: Runtime): Transport {
  return {
    start: (handlers) => transport.start(gatedHandlers(handlers, gate)),
    send: (to, message) => gate.pass(() => transport.send(to, message)),
    submit(to, command, signal) {
      const answer = createDeferred<SubmitAnswer>();
      const lose = () => gate.act(() => answer.reject(new LinkLostError("no answer came")));
      const cancel = runtime.scheduler.after(answerMs, lose);
      signal.addEventListener("abort", lose, { once: true });
      gate.pass(() => {
        transport.submit(to, command, signal).then(
          (value) => gate.pass(() => answer.resolve(value)),
          () => gate.pass(lose),
        );
      });
      return answer.promise.finally(() => {
        cancel();
        signal.removeEventListener("abort", lose);
      });
    },
    close: () => transport.close(),
  };
}

function gatedHandlers(handlers: TransportHandlers, gate: ProcessGate): TransportHandlers {
  return {
    ...handlers,
    onMessage: (message) => gate.pass(() => handlers.onMessage(message)),
    onSubmit(command) {
      const answer = createDeferred<SubmitAnswer>();
      gate.pass(() => {
        handlers.onSubmit(command).then(
          (value) => gate.pass(() => answer.resolve(value)),
          (error: unknown) =>
            gate.pass(() => answer.reject(error instanceof Error ? error : new Error("Not an error"))),
        );
      });
      return answer.promise;
    },
    onRefused: (peer) => gate.pass(() => handlers.onRefused(peer)),
    onUnreachable: (peer) => gate.pass(() => handlers.onUnreachable(peer)),
  };
}
