/**
 * A link with faults: what a network and a scheduler do to a process, done on purpose and in an order that tests choose.
 *
 * | state   | calls and what comes back                                                   |
 * |---------|-----------------------------------------------------------------------------|
 * | open    | pass                                                                        |
 * | stalled | wait, in order, until `resume` (SIGSTOP, SIGCONT)                           |
 * | cut     | get lost: the caller hears nothing until the link notices                   |
 * | dead    | get lost, and the caller hears nothing ever (kill -9)                       |
 */
import type { Revision } from "@tidemark/ids";
import { createDeferred } from "@tidemark/runtime";
import { detached } from "../detached.ts";
import { createSignal } from "../signal.ts";
import {
  LinkLostError,
  type SessionHandlers,
  type StoreAnswer,
  type StoreLink,
  type StoreRequest,
  type StoreSession,
} from "../store/store-link.ts";

export interface FaultyLink extends StoreLink {
  stall(): void;
  resume(): void;
  cut(): void;
  /** The candidate notices that it is cut off: what it waits for is lost, and its session with it. */
  noticeCut(): void;
  heal(): void;
  kill(): void;
  /** The store notices that owners are gone: keys of sessions that are stalled, cut off or dead vanish. */
  expireSessions(): Promise<void>;
  /** Writes to the store over this candidate's session, behind its back. */
  plant(key: string, value: Uint8Array, options: { readonly ephemeral: boolean }): Promise<void>;
  /** What the store tells unasked waits, in order, while calls are answered. */
  holdFeed(): void;
  releaseFeed(): void;
  /** The next request never arrives, and its sender is told that the answer was lost. */
  loseNextRequest(): void;
  /** The next request is carried out, and its answer lost. */
  loseNextAnswer(): void;
  /** The next request waits at the store's door; its sender gives up waiting for the answer, or waits for good. */
  delayNextRequest(sender: "deadline" | "silence"): DelayedRequest;
}

export interface DelayedRequest {
  /** Resolves when the request stands at the door. */
  readonly arrived: Promise<void>;
  /** Lets it in, however late. Resolves with what the store answers to nobody. */
  deliver(): Promise<StoreAnswer>;
}

type NextRequest =
  | { readonly kind: "pass" | "loseRequest" | "loseAnswer" }
  | {
      readonly kind: "delay";
      readonly sender: "deadline" | "silence";
      readonly arrived: (send: () => Promise<StoreAnswer>) => void;
    };

interface LinkState {
  mode: "open" | "stalled" | "cut" | "dead";
  next: NextRequest;
  /** What waits while the link is stalled. */
  readonly held: (() => void)[];
  /** What waits while the feed is held. Undefined: it is not. */
  heldFeed: (() => void)[] | undefined;
  /** What has to be told when a cut is noticed. */
  readonly pending: Set<(error: LinkLostError) => void>;
  current: LinkSession | undefined;
  /** Those that the store has not ended. */
  readonly sessions: Map<LinkSession, StoreSession>;
}

interface LinkSession {
  /** The candidate was told that it is lost: nothing more reaches it. */
  lost: boolean;
  readonly onLost: (cause: string) => void;
}

export function createFaultyLink(link: StoreLink): FaultyLink {
  const state: LinkState = {
    mode: "open",
    next: { kind: "pass" },
    held: [],
    heldFeed: undefined,
    pending: new Set(),
    current: undefined,
    sessions: new Map(),
  };
  const healed = createSignal();

  return {
    async connect(from, handlers, signal) {
      while (state.mode !== "open") {
        await healed.next(signal);
        signal.throwIfAborted();
      }
      return openSession(state, link, { from, handlers, signal });
    },
    stall() {
      if (state.mode === "open") state.mode = "stalled";
    },
    resume() {
      if (state.mode !== "stalled") return;
      runAll(state.held);
      state.mode = "open";
      healed.notify();
    },
    cut() {
      state.mode = "cut";
    },
    noticeCut: () => noticeCut(state),
    heal() {
      if (state.mode !== "cut") return;
      noticeCut(state);
      state.mode = "open";
      healed.notify();
    },
    kill() {
      state.mode = "dead";
      state.held.length = 0;
      state.pending.clear();
    },
    async expireSessions() {
      const gone = [...state.sessions].filter(([session]) => state.mode !== "open" || session.lost);
      for (const [session, real] of gone) {
        state.sessions.delete(session);
        await real.close();
        pass(state, () => lose(state, session, "the session expired"));
      }
    },
    async plant(key, value, { ephemeral }) {
      const real = state.current === undefined ? undefined : state.sessions.get(state.current);
      await real?.request({ guards: [], batches: [[{ kind: "put", key, value, ephemeral }]] });
    },
    ...nextFaults(state),
  };
}

