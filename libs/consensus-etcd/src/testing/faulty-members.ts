/**
 * The way of one candidate to etcd, with faults: what a network and a scheduler do to a process, done on purpose and in an
 * order that tests choose.
 *
 * | state   | calls, messages and what comes back                                           |
 * |---------|-------------------------------------------------------------------------------|
 * | open    | pass                                                                          |
 * | stalled | wait, in order, until `resume` (SIGSTOP, SIGCONT)                             |
 * | cut     | get lost; `heal` resets the connections                                       |
 * | dead    | get lost for good (kill -9)                                                   |
 */
import { createDeferred, delay, type Scheduler } from "@tidemark/runtime";
import {
  EtcdError,
  type EtcdMembers,
  type EtcdStubs,
  type StreamHandlers,
  type TxnRequest,
  type WatchResponse,
} from "../stubs.ts";

export interface FaultyMembers extends EtcdMembers {
  stall(): void;
  resume(): void;
  cut(): void;
  heal(): void;
  kill(): void;
  /** Watches tell nothing but that they began. */
  holdWatch(): void;
  releaseWatch(): void;
  /** What is sent arrives, and answers to calls and renewals wait. */
  holdAnswers(): void;
  releaseAnswers(): void;
  /** The next write never arrives, and its sender is told that the answer was lost. */
  loseNextRequest(): void;
  /** The next write is carried out, and its answer lost. */
  loseNextAnswer(): void;
  /** The next write waits; its sender is told after a while that the answer was lost, or nothing. */
  delayNextRequest(sender: "deadline" | "silence"): { readonly arrived: Promise<TxnRequest> };
  /** Of the last lease that was granted. */
  lease(): string | undefined;
}

type NextWrite =
  | { readonly kind: "pass" | "loseRequest" | "loseAnswer" }
  | {
      readonly kind: "delay";
      readonly sender: "deadline" | "silence";
      readonly arrived: (request: TxnRequest) => void;
    };

interface State {
  mode: "open" | "stalled" | "cut" | "dead";
  next: NextWrite;
  lease: string | undefined;
  readonly held: (() => void)[];
  heldWatch: (() => void)[] | undefined;
  heldAnswers: (() => void)[] | undefined;
  /** What is told when a cut connection is reset. */
  readonly resets: Set<(error: EtcdError) => void>;
  readonly scheduler: Scheduler;
}

/** After so many milliseconds a sender whose request is stuck is told that there is no answer. */
const deadlineMs = 300;

export function createFaultyMembers(members: EtcdMembers, scheduler: Scheduler): FaultyMembers {
  const state: State = {
    mode: "open",
    next: { kind: "pass" },
    lease: undefined,
    held: [],
    heldWatch: undefined,
    heldAnswers: undefined,
    resets: new Set(),
    scheduler,
  };
  return {
    endpoints: members.endpoints,
    connect: (endpoint) => faultyStubs(state, members.connect(endpoint)),
    lease: () => state.lease,
    stall() {
      if (state.mode === "open") state.mode = "stalled";
    },
    resume() {
      if (state.mode !== "stalled") return;
      runAll(state.held);
      state.mode = "open";
    },
    cut() {
      state.mode = "cut";
    },
    heal() {
      if (state.mode !== "cut") return;
      state.mode = "open";
      const resets = [...state.resets];
      state.resets.clear();
      for (const reset of resets) reset(new EtcdError("LOST", "the connection was reset"));
    },
    kill() {
      state.mode = "dead";
      state.held.length = 0;
    },
    holdWatch() {
      state.heldWatch ??= [];
    },
    releaseWatch() {
      runAll(state.heldWatch ?? []);
      state.heldWatch = undefined;
    },
    holdAnswers() {
      state.heldAnswers ??= [];
    },
    releaseAnswers() {
      runAll(state.heldAnswers ?? []);
      state.heldAnswers = undefined;
    },
    loseNextRequest() {
      state.next = { kind: "loseRequest" };
    },
    loseNextAnswer() {
      state.next = { kind: "loseAnswer" };
    },
    delayNextRequest(sender) {
      const arrived = createDeferred<TxnRequest>();
      state.next = { kind: "delay", sender, arrived: arrived.resolve };
      return { arrived: arrived.promise };
    },
  };
}

