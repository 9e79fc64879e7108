/** What a command needs of the process that it runs in: the real one, or a test's. */
export interface Io {
  readonly env: NodeJS.ProcessEnv;
  /** Absolute. */
  readonly workingDirectory: string;
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** Aborted by Ctrl-C, and when the reader of standard output goes away. */
  readonly interrupted: AbortSignal;
}