/** The faults of single messages. */
function nextFaults(
  state: LinkState,
): Pick<FaultyLink, "holdFeed" | "releaseFeed" | "loseNextRequest" | "loseNextAnswer" | "delayNextRequest"> {
  return {
    holdFeed() {
      state.heldFeed ??= [];
    },
    releaseFeed() {
      runAll(state.heldFeed ?? []);
      state.heldFeed = undefined;
    },
    loseNextRequest() {
      state.next = { kind: "loseRequest" };
    },
    loseNextAnswer() {
      state.next = { kind: "loseAnswer" };
    },
    delayNextRequest(sender) {
      const arrived = createDeferred<() => Promise<StoreAnswer>>();
      state.next = { kind: "delay", sender, arrived: arrived.resolve };
      return { arrived: arrived.promise.then(() => {}), deliver: async () => (await arrived.promise)() };
    },
  };
}

/** Runs `step` now, later or never, as the link's state wants it. */
function pass(state: LinkState, step: () => void): void {
  if (state.mode === "open") step();
  else if (state.mode === "stalled") state.held.push(step);
}

/** In order, with what they add. */
function runAll(steps: (() => void)[]): void {
  for (let step = steps.shift(); step !== undefined; step = steps.shift()) step();
}

async function openSession(
  state: LinkState,
  link: StoreLink,
  options: { readonly from: Revision | undefined; readonly handlers: SessionHandlers; readonly signal: AbortSignal },
): Promise<StoreSession> {
  const { from, handlers, signal } = options;
  const session: LinkSession = { lost: false, onLost: handlers.onLost };
  const tell = (step: () => void) =>
    pass(state, () => {
      if (!session.lost) step();
    });
  const real = await link.connect(
    from,
    {
      onFeed: (feed) => {
        if (state.heldFeed === undefined) tell(() => handlers.onFeed(feed));
        else state.heldFeed.push(() => tell(() => handlers.onFeed(feed)));
      },
      onLost: (cause) => tell(() => handlers.onLost(cause)),
      onFailed: (message) => tell(() => handlers.onFailed(message)),
    },
    signal,
  );
  state.current = session;
  state.sessions.set(session, real);
  return {
    batchesMax: real.batchesMax,
    request: (request) => carry(state, () => sendRequest(state, real, request)),
    read: () => carry(state, () => real.read()),
    async close() {
      noticeCut(state);
      if (state.mode === "dead" || session.lost) return;
      state.sessions.delete(session);
      await real.close();
    },
  };
}

function sendRequest(state: LinkState, real: StoreSession, request: StoreRequest): Promise<StoreAnswer> {
  const { next } = state;
  state.next = { kind: "pass" };
  switch (next.kind) {
    case "pass":
      return real.request(request);
    case "loseRequest":
      return Promise.reject(new LinkLostError("the request was lost"));
    case "loseAnswer":
      return real.request(request).then(() => {
        throw new LinkLostError("the answer was lost");
      });
    case "delay":
      next.arrived(() => real.request(request));
      if (next.sender === "silence") return new Promise<never>(() => {});
      return Promise.reject(new LinkLostError("the answer did not come"));
  }
}

/** A call and its answer, each held back or lost as the link's state wants it at that time. */
function carry<Value>(state: LinkState, call: () => Promise<Value>): Promise<Value> {
  const answer = createDeferred<Value>();
  const reject = (error: LinkLostError) => answer.reject(error);
  state.pending.add(reject);
  const settle = (tell: () => void) =>
    pass(state, () => {
      state.pending.delete(reject);
      tell();
    });
  pass(state, () => {
    detached(
      call().then(
        (value) => settle(() => answer.resolve(value)),
        (error: unknown) => settle(() => answer.reject(error instanceof Error ? error : new Error("Not an error"))),
      ),
    );
  });
  return answer.promise;
}

function noticeCut(state: LinkState): void {
  if (state.mode === "cut" && state.current !== undefined) lose(state, state.current, "the connection was cut");
}

function lose(state: LinkState, session: LinkSession, cause: string): void {
  if (session.lost) return;
  session.lost = true;
  session.onLost(cause);
  for (const reject of [...state.pending]) reject(new LinkLostError(cause));
  state.pending.clear();
}
