import type { Stage } from "./stage.ts";

/** A chain of faults that aims at one weakness. The numbers in what is said of it are those of the failure cases. */
export type Scenario = (stage: Stage) => Promise<void>;
