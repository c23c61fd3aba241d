import { formatDuration, parseDuration } from '../api/duration.ts';
import { KeyringDamagedError } from './damage.ts';

/** The entry that holds everything but key material. */
export const DOCUMENT = 'keyring.json';

/** How one kind of value stands in `keyring.json`: written and read by the same definition. */
export interface Form<T> {
  write(value: T): unknown;
  /**
   * @param at where the value stands, such as `keys[0].createdAt`
   * @throws KeyringDamagedError when it does not have this form
   */
  read(json: unknown, at: string): T;
}

/** A field that may be absent; it is never `null`. */
interface OptionalForm<T> extends Form<T> {
  readonly optional: true;
}

type Fields<T> = {
  readonly [K in keyof T]-?: Partial<Pick<T, K>> extends Pick<T, K>
    ? OptionalForm<Exclude<T[K], undefined>>
    : Form<T[K]>;
};

/** @throws KeyringDamagedError that names the field and what belongs there, never what stands there. */
function refuse(at: string, problem: string): never {
  throw new KeyringDamagedError('FieldInvalid', DOCUMENT, `${at} ${problem}`);
}

function plain<T>(expected: string, accepts: (json: unknown) => json is T): Form<T> {
  return {
    write: (value) => value,
    read: (json, at) => (accepts(json) ? json : refuse(at, `is not ${expected}`)),
  };
}

const isText = (json: unknown) => typeof json === 'string';

export const text = plain('a text', isText);

export const flag = plain('true or false', (json) => typeof json === 'boolean');

export const count = plain(
  'a whole number',
  (json): json is number => Number.isSafeInteger(json) && Number(json) >= 0,
);

/** A text of this shape. */
export function matching(expected: string, pattern: RegExp): Form<string> {
  return plain(expected, (json): json is string => isText(json) && pattern.test(json));
}

export function oneOf<T extends string | number>(...values: readonly T[]): Form<T> {
  return plain(`one of ${values.join(', ')}`, (json): json is T => values.some((v) => v === json));
}

/** An instant, Unix milliseconds here, stands as RFC 3339 in UTC with milliseconds. */
export const instant: Form<number> = {
  write: (value) => new Date(value).toISOString(),
  read(json, at) {
    const date = new Date(isText(json) ? json : Number.NaN);
    if (Number.isNaN(date.getTime()) || date.toISOString() !== json)
      refuse(at, 'is not a time such as 2026-01-31T12:00:00.000Z');
    return date.getTime();
  },
};

/** A duration, milliseconds here, stands as a metav1.Duration such as `1h30m`. */
export const duration: Form<number> = {
  write: formatDuration,
  read(json, at) {
    const milliseconds = isText(json) ? durationOf(json) : Number.NaN;
    if (!Number.isSafeInteger(milliseconds)) refuse(at, 'is not a duration such as 1h30m');
    return milliseconds;
  },
};

function durationOf(json: string): number {
  try {
    return parseDuration(json);
  } catch {
    return Number.NaN; // the parser's message has the text in it
  }
}

export function list<T>(form: Form<T>): Form<readonly T[]> {
  return {
    write: (values) => values.map((value) => form.write(value)),
    read: (json, at) =>
      Array.isArray(json)
        ? json.map((item, index) => form.read(item, `${at}[${index}]`))
        : refuse(at, 'is not a list'),
  };
}

export function optional<T>(form: Form<T>): OptionalForm<T> {
  return { ...form, optional: true };
}

/** An object with these fields, in this order, and no other. */
export function record<T extends object>(fields: Fields<T>): Form<T> {
  const forms: readonly [string, Form<unknown> & { optional?: true }][] = Object.entries(fields);
  const rows = new Map(forms);
  return {
    write(value) {
      const members = new Map<string, unknown>(Object.entries(value));
      return Object.fromEntries(
        forms
          .filter(([name]) => members.get(name) !== undefined)
          .map(([name, form]) => [name, form.write(members.get(name))]),
      );
    },
    read(json, at) {
      if (typeof json !== 'object' || json === null || Array.isArray(json))
        refuse(at, 'is not an object');
      const members = new Map<string, unknown>(Object.entries(json));
      for (const name of members.keys())
        if (!rows.has(name)) refuse(at, `has an unknown field${printable(name)}`);
      return Object.fromEntries(
        forms.flatMap(([name, form]) => {
          if (members.has(name)) return [[name, form.read(members.get(name), `${at}.${name}`)]];
          return form.optional ? [] : refuse(at, `lacks the field "${name}"`);
        }),
      ) as T;
    },
  };
}

/** A name too long for a field may be something else, pasted there. */
function printable(name: string): string {
  return /^[\w-]{1,30}$/.test(name) ? ` "${name}"` : '';
}
