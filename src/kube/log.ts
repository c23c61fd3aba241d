type Write = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** The part of a structured logger (pino and others) that this folder uses. Errors go as `err`. */
export interface Log {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
}
