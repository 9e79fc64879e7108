/** A part of the workload, from its start to its end. */
export interface Task {
  readonly name: string;
  /** Resolves when it has ended after `stop`. Rejects when it could not go on. */
  readonly ended: Promise<void>;
  readonly stop: () => void;
  /** For the report of a run that does not end. */
  waitsFor(): string;
}
