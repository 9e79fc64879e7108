/** Every key under a prefix, as of one revision. */
import type { Revision } from "@tidemark/ids";
import { revision as toRevision } from "@tidemark/ids";
import type { Calls } from "./calls.ts";
import { EtcdError, type EtcdKeyValue, type EtcdRange, type RangeResponse } from "./stubs.ts";

/** Keys of one page, to begin with. */
const pageKeys = 500;

export interface Listing {
  readonly revision: Revision;
  readonly entries: readonly EtcdKeyValue[];
  readonly pages: number;
}

/**
 * Reads page by page at the first page's revision, so that the whole is one state. Begins anew where that revision was
 * compacted meanwhile, and with smaller pages where one is larger than a message may be. Rejects as `patiently` does.
 */
export async function listAll(calls: Calls, range: Required<EtcdRange>, signal: AbortSignal): Promise<Listing> {
  let limit = pageKeys;
  for (;;) {
    try {
      return await listOnce(calls, range, { limit, signal });
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      if (error.code === "MESSAGE_TOO_LARGE" && limit > 1) limit = Math.ceil(limit / 8);
      else if (error.code !== "COMPACTED") throw error;
    }
  }
}

async function listOnce(
  calls: Calls,
  range: Required<EtcdRange>,
  { limit, signal }: { readonly limit: number; readonly signal: AbortSignal },
): Promise<Listing> {
  const entries: EtcdKeyValue[] = [];
  let page: RangeResponse = await calls.patiently((stubs) => stubs.range({ ...range, limit }), signal);
  const { revision } = page;
  let pages = 1;
  entries.push(...page.entries);
  for (let last = entries.at(-1); page.more && last !== undefined; last = entries.at(-1)) {
    const rest = { key: `${last.key}\0`, rangeEnd: range.rangeEnd, limit, revision };
    page = await calls.patiently((stubs) => stubs.range(rest), signal);
    entries.push(...page.entries);
    pages += 1;
  }
  return { revision: toRevision(revision), entries, pages };
}
