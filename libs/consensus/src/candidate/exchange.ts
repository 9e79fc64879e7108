import type { Revision } from "@tidemark/ids";
import { abortWith } from "@tidemark/runtime";
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
  const { connection, signal } = context;
  while (connection.current() === session && !signal.aborted) {
    const revision = await readRevision(session);
    if (revision !== undefined) return told(session, revision, context);
  }
  return false;
}

/**
 * Waits until this candidate's watches were given everything up to the revision. False when the session was lost over
 * it, which then tells nothing more, or the candidate closed.
 */
export async function told(
  session: StoreSession,
  revision: Revision,
  { connection, hub, signal }: Pick<CandidateContext, "connection" | "hub" | "signal">,
): Promise<boolean> {
  const isCurrent = () => connection.current() === session && !signal.aborted;
  const reached = new AbortController();
  const unbind = abortWith(reached, signal);
  try {
    await Promise.race([hub.reached(revision, reached.signal), connection.gone(session, reached.signal)]);
  } catch (error) {
    if (isCurrent()) throw error;
  } finally {
    unbind();
    reached.abort();
  }
  return isCurrent();
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
