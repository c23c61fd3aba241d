import { GRANT_TYPES, JWT_BEARER, TOKEN_TYPES } from './discovery.ts';
import type { Form } from './form.ts';
import { Refusal, type RefusalCode } from './refusals.ts';

/** A way to a token about oneself. */
export interface Grant {
  /** The ServiceAccount token by which the caller proves who it is. @throws Refusal */
  readonly credential: (form: Form) => string;
  /** What the grant's standard calls a credential that was not accepted, where it is special. */
  readonly rejected?: RefusalCode;
  /** What the answer says besides the token. */
  readonly extra: (form: Form) => Readonly<Record<string, string>>;
}

/** The grants of `POST /oauth/token`, by `grant_type`. */
const GRANTS: Readonly<Record<string, Grant>> = {
  /** RFC 6749 section 4.4, the client authenticated by RFC 7523 section 2.2. */
  [GRANT_TYPES.clientCredentials]: {
    credential: (form) => assertionIn(form) ?? missingAssertion(),
    extra: () => ({}),
  },

  /** RFC 8693: the caller trades its own token, whose subject stays the subject. */
  [GRANT_TYPES.tokenExchange]: {
    credential: subjectToken,
    rejected: 'subject_token_invalid',
    extra: (form) => ({ issued_token_type: issuedType(form) }),
  },
};

/** @throws Refusal `request_invalid`, `grant_unsupported`. */
export function chooseGrant(form: Form): Grant {
  const asked = form.get('grant_type');
  if (!asked) throw new Refusal('request_invalid', 'Send a grant_type.');
  const grant = Object.hasOwn(GRANTS, asked) ? GRANTS[asked] : undefined;
  if (grant !== undefined) return grant;
  const known = Object.keys(GRANTS).join(' or ');
  throw new Refusal('grant_unsupported', `Set grant_type to ${known}.`);
}

/** @throws Refusal `token_required` where only one half of a client assertion was sent. */
function assertionIn(form: Form): string | undefined {
  const [assertion, type] = [form.get('client_assertion'), form.get('client_assertion_type')];
  if (!assertion && !type) return undefined;
  return assertion && type === JWT_BEARER ? assertion : missingAssertion();
}

function missingAssertion(): never {
  throw new Refusal(
    'token_required',
    `Send a ServiceAccount token as client_assertion, with client_assertion_type=${JWT_BEARER}.`,
  );
}

/** RFC 8693 section 2.1. Whoever also authenticates as a client does it as the same subject. */
function subjectToken(form: Form): string {
  if (form.get('actor_token') || form.get('actor_token_type')) {
    throw new Refusal('actor_unsupported', 'Leave out actor_token: nobody acts for another here.');
  }
  const subject = form.get('subject_token');
  if (!subject || !TOKEN_TYPES.includes(form.get('subject_token_type') ?? '')) {
    throw new Refusal(
      'subject_token_required',
      `Send a ServiceAccount token as subject_token, with subject_token_type=${TOKEN_TYPES.join(' or ')}.`,
    );
  }
  const assertion = assertionIn(form);
  if (assertion !== undefined && assertion !== subject) {
    throw new Refusal(
      'subject_token_invalid',
      'Leave out client_assertion, or send the subject_token in it again.',
    );
  }
  issuedType(form);
  return subject;
}

/** RFC 8693 section 3: an access token is a JWT here, so both names fit what is issued. */
function issuedType(form: Form): string {
  const [accessToken] = TOKEN_TYPES;
  const asked = form.get('requested_token_type') || accessToken;
  if (TOKEN_TYPES.includes(asked)) return asked;
  throw new Refusal('type_unknown', `Set requested_token_type to ${TOKEN_TYPES.join(' or ')}.`);
}