function faultyStubs(state: State, real: EtcdStubs): EtcdStubs {
  return {
    range: (request) => carry(state, () => real.range(request)),
    txn: (request) => carry(state, () => sendTxn(state, real, request)),
    compact: (revision) => carry(state, () => real.compact(revision)),
    leaseGrant: (ttlSeconds) =>
      carry(state, async () => {
        const grant = await real.leaseGrant(ttlSeconds);
        state.lease = grant.id;
        return grant;
      }),
    leaseRevoke: (lease) => carry(state, () => real.leaseRevoke(lease)),
    leaseKeepAlive(lease, handlers) {
      const faulty = faultyHandlers(state, handlers, () => state.heldAnswers);
      const stream = real.leaseKeepAlive(lease, faulty.handlers);
      return {
        send: () => pass(state, () => stream.send()),
        close: () => {
          faulty.close();
          stream.close();
        },
      };
    },
    watch(request, handlers) {
      const faulty = faultyHandlers(state, handlers, (message: WatchResponse) =>
        message.created ? undefined : state.heldWatch,
      );
      const stream = real.watch(request, faulty.handlers);
      return {
        requestProgress: () => pass(state, () => stream.requestProgress()),
        close: () => {
          faulty.close();
          stream.close();
        },
      };
    },
    close: () => real.close(),
  };
}

/** Runs `step` now, later or never, as the state wants it. */
function pass(state: State, step: () => void): void {
  if (state.mode === "open") step();
  else if (state.mode === "stalled") state.held.push(step);
}

/** In order, with what they add. */
function runAll(steps: (() => void)[]): void {
  for (let step = steps.shift(); step !== undefined; step = steps.shift()) step();
}

/** A call and its answer, each held back or lost as the state wants it at that time. */
function carry<Answer>(state: State, call: () => Promise<Answer>): Promise<Answer> {
  const answer = createDeferred<Answer>();
  state.resets.add(answer.reject);
  const settle = (tell: () => void) => {
    const deliver = () =>
      pass(state, () => {
        state.resets.delete(answer.reject);
        tell();
      });
    if (state.heldAnswers === undefined) deliver();
    else state.heldAnswers.push(deliver);
  };
  pass(state, () => {
    call().then(
      (value) => settle(() => answer.resolve(value)),
      (error: unknown) => settle(() => answer.reject(error instanceof Error ? error : new Error("Not an error"))),
    );
  });
  return answer.promise;
}

function sendTxn(state: State, real: EtcdStubs, request: TxnRequest) {
  const { next } = state;
  if (!request.success.some(({ kind }) => kind !== "range")) return real.txn(request);
  state.next = { kind: "pass" };
  switch (next.kind) {
    case "pass":
      return real.txn(request);
    case "loseRequest":
      return Promise.reject(new EtcdError("LOST", "the request was lost"));
    case "loseAnswer":
      return real.txn(request).then(() => {
        throw new EtcdError("LOST", "the answer was lost");
      });
    case "delay":
      next.arrived(request);
      if (next.sender === "silence") return new Promise<never>(() => {});
      return delay(state.scheduler, deadlineMs).then(() => {
        throw new EtcdError("LOST", "the answer did not come");
      });
  }
}

function faultyHandlers<Message>(
  state: State,
  handlers: StreamHandlers<Message>,
  /** Where a message waits for now. */
  heldIn: (message: Message) => (() => void)[] | undefined,
): { readonly handlers: StreamHandlers<Message>; close(): void } {
  let isOver = false;
  const end = (error: EtcdError) => {
    if (isOver) return;
    isOver = true;
    state.resets.delete(end);
    handlers.onEnd(error);
  };
  const tell = (message: Message) =>
    pass(state, () => {
      if (!isOver) handlers.onMessage(message);
    });
  state.resets.add(end);
  return {
    handlers: {
      onMessage(message) {
        const held = heldIn(message);
        if (held === undefined) tell(message);
        else held.push(() => tell(message));
      },
      onEnd: (error) => pass(state, () => end(error)),
    },
    close() {
      isOver = true;
      state.resets.delete(end);
    },
  };
}
