/** What the exit code of `tidemark` says. */
export const exitCodes = {
  /** Everything that was asked for was done. */
  done: 0,
  /** Something was refused, failed, or is not healthy; a record was not acknowledged. */
  failed: 1,
  /** The command line or a setting is wrong; nothing was tried. */
  usage: 2,
  /** Stopped by Ctrl-C or a signal before it was done. */
  interrupted: 130,
  /** The reader of standard output went away. */
  outputClosed: 141,
} as const;

export const exitCodesHelp = `
Exit codes:
  0    done
  1    refused, failed or not healthy; a record that was not acknowledged
  2    the command line or a setting is wrong
  130  stopped by Ctrl-C before it was done
  141  the reader of the output went away`;
