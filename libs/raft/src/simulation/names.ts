import { directoryId } from "@tidemark/ids";
import type { NodeId } from "../ids.ts";

/** The id of the `number`th disk of a run. */
export function directoryIdOf(number: number): NodeId {
  return directoryId(`00000000-0000-4000-8000-${String(number).padStart(12, "0")}`);
}
