/** A start that is refused. The message is for people: what is wrong and the way out. */
export class StartRefusedError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StartRefusedError";
  }
}
