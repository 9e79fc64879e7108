import { expect } from "vitest";
import type { Tools } from "./tools.ts";

/**
 * Leases that stand begin anew by what `happens`, which resolves with the tools for behind it: one that had little of its
 * time left outlasts one that is granted then, and that ends later than the first would have.
 */
export async function leasesBeginAnew(before: Tools, happens: () => Promise<Tools>): Promise<void> {
  const least = before.ttlSecondsMin;
  // The longer it lasts the longer may a slow machine take behind what happens.
  const witnessSeconds = least + 4;
  const witness = await before.settled(before.stubs.leaseGrant(witnessSeconds));
  const kept = await before.settled(before.stubs.leaseGrant(witnessSeconds + least));
  await before.put("witness", "1", witness.id);
  const { revision } = await before.put("kept", "1", kept.id);
  const watch = before.watch({ startRevision: revision + 1n });
  await before.until(() => watch.events().length === 1, "the witness ends, so that little is left of the other");
  const behind = await happens();
  const later = await behind.settled(behind.stubs.leaseGrant(least));
  await behind.put("later", "1", later.id);
  const all = behind.watch({ startRevision: revision + 1n });
  await behind.until(() => all.events().length === 3, "one of them ends");
  expect(all.events().map(({ kind, key }) => [kind, key])).toEqual([
    ["delete", before.key("witness")],
    ["put", before.key("later")],
    ["delete", before.key("later")],
  ]);
  expect(await behind.names()).toEqual(["kept"]);
  watch.stream.close();
  all.stream.close();
}
