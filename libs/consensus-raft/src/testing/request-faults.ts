/**
 * What can happen to the requests of one candidate between it and its node, and to what the node tells it. The twin of
 * the faults that other backends have on their connections.
 */
import {
  LinkLostError,
  type StoreAnswer,
  type StoreLink,
  type StoreRequest,
  type StoreSession,
} from "@tidemark/consensus";
import { createDeferred, type Scheduler } from "@tidemark/runtime";
import type { ProcessGate } from "./process-gate.ts";

export interface RequestFaults {
  wrap(link: StoreLink): StoreLink;
  holdFeed(): void;
  releaseFeed(): void;
  loseNextRequest(): void;
  loseNextAnswer(): void;
  /** `deliver` brings a request in, whoever sent it. */
  delayNext(
    sender: "deadline" | "silence",
    deliver: (request: StoreRequest) => Promise<StoreAnswer>,
  ): { readonly sent: Promise<void>; arrive(): Promise<void> };
}

type Next =
  | { readonly kind: "pass" | "loseRequest" | "loseAnswer" }
  | {
      readonly kind: "delay";
      readonly sender: "deadline" | "silence";
      readonly sent: (request: StoreRequest) => void;
    };

/** How long a sender waits for an answer, in milliseconds: longer than a node waits for a candidate that is stuck. */
const deadlineMs = 1_500;

interface State {
  readonly gate: ProcessGate;
  readonly scheduler: Scheduler;
  next: Next;
  /** Undefined: the feed is not held. */
  held: (() => void)[] | undefined;
}

/** `scheduler`: of the process. */
export function createRequestFaults(gate: ProcessGate, scheduler: Scheduler): RequestFaults {
  const state: State = { gate, scheduler, next: { kind: "pass" }, held: undefined };
  return {
    wrap: (link) => faultyLink(state, link),
    holdFeed() {
      state.held ??= [];
    },
    releaseFeed() {
      const held = state.held ?? [];
      for (let step = held.shift(); step !== undefined; step = held.shift()) step();
      state.held = undefined;
    },
    loseNextRequest() {
      state.next = { kind: "loseRequest" };
    },
    loseNextAnswer() {
      state.next = { kind: "loseAnswer" };
    },
    delayNext(sender, deliver) {
      const request = createDeferred<StoreRequest>();
      state.next = { kind: "delay", sender, sent: request.resolve };
      return {
        sent: request.promise.then(() => {}),
        async arrive() {
          await deliver(await request.promise);
        },
      };
    },
  };
}

function faultyLink(state: State, link: StoreLink): StoreLink {
  return {
    async connect(from, handlers, signal) {
      let isLost = false;
      const tell = (step: () => void) => {
        if (!isLost) step();
      };
      const session = await link.connect(
        from,
        {
          ...handlers,
          onFeed(feed) {
            if (state.held === undefined) handlers.onFeed(feed);
            else state.held.push(() => tell(() => handlers.onFeed(feed)));
          },
          onLost(cause) {
            isLost = true;
            handlers.onLost(cause);
          },
        },
        signal,
      );
      return faultySession(state, session);
    },
  };
}

function faultySession(state: State, session: StoreSession): StoreSession {
  return {
    batchesMax: session.batchesMax,
    request: (request) => awake(state.gate, () => sendRequest(state, session, request)),
    read: () => awake(state.gate, () => session.read()),
    close: () => session.close(),
  };
}

/** A call of a process that may be standing still. */
function awake<Value>(gate: ProcessGate, call: () => Promise<Value>): Promise<Value> {
  const answer = createDeferred<Value>();
  gate.act(() => {
    call().then(
      (value) => gate.act(() => answer.resolve(value)),
      (error: unknown) => gate.act(() => answer.reject(error instanceof Error ? error : new Error("Not an error"))),
    );
  });
  return answer.promise;
}

function sendRequest(state: State, session: StoreSession, request: StoreRequest): Promise<StoreAnswer> {
  const { next } = state;
  state.next = { kind: "pass" };
  switch (next.kind) {
    case "pass":
      return session.request(request);
    case "loseRequest":
      return Promise.reject(new LinkLostError("the request was lost"));
    case "loseAnswer":
      return session.request(request).then(() => {
        throw new LinkLostError("the answer was lost");
      });
    case "delay":
      next.sent(request);
      return next.sender === "silence" ? new Promise<never>(() => {}) : loseLater(state.scheduler);
  }
}

function loseLater(scheduler: Scheduler): Promise<never> {
  return new Promise((_resolve, reject) => {
    scheduler.after(deadlineMs, () => reject(new LinkLostError("the answer did not come")));
  });
}
