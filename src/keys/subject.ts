import 'reflect-metadata';
import { type JsonAttributeObject, Name } from '@peculiar/x509';

/** `spec.certificate.subject` is not a distinguished name. */
class SubjectError extends Error {
  override readonly name = 'SubjectError';
  readonly code = 'SubjectInvalid';

  constructor(subject: string) {
    super(
      `"${subject}" is not a certificate subject: type one such as CN=login.example.com,O=Example`,
    );
  }
}

/** RFC 4514 section 3, without quotes, hexadecimal and values of several parts: as the CRD has it. */
const PART = String.raw`(CN|OU|O|L|ST|C|DC)=((?:[^\\,+"<>;=]|\\[\\,+"<>;=])+)`;
const SUBJECT = new RegExp(`^${PART}(?:, ?${PART})*$`);
const EACH_PART = new RegExp(`${PART}(?:, ?|$)`, 'g');
const ESCAPED = /\\(.)/g;
const SPECIAL = /[\\,+"<>;=]/g;

/**
 * Reads every subject that the CRD takes. A backslash stands before what is meant as it is; spaces
 * at the end of a value do not count.
 *
 * @throws SubjectError when the text is not a distinguished name.
 */
export function parseSubject(subject: string): Name {
  if (!SUBJECT.test(subject)) throw new SubjectError(subject);
  const parts = [...subject.matchAll(EACH_PART)].map(([, type = '', value = '']) => ({
    type,
    value: value.replace(/ +$/, '').replaceAll(ESCAPED, '$1'),
  }));
  // RFC 5280 section 4.1.2.4: the issuer, which is the subject here, is not empty.
  if (parts.some(({ value }) => value === '')) throw new SubjectError(subject);
  return new Name(parts.map(({ type, value }) => ({ [type]: [encoded(type, value)] })));
}

/** The subject of a certificate that is only to name a host. */
export function subjectOf(host: string): string {
  return `CN=${host.replaceAll(SPECIAL, String.raw`\$&`)}`;
}

/** RFC 5280 section 4.1.2.4 and appendix A; a domain component is ASCII, or else no valid IA5String. */
function encoded(type: string, value: string): JsonAttributeObject {
  if (type === 'DC' && isAscii(value)) return { ia5String: value };
  return Name.isPrintableString(value) ? { printableString: value } : { utf8String: value };
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
