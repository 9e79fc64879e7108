/** Lets a task go on by itself. One that rejects all the same is a broken invariant, and fatal to the process. */
export function detached(task: Promise<void>): void {
  task.catch((error: unknown) => {
    throw new Error("Broken invariant: a detached task does not reject", { cause: error });
  });
}
