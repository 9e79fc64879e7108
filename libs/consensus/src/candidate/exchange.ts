import type { Revision } from "@tidemark/ids";
import { LinkLostError, type StoreAnswer, type StoreRequest, type StoreSession } from "../store/store-link.ts";
import type { CandidateContext } from "./context.ts";

/** A store's answer, or `lost`: the request may have been carried out, or may be later. */
export type Answer = StoreAnswer | { readonly kind: "lost" };

export async function send(session: StoreSession, request: StoreRequest): Promise<Answer> {
  return unlessLost(session.request(request), () => ({ kind: "lost" }));
}

/**
 * Waits until this candidate's copy of the tree holds all that was committed before the call. False when the session
 * was lost over it, or the candidate closed.
 */
export async function catchUp(session: StoreSession, context: CandidateContext): Promise<boolean> {
  const { connection, hub, signal } = context;
  const isCurrent = () => connection.current() === session && !signal.aborted;
  while (isCurrent()) {
    const revision = await readRevision(session);
    if (revision === undefined) continue;
    const reached = new AbortController();
    try {
      // A session that is lost meanwhile tells nothing more.
      await Promise.race([
        hub.reached(revision, AbortSignal.any([signal, reached.signal])),
        connection.gone(session, reached.signal),
      ]);
    } catch (error) {
      if (isCurrent()) throw error;
    } finally {
      reached.abort();
    }
    return isCurrent();
  }
  return false;
}

/** The revision of the newest batch that was committed before the call. Undefined where the answer was lost. */
export async function readRevision(session: StoreSession): Promise<Revision | undefined> {
  return unlessLost(session.read(), () => undefined);
}

async function unlessLost<Value, Lost>(answer: Promise<Value>, lost: () => Lost): Promise<Value | Lost> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof LinkLostError) return lost();
    throw error;
  }
}
